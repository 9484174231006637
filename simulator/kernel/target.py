"""How an action names what it acts on: by id, by name, or by a selector."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Row, World

R = TypeVar("R", bound=Row)

MOST_LISTED = 10


class Target(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Exactly one of `id`, `name`, `select`."""

    id: str | None = None
    name: str | None = None
    """The newest row of that name; a slug, a hostname or an email, where the row has those."""
    select: Literal["first", "random"] | None = None
    """The oldest row, or one drawn from the world's seed."""


def pick(world: World, kind: type[R], target: Target, *names: str) -> R:
    """The row that a target names; `names` are the members that count as its name, by default `name`.

    Raises Refusal `not_found` or `bad_request` with what there is.
    """
    what, names = kind.__name__, names or ("name",)
    given = [word for word in (target.id, target.name, target.select) if word is not None]
    if len(given) != 1:
        ways, named = " or ".join(Target.__struct_fields__), " and ".join(given) or "nothing"
        raise Refusal("bad_request", f"name one {what} by {ways}; {named} was given")
    found = world.find(kind, target.id) if target.id is not None else _choose(world, kind, target, names)
    if found is None:
        raise Refusal("not_found", f"no {what} {given[0]!r}; there are {_listed(world, kind, names[0])}")
    return found


def _listed(world: World, kind: type[R], name: str) -> str:
    """The first names there are, and how many more."""
    known = [str(getattr(row, name)) for row in world.rows(kind)]
    more = f" and {len(known) - MOST_LISTED} more" if len(known) > MOST_LISTED else ""
    return ", ".join(known[:MOST_LISTED]) + more or "none"


def _choose(world: World, kind: type[R], target: Target, names: tuple[str, ...]) -> R | None:
    wanted = target.name
    rows = [row for row in world.rows(kind) if wanted is None or wanted in (getattr(row, n) for n in names)]
    if not rows:
        return None
    if target.name is not None:
        return rows[-1]
    return rows[0] if target.select == "first" else rows[world.streams.below("select", len(rows))]
