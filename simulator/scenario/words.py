"""What all parts of a scenario write alike: globs, values by glob, spans of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from simulator.kernel.form import FormProblem
from simulator.kernel.globs import globs, like
from simulator.kernel.instant import parse_span
from simulator.kernel.refusal import nearest

Globs = str | Annotated[list[str], msgspec.Meta(min_length=1, max_length=200)]
Word = str | int | float | bool
Where = dict[str, Word | Annotated[list[Word], msgspec.Meta(min_length=1, max_length=200)]]
Span = str | int | float


def known_globs(what: str, given: Globs | None, known: Sequence[str], place: str) -> tuple[str, ...]:
    """The globs, each of which matches a name there is. Raises FormProblem."""
    wanted = globs(given)
    for glob in wanted:
        if not any(like(name, (glob,)) for name in known):
            raise FormProblem(f"no {what} {glob!r}{nearest(glob, list(known))}", place)
    return wanted


def globs_of(where: Where) -> dict[str, tuple[str, ...]]:
    """What `where` wants of each value."""
    return {name: globs(given) for name, given in where.items()}


def span_ms(given: Span, place: str) -> int:
    """Milliseconds of a span. Raises FormProblem."""
    try:
        return parse_span(str(given))
    except ValueError as problem:
        raise FormProblem(str(problem), place) from None
