"""The contract under test, and a small one for what the big one has no example of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simulator.contract import Contract

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "simulator" / "openapi.json").read_text(encoding="utf-8"))
API = Contract(DOCUMENT)

TEXT = {"type": "string"}


def small(operation: dict[str, Any], path: str = "/things") -> Contract:
    """A contract with the one operation `doIt`, a POST."""
    whole = {"operationId": "doIt", "responses": {"204": {"description": "done"}}, **operation}
    info = {"title": "small", "version": "1"}
    return Contract({"openapi": "3.1.0", "info": info, "paths": {path: {"post": whole}}})


def json_content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}
