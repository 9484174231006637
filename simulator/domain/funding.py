"""How usage is funded: by free credit first, then by paid balance, then by nobody [2026-07].

An account is a tank that its open sessions empty together. Whatever it holds at a moment funds all of them
alike [choice: every session has its part in proportion to its rate, and none is served before another]. So
the account has one band at a time, and changes it at few moments: when free credit is used up, when
everything is, and when money comes in. A session's hours are cut at these moments and at nothing else. What
is past stays as it was: credit that comes later funds what is used later [choice], be it free or paid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from simulator.kernel.instant import EARLIEST_MS, HOUR_MS
from simulator.kernel.world import Index, Row, World

FREE, PAID, UNPAID = "free", "paid", "unpaid"


class Turn(Row, frozen=True, kw_only=True):
    """From `created_at_ms` on, what an account uses is funded by another band."""

    indexes: ClassVar = {"organization": Index(lambda turn: turn.organization_id)}

    organization_id: str
    band: str


class Moment(NamedTuple):
    """When a band begins."""

    at_ms: int
    band: str


class Piece(NamedTuple):
    """A part of a session that one band funds."""

    band: str
    start_ms: int
    end_ms: int


class Bands(NamedTuple):
    """Time, or cents, by what funds it."""

    free: int = 0
    paid: int = 0
    unpaid: int = 0


def note_turn(world: World, organization_id: str, moment: Moment) -> None:
    """Write down that a band begins. What holds at the world's first moment held before it, too [choice]."""
    since_ms = EARLIEST_MS if moment.at_ms == world.clock.start_ms else moment.at_ms
    row_id = f"{organization_id}/{since_ms}"
    world.put(Turn(id=row_id, created_at_ms=since_ms, organization_id=organization_id, band=moment.band))


def pieces(
    world: World, organization_id: str, span: tuple[int, int], ahead: Sequence[Moment] = ()
) -> list[Piece]:
    """A span cut where the band changes; `ahead` are moments that are not written down yet.

    Before its first moment an account has nothing.
    """
    start, end = span
    found: list[Piece] = []
    for at_ms, band in _backwards(world, organization_id, ahead):
        if at_ms < end:
            found.append(Piece(band, max(at_ms, start), end))
            end = max(at_ms, start)
        if end == start:
            break
    if end > start:
        found.append(Piece(UNPAID, start, end))
    return found[::-1]


def _backwards(world: World, organization_id: str, ahead: Sequence[Moment]) -> Iterator[Moment]:
    """Every moment at which the band changed, the newest first."""
    yield from reversed(ahead)
    for entry in reversed(world.bucket(Turn, "organization", organization_id)):
        turn = world.get(Turn, entry[-1])
        yield Moment(turn.created_at_ms, turn.band)


def time_by_band(cut: Sequence[Piece]) -> Bands:
    """Milliseconds of each band."""
    spent = {FREE: 0, PAID: 0, UNPAID: 0}
    for band, start, end in cut:
        spent[band] += end - start
    return Bands(*spent.values())


def cents_by_band(cut: Sequence[Piece], rate_cents: int, cents: int) -> Bands:
    """The cents of a session, each in the band in which it becomes full [choice].

    So none is lost or there twice, and what a band has got it keeps, however long the session goes on.
    """
    spent = {FREE: 0, PAID: 0, UNPAID: 0}
    before = 0
    for at, (band, _, end) in enumerate(cut, 1):
        full = (end - cut[0].start_ms) * rate_cents // HOUR_MS
        so_far = cents if at == len(cut) else min(cents, full)
        spent[band] += so_far - before
        before = so_far
    return Bands(*spent.values())
