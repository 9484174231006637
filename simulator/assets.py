"""The data files that come with the package: contract, fixtures, profiles.

In a checkout they lie beside the package, in an installed wheel inside it. This is the lowest layer that
reads files; what it hands down are plain documents.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import yaml

from simulator.fixture import FixtureError, build
from simulator.generate import expand
from simulator.kernel.refusal import nearest
from simulator.kernel.settings import Settings
from simulator.kernel.world import World
from simulator.scenario.document import lay

PACKAGE = Path(__file__).parent
DEEPEST_EXTENDS = 10
LONGEST_NAME = 80
"""Characters of a name in a message."""
MOST_ALIASED = 100_000
"""Nodes that the aliases of a file may stand for: ten lines of them can stand for a billion."""

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_BOOL = "tag:yaml.org,2002:bool"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_NO_NAME = ' in "<byte string>",'
"""What YAML calls a file that it was given as bytes."""


class _Loader(_SafeLoader):  # type: ignore[misc]
    """Plain YAML, but a moment stays the text it is: whoever reads it says what is wrong with it. And as in
    YAML 1.2, `on` and `no` are words: a fault rule has a member `on`."""

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in rows if tag not in (_TIMESTAMP, _BOOL)]
        for first, rows in _SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(_BOOL, re.compile("(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


_shelves: dict[str, list[Path]] = {}


def folder(name: str) -> Path:
    """A folder of bundled files: `fixtures` or `scenarios`."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def shelve(kind: str, place: Path) -> None:
    """Let names stand for the files of another folder too, and for those before the bundled ones."""
    if place not in _shelves.setdefault(kind, []):
        _shelves[kind].insert(0, place)


def is_bundled(kind: str, name: str) -> bool:
    """Whether a name stands for a file that came with the package, and so never changes."""
    return _places(kind)[-1] / f"{name}.yaml" == _find(kind, name)


def _places(kind: str) -> list[Path]:
    """Where the files of a kind are looked for."""
    root, _, below = kind.partition("/")
    return [place / below for place in (*_shelves.get(root, ()), folder(root))]


def _find(kind: str, name: str) -> Path | None:
    """The file of a name, in the first folder that has one."""
    if Path(name).name != name:
        return None
    files = (place / f"{name}.yaml" for place in _places(kind))
    return next((file for file in files if os.path.isfile(file)), None)  # noqa: PTH113 – a name may be too long


def titles(kind: str) -> list[tuple[str, str]]:
    """Every name of a kind with its title; where a file cannot be read, with why that is so."""
    return [(name, _title(kind, name)) for name in names(kind)]


def _title(kind: str, name: str) -> str:
    try:
        return str(_read(_named(kind, name)).get("title", ""))
    except FixtureError as problem:
        return f"cannot be read: {problem}"


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
    """What there is of a kind, by name: bundled, and in folders that were added."""
    return sorted({file.stem for place in _places(kind) for file in place.glob("*.yaml")})


def profile(name: str) -> Settings:
    """The settings of a profile. Raises FixtureError for an unknown one."""
    return Settings(_read(_named("fixtures/profiles", name)))


def load_fixture(name_or_file: str) -> dict[str, Any]:
    """A fixture document with everything it extends merged in.

    A name means a bundled one, anything with a dot or a slash a file. Sections replace those of the
    extended document; `settings` merge; a section written `nodes+:` adds to the extended one.
    """
    return dict(_extended(_locate(name_or_file), 0))


