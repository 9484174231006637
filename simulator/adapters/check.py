"""Whether a file describes a world, and if not, on which line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from simulator import assets
from simulator.fixture import FixtureError
from simulator.kernel.settings import UnknownSetting

Place = tuple[int, int]
"""Line and column, from 1."""

_MARK = re.compile(r"line (\d+), column (\d+)")
_PLACED = re.compile(r"(\w+)((?:\[\d+\]|\.\w+)*): ")
_STEP = re.compile(r"\[(\d+)\]|\.(\w+)")
_UNKNOWN = re.compile(r"unknown field `(.*?)`")


def check_world_file(file: str) -> str | None:
    """None when the file describes a world, else `file:line:column: what is wrong`."""
    path = Path(file).resolve()
    try:
        assets.open_world("check", str(path), 0)
    except (FixtureError, UnknownSetting) as problem:
        text = " ".join(str(problem).split())
        line, column = _place(path, text)
        return f"{file}:{line}:{column}: {text}"
    return None


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
    if about_file or placed is None or not placed[2] or node is None:
        return _start(node)
    found = _walk(node, placed[2], _inherited(path, section, node))
    unknown = _UNKNOWN.search(text)
    if unknown and isinstance(found, yaml.MappingNode):
        found = next((key for key, _ in found.value if key.value == unknown[1]), found)
    return _start(found)


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
    for number, (index, name) in enumerate(_STEP.findall(value_path)):
        if isinstance(node, yaml.SequenceNode) and index:
            at = int(index) - (inherited if number == 0 else 0)
            found = node.value[at] if 0 <= at < len(node.value) else None
        elif isinstance(node, yaml.MappingNode):
            found = next((value for key, value in node.value if key.value == name), None)
        else:
            found = None
        if found is None:
            return node
        node = found
    return node


def _start(node: Any) -> Place:
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node is not None else (1, 1)
