"""From a fixture document to a world at its first moment.

A document has `title`, `start` (the virtual now), `settings`, and one section per kind of row; the areas'
seeds say what a section may hold. Reading files and following `extends` is done above, in assets.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel.form import FormProblem, read
from simulator.kernel.instant import EARLIEST_MS, LAST_NOW_MS, parse_iso
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.settings import Settings, UnknownSetting
from simulator.kernel.world import World
from simulator.registry import SEEDS
from simulator.resources.billing.balance import begin_month_watch

DEFAULT_START = "2026-06-15T09:00:00Z"
HEADER = ("title", "start", "settings")


class FixtureError(ValueError):
    """A document that does not describe a world; the text names the place and what would be right."""


def build(name: str, seed: int, document: dict[str, Any], settings: Settings) -> World:
    """The world of a document. `settings` come last: they win over the document's own."""
    unknown = [key for key in document if key not in (*HEADER, *SEEDS)]
    if unknown:
        raise FixtureError(f"unknown section {unknown[0]!r}{nearest(unknown[0], [*HEADER, *SEEDS])}")
    world = World(name, seed, _start(document), settings)
    for section, row in SEEDS.items():
        if section in document:
            _fill(world, section, row.form, document[section])
    begin_month_watch(world)
    world.version = 0
    return world


def _start(document: dict[str, Any]) -> int:
    given = document.get("start", DEFAULT_START)
    try:
        moment_ms = parse_iso(str(given))
        if moment_ms < EARLIEST_MS:
            raise ValueError(given)
        return min(moment_ms, LAST_NOW_MS)
    except (ValueError, OverflowError):
        raise FixtureError(f"start: {given!r} is not a moment such as {DEFAULT_START}") from None


def _fill(world: World, section: str, form: Any, content: Any) -> None:
    try:
        SEEDS[section].function(world, read(content, form))
    except (FormProblem, AssertionError, Refusal, UnknownSetting) as problem:
        text = str(problem)
        raise FixtureError(f"{section}{text}" if text.startswith("[") else f"{section}: {text}") from None
