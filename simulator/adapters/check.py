"""Whether a file describes a world or a scenario, and if not, on which line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from simulator import assets
from simulator.fixture import FixtureError
from simulator.kernel.settings import UnknownSetting
from simulator.scenario.document import Scenario, ScenarioError
from simulator.worlds import Opening

Place = tuple[int, int]
"""Line and column, from 1."""

_MARK = re.compile(r"line (\d+), column (\d+)")
_PLACED = re.compile(r"(\w+)((?:\[\d+\]|\.\w+)*): ")
_STEP = re.compile(r"\[(\d+)\]|\.(\w+)")
_UNKNOWN_SECTION = re.compile("unknown section '(.*?)'")
_UNKNOWN = re.compile(r"unknown field `(.*?)`")


def check_file(file: str) -> str | None:
    """None when the file describes a world or a scenario, else `file:line:column: what is wrong`."""
    path = Path(file).resolve()
    try:
        if is_scenario(path):
            _play(assets.load_scenario(str(path)))
        else:
            assets.open_world("check", str(path), 0)
    except (FixtureError, ScenarioError, UnknownSetting) as problem:
        text = " ".join(str(problem).split())
        line, column = _place(path, text)
        return f"{file}:{line}:{column}: {text}{_other_kind(text)}"
    return None


def _other_kind(text: str) -> str:
    """A hint for what is taken for a world and has a section of scenarios."""
    found = _UNKNOWN_SECTION.search(text)
    if not found or found[1] not in Scenario.__struct_fields__:
        return ""
    return f" A scenario has {found[1]!r}, and begins with the line `scenario: 1`; without it this is a world"


def _play(scenario: dict[str, Any]) -> None:
    """Open the world of a scenario; what is wrong with that world lies where the scenario names it."""
    opening = Opening.of_scenario(scenario)
    try:
        assets.open_world("check", opening.fixture, opening.seed, opening.settings, scenario)
    except FixtureError as problem:
        place = "world_overrides" if "world_overrides" in scenario else "world"
        raise FixtureError(f"{place}: {problem}") from None


def is_scenario(path: Path) -> bool:
    """Whether a file means to be a scenario: it says so in its first member."""
    try:
        root = assets.compose(path)
    except FixtureError:
        return False
    return isinstance(root, yaml.MappingNode) and any(key.value == "scenario" for key, _ in root.value)


def _place(path: Path, text: str) -> Place:
    """Where the file says what a problem is about: as near as its text tells."""
    about_file = text.startswith(f"{path.name}: ")
    if about_file and (marks := _MARK.findall(text)):  # YAML's own: the last one is where it gave up
        line, column = marks[-1]
        return int(line), int(column)
    try:
        root = assets.compose(path)
    except FixtureError:
        return _start(None)
    section, node = _section(root, text.removeprefix(f"{path.name}: "))
    placed = _PLACED.match(text)
    if placed and placed[2] and node is not None and not about_file:
        node = _walk(node, placed[2], _inherited(path, section, node))
    unknown = _UNKNOWN.search(text)
    within = root if node is None else node
    if unknown and isinstance(within, yaml.MappingNode):
        node = next((key for key, _ in within.value if key.value == unknown[1]), within)
    return _start(node)


def _section(root: Any, text: str) -> tuple[str, Any]:
    """The section that a problem names first; for a setting, its line."""
    if not isinstance(root, yaml.MappingNode):
        return "", None
    sections = {key.value: (key, value) for key, value in root.value}
    settings = sections["settings"][1] if "settings" in sections else None
    for key, _ in settings.value if isinstance(settings, yaml.MappingNode) else ():
        if f"'{key.value}'" in text or text.startswith(f"{key.value}:"):
            return "settings", key
    placed = _PLACED.match(text)
    for name, (key, value) in sections.items():
        if f"unknown section '{name}'" in text:
            return name, key
        if text.startswith(f"{name}: ") or (placed and placed[1] == name.removesuffix("+")):
            return name, value
    return "", None


def _inherited(path: Path, section: str, node: Any) -> int:
    """How many items of a `section+:` come from the file it extends, and so before its own."""
    if not section.endswith("+"):
        return 0
    return len(assets.load_fixture(str(path))[section[:-1]]) - len(node.value)


def _walk(node: Any, value_path: str, inherited: int) -> Any:
    """The node at a path such as `[0].units`, or the last one before the file says no more."""
    steps = [index or name for index, name in _STEP.findall(value_path)]
    if isinstance(node, yaml.SequenceNode) and steps:
        steps[0] = str(int(steps[0]) - inherited)
    while steps:
        found, taken = _child(node, steps)
        if found is None:
            return node
        node, steps = found, steps[taken:]
    return node


def _child(node: Any, steps: list[str]) -> tuple[Any, int]:
    """The child that a path leads to, and how many steps its name takes: names of actions have dots."""
    if isinstance(node, yaml.SequenceNode):
        at = int(steps[0]) if steps[0].lstrip("-").isdecimal() else -1
        return (node.value[at] if 0 <= at < len(node.value) else None), 1
    children = {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}
    for taken in range(1, len(steps) + 1):
        if (name := ".".join(steps[:taken])) in children:
            return children[name], taken
    return None, 1


def _start(node: Any) -> Place:
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node is not None else (1, 1)
