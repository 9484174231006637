"""The simulator in tests: a pytest plugin, and the same without pytest.

    with simulator.testing.Server() as server, server.open(scenario="node-lost") as openrelay:
        train(base_url=openrelay.base_url, api_key=openrelay.api_key)
        openrelay.assert_no_leaks()

Nothing of it is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.testing.cloud import OpenRelay
    from simulator.testing.server import Server

__all__ = ["OpenRelay", "Server"]

_HOMES = {"OpenRelay": "simulator.testing.cloud", "Server": "simulator.testing.server"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
