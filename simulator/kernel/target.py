"""How an action names what it acts on: by id, by name, or by a selector."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Row, World

R = TypeVar("R", bound=Row)


class Target(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Exactly one of `id`, `name`, `select`."""

    id: str | None = None
    name: str | None = None
    """The newest row of that name (a hostname, an email where the row has those)."""
    select: Literal["first", "random"] | None = None
    """The oldest row, or one drawn from the world's seed."""


def pick(world: World, kind: type[R], target: Target, names: str = "name") -> R:
    """The row that a target names. Raises Refusal `not_found` or `bad_request` with what there is."""
    what = kind.__name__
    given = [word for word in (target.id, target.name, target.select) if word is not None]
    if len(given) != 1:
        raise Refusal("bad_request", f"name one {what} by one of id, name, select; given were {given}")
    found = world.find(kind, target.id) if target.id is not None else _choose(world, kind, target, names)
    if found is None:
        known = [str(getattr(row, names)) for row in list(world.rows(kind))[:10]]
        raise Refusal("not_found", f"no {what} {given[0]!r}; there are {', '.join(known) or 'none'}")
    return found


def _choose(world: World, kind: type[R], target: Target, names: str) -> R | None:
    rows = [row for row in world.rows(kind) if target.name in (None, getattr(row, names))]
    if not rows:
        return None
    if target.name is not None:
        return rows[-1]
    return rows[0] if target.select == "first" else rows[world.streams.below("select", len(rows))]
