"""The interactive reference at /_sim/docs: Swagger UI out of an installed package, so it works offline."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simulator import assets
from simulator.adapters.asked import Asked, Text
from simulator.kernel.refusal import Refusal

MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
"""The files of Swagger UI that the page loads."""


def show_reference(asked: Asked) -> Text:
    return Text("text/html", (assets.PACKAGE / "adapters" / "reference.html").read_bytes())


def get_reference_file(asked: Asked) -> Text:
    name = asked.path["file"]
    if name not in MEDIA_TYPES:
        raise Refusal("not_found", f"no file {name[:80]!r}; there are {', '.join(MEDIA_TYPES)}")
    return Text(MEDIA_TYPES[name], (_swagger_ui() / name).read_bytes())


def _swagger_ui() -> Path:
    """Its folder. The package is not imported: only its files are wanted."""
    found = find_spec("flask_swagger_ui")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "dist"


ANSWERS: dict[str, Callable[[Asked], Any]] = {
    "showReference": show_reference,
    "getReferenceFile": get_reference_file,
}
