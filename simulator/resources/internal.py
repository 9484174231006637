"""Machine-to-machine calls: the service's health."""

from __future__ import annotations

from typing import Any

from simulator.kernel.operation import Area, Call

area = Area("Internal", scope="any")


@area.operation("getHealth")
def get_health(call: Call) -> dict[str, Any]:
    """No credential is asked for. The service is up whenever it answers."""
    return {"status": "ok", "service": "openrelay-api"}
