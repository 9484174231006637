"""The data files that come with the package: contract, fixtures, profiles.

In a checkout they lie beside the package, in an installed wheel inside it. This is the lowest layer that
reads files; what it hands down are plain documents.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from simulator.fixture import FixtureError, build
from simulator.generate import expand
from simulator.kernel.refusal import nearest
from simulator.kernel.settings import Settings
from simulator.kernel.world import World

PACKAGE = Path(__file__).parent
DEEPEST_EXTENDS = 10

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def folder(name: str) -> Path:
    """A folder of data files: `fixtures` or `scenarios`."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


@cache
def contract_document() -> dict[str, Any]:
    """The API's OpenAPI document, as served at /openapi.json."""
    document: dict[str, Any] = json.loads((PACKAGE / "openapi.json").read_bytes())
    return document


@cache
def control_document() -> dict[str, Any]:
    """The control surface's OpenAPI document, as served at /_sim/openapi.json."""
    document: dict[str, Any] = json.loads((PACKAGE / "control.json").read_bytes())
    return document


def names(kind: str) -> list[str]:
    """Names of the bundled files of a folder, without their ending."""
    return sorted(path.stem for path in folder(kind).glob("*.yaml"))


def profile(name: str) -> Settings:
    """The settings of a profile. Raises FixtureError for an unknown one."""
    return Settings(_read(_named("fixtures/profiles", name)))


def load_fixture(name_or_file: str) -> dict[str, Any]:
    """A fixture document with everything it extends merged in.

    A name means a bundled one, anything with a dot or a slash a file. Sections replace those of the
    extended document; `settings` merge; a section written `nodes+:` adds to the extended one.
    """
    return dict(_extended(_locate(name_or_file), 0))


def open_world(
    name: str, fixture: str | dict[str, Any], seed: int, overrides: dict[str, Any] | None = None
) -> World:
    """A world at its first moment: fixture, then its profile, then the settings given.

    Raises FixtureError or UnknownSetting with what would be right.
    """
    document = load_fixture(fixture) if isinstance(fixture, str) else fixture
    chosen = {**document.get("settings", {}), **(overrides or {})}
    settings = profile(str(chosen.pop("profile", "2026-06"))).but(chosen)
    return build(name, seed, _expanded(document, seed), settings)


def _expanded(document: dict[str, Any], seed: int) -> dict[str, Any]:
    try:
        return expand(document, seed)
    except ValueError as problem:
        raise FixtureError(f"generate: {problem}") from None


def _locate(name_or_file: str) -> Path:
    if "/" in name_or_file or "." in name_or_file:
        path = Path(name_or_file)
        if not path.is_file():
            raise FixtureError(f"no file {name_or_file!r}; bundled worlds are {', '.join(names('fixtures'))}")
        return path
    return _named("fixtures", name_or_file)


def _named(kind: str, name: str) -> Path:
    path = folder(kind.partition("/")[0]) / kind.partition("/")[2] / f"{name}.yaml"
    if name not in names_in(path.parent):
        what = kind.rpartition("/")[2].rstrip("s")
        raise FixtureError(f"no {what} {name!r}{nearest(name, names_in(path.parent))}")
    return path


def names_in(path: Path) -> list[str]:
    return sorted(found.stem for found in path.glob("*.yaml"))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_bytes(), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as problem:
        raise FixtureError(f"{path.name}: {problem}") from None
    if not isinstance(content, dict):
        raise FixtureError(f"{path.name}: a mapping of sections is wanted, found {type(content).__name__}")
    for key, value in content.items():
        if not isinstance(key, str):
            raise FixtureError(f"{path.name}: section {key!r} has no text for a name")
        if key.endswith("+") and not isinstance(value, list):
            raise FixtureError(f"{path.name}: {key}: a list is wanted, found {value!r:.80}")
        if key == "settings" and not isinstance(value, dict):
            raise FixtureError(f"{path.name}: settings: a mapping is wanted, found {value!r:.80}")
    return content


def _extended(path: Path, depth: int) -> dict[str, Any]:
    if depth > DEEPEST_EXTENDS:
        raise FixtureError(f"{path.name}: extends itself, or more than {DEEPEST_EXTENDS} others in a row")
    own = _read(path)
    parent = own.pop("extends", None)
    merged = _extended(_parent(path, str(parent)), depth + 1) if parent else {}
    for section, content in _sections(own):
        merged[section] = content(merged.get(section)) if callable(content) else content
    return merged


def _parent(child: Path, name: str) -> Path:
    beside = child.parent / name
    return beside if "." in name and beside.is_file() else _locate(name)


def _sections(own: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, content in own.items():
        if key.endswith("+"):
            yield key[:-1], lambda before, content=content: [*(before or []), *content]
        elif key == "settings":
            yield key, lambda before, content=content: {**(before or {}), **content}
        else:
            yield key, content
