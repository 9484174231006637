"""The official Python SDK, spoken to a simulator in this process: every call of it by its name."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from inspect import getsource
from typing import Any

import httpx
import openrelay.api
from openrelay import AuthenticatedClient, models

from simulator import assets
from simulator.adapters.web import create_app
from simulator.contract.spec import METHODS
from simulator.worlds import Worlds

BASE = "https://api.openrelay.inc"


def operations() -> dict[str, str]:
    """The calls that the SDK and the contract both know, `vms.create_vm`, to operations of the contract."""
    ours = {
        (method, _shape(path)): item[method]["operationId"]
        for path, item in assets.contract_document()["paths"].items()
        for method in METHODS
        if method in item
    }
    return {name: ours[route] for name, route in _routes() if route in ours}


def unknown_calls() -> list[str]:
    """The calls of the SDK that the contract does not have: a later surface."""
    return [name for name, _ in _routes() if name not in operations()]


def _routes() -> Iterator[tuple[str, tuple[str, str]]]:
    for area in pkgutil.iter_modules(openrelay.api.__path__):
        package = import_module(f"openrelay.api.{area.name}")
        for call in pkgutil.iter_modules(package.__path__):
            source = getsource(import_module(f"{package.__name__}.{call.name}")._get_kwargs)
            method, path = (_said(source, word) for word in ("method", "url"))
            yield f"{area.name}.{call.name}", (method, _shape(path))


def _said(source: str, member: str) -> str:
    found = re.search(rf'"{member}": "([^"]+)"', source)
    assert found, source
    return found[1]


def _shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


class Sdk:
    """Calls the SDK as its users do, and notes which calls were answered as the SDK expects."""

    def __init__(self, worlds: Worlds) -> None:
        self._transport = httpx.WSGITransport(create_app(worlds))
        self.called: set[str] = set()

    def call(self, name: str, key: str, /, *path: str, **given: Any) -> Any:
        """The parsed answer of a call that succeeds. A `body` is given as plain values, of which the model is
        made that the call's signature names."""
        module = import_module(f"openrelay.api.{name}")
        if "body" in given:
            annotation = module._get_kwargs.__annotations__["body"]
            model = next(part for part in str(annotation).split(" | ") if part != "Unset")
            given["body"] = getattr(models, model.rpartition(".")[2].rstrip("'>")).from_dict(given["body"])
        client = AuthenticatedClient(
            base_url=BASE,
            token=key,
            raise_on_unexpected_status=True,
            httpx_args={"transport": self._transport},
        )
        answer = module.sync_detailed(*path, client=client, **given)
        assert 200 <= answer.status_code < 300, f"{name}: {answer.status_code} {answer.content!r}"
        assert answer.content == b"" or answer.parsed is not None, f"{name}: {answer.content!r}"
        self.called.add(name)
        return answer.parsed
