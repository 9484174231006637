"""An offline simulator of the OpenRelay GPU-cloud REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.kernel import release

if TYPE_CHECKING:
    from simulator.adapters.web import create_app
    from simulator.engine import Simulator
    from simulator.worlds import Worlds

__all__ = ["Simulator", "Worlds", "__version__", "create_app"]
__version__ = release.VERSION

_HOMES = {
    "Simulator": "simulator.engine",
    "Worlds": "simulator.worlds",
    "create_app": "simulator.adapters.web",
}


def __getattr__(name: str) -> Any:
    """The front door opens on the first knock: `import simulator` alone costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
