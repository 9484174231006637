"""Machine-to-machine calls: the service's health, and a machine that becomes a node."""

from __future__ import annotations

from typing import Any

from simulator.kernel.operation import Area, Call
from simulator.resources.provider import enrolment

area = Area("Internal", scope="any")


@area.operation("getHealth")
def get_health(call: Call) -> dict[str, Any]:
    """No credential is asked for. The service is up whenever it answers."""
    return {"status": "ok", "service": "openrelay-api"}


@area.operation("enrollNode", effects="node offline, online with its first heartbeat")
def enroll_node(call: Call) -> dict[str, Any]:
    """The provisioning token in the body is the credential."""
    return enrolment.enrol(call.world, call.body)