def compose(path: Path) -> yaml.Node | None:
    """The YAML nodes of a file, each with its line and column; None for an empty file.

    Raises FixtureError when the file cannot be read, or holds what no file of ours may: keys that are not
    text, and aliases that grow beyond all measure.
    """
    try:
        root: yaml.Node | None = _Loader(path.read_bytes()).get_single_node()
        if root is not None:
            _Census().count(root)
    except OSError as problem:
        raise FixtureError(f"{path.name}: {problem.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise _unreadable(path, problem) from None
    return root


def text_of(kind: str, name: str) -> str:
    """The file of a name, as it is written. Raises FixtureError with the nearest right name."""
    return _named(kind, name).read_text("utf-8")


def load_scenario(name_or_file: str) -> dict[str, Any]:
    """A scenario document: a bundled one by its name, anything with a dot or a slash a file. The world it
    names may be a file beside it, not elsewhere.

    Raises FixtureError.
    """
    is_file = "/" in name_or_file or "." in name_or_file
    path = Path(name_or_file) if is_file else _named("scenarios", name_or_file)
    document = _read(path)
    world = document.get("world", "")
    if isinstance(world, str) and ("/" in world or "." in world):
        beside = path.parent / world
        if Path(world).name != world or not _is_file(beside):
            text = "name a bundled world, or a file of the scenario's own folder"
            raise FixtureError(f"world: no file {_shortened(world)!r} beside {path.name}; {text}")
        document["world"] = str(beside)
    return document


def open_world(
    name: str,
    fixture: str | dict[str, Any],
    seed: int,
    overrides: dict[str, Any] | None = None,
    scenario: dict[str, Any] | None = None,
) -> World:
    """A world at its first moment: fixture, then its profile, then the settings given, then a scenario.

    Raises FixtureError, UnknownSetting or ScenarioError with what would be right.
    """
    document = load_fixture(fixture) if isinstance(fixture, str) else fixture
    document = _overlaid(document, (scenario or {}).get("world_overrides", {}))
    if "profile" in document:
        raise FixtureError("unknown section 'profile': a profile is no world; worlds name one in `settings`")
    chosen = {**document.get("settings", {}), **(overrides or {})}
    settings = profile(str(chosen.pop("profile", "2026-06"))).but(chosen)
    world = build(name, seed, _expanded(document, seed), settings)
    if scenario:
        lay(world, scenario)
        world.version = 0
    return world


def _expanded(document: dict[str, Any], seed: int) -> dict[str, Any]:
    try:
        return expand(document, seed)
    except ValueError as problem:
        raise FixtureError(f"generate: {problem}") from None


def _locate(name_or_file: str) -> Path:
    if "/" in name_or_file or "." in name_or_file:
        path = Path(name_or_file)
        if not _is_file(path):
            known = ", ".join(names("fixtures"))
            raise FixtureError(f"no file {_shortened(name_or_file)!r}; bundled worlds are {known}")
        return path
    return _named("fixtures", name_or_file)


def _is_file(path: Path) -> bool:
    """Whether there is a plain file; a name that the system cannot even look up is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _named(kind: str, name: str) -> Path:
    found = _find(kind, name)
    if found is None:
        what = kind.rpartition("/")[2].rstrip("s")
        raise FixtureError(f"no {what} {_shortened(name)!r}{nearest(name, names(kind))}")
    return found


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


def _read(path: Path) -> dict[str, Any]:
    content = _constructed(path)
    if not isinstance(content, dict):
        raise FixtureError(f"{path.name}: a mapping of sections is wanted, found {type(content).__name__}")
    for key, value in content.items():
        if key.endswith("+") and not isinstance(value, list):
            raise FixtureError(f"{path.name}: {key}: a list is wanted, found {value!r:.80}")
        if key == "settings" and not isinstance(value, dict):
            raise FixtureError(f"{path.name}: settings: a mapping is wanted, found {value!r:.80}")
    return content


def _constructed(path: Path) -> Any:
    root = compose(path)
    try:
        return None if root is None else _Loader("").construct_document(root)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as problem:
        raise _unreadable(path, problem) from None


def _unreadable(path: Path, problem: Exception) -> FixtureError:
    text = "is nested too deep" if isinstance(problem, RecursionError) else str(problem)
    return FixtureError(f"{path.name}: {text.replace(_NO_NAME, ' in')}")


class _Census:
    """Counts the nodes that the aliases of a file stand for, and looks at its keys on the way."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._aliased = 0

    def count(self, node: yaml.Node) -> int:
        """How many nodes a node is when its aliases are written out; a long text counts as many.

        Raises YAMLError with the place of a node that no file of ours may hold.
        """
        size = self._sizes.get(id(node))
        if size is None:
            self._sizes[id(node)] = MOST_ALIASED + 1  # for an alias of what it lies in
            length = len(node.value) if isinstance(node, yaml.ScalarNode) else 0
            size = 1 + length // 100 + sum(map(self.count, _parts(node)))
            self._sizes[id(node)] = size
        else:
            self._aliased += size
        if self._aliased > MOST_ALIASED:
            _refuse(node, f"aliases stand for more than {MOST_ALIASED} nodes")
        return size


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag not in (_TEXT, _MERGE):
                if not isinstance(key, yaml.ScalarNode):
                    _refuse(key, f"a {key.id} is no key")
                _refuse(key, f"key {key.value!r:.80} is no text without quotes")
            yield key
            yield value


def _refuse(node: yaml.Node, problem: str) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _extended(path: Path, depth: int) -> dict[str, Any]:
    if depth > DEEPEST_EXTENDS:
        raise FixtureError(f"{path.name}: extends itself, or more than {DEEPEST_EXTENDS} others in a row")
    own = _read(path)
    parent = own.pop("extends", None)
    return _overlaid(_extended(_parent(path, str(parent)), depth + 1) if parent else {}, own)


def _overlaid(document: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A document with another's sections laid over its own."""
    merged = dict(document)
    for section, content in _sections(own):
        merged[section] = content(merged.get(section)) if callable(content) else content
    return merged


def _parent(child: Path, name: str) -> Path:
    beside = child.parent / name
    return beside if "." in name and _is_file(beside) else _locate(name)


def _sections(own: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, content in own.items():
        if key.endswith("+"):
            yield key[:-1], lambda before, content=content: [*(before or []), *content]
        elif key == "settings":
            yield key, lambda before, content=content: {**(before or {}), **content}
        else:
            yield key, content
