"""How a span is cut by what funds it, and how its cents are: examples that can be checked by hand."""

from __future__ import annotations

import pytest

from simulator.domain import funding
from simulator.domain.funding import FREE, PAID, UNPAID, Bands, Moment, Piece
from simulator.kernel.settings import Settings
from simulator.kernel.world import World

MINUTE = 60_000


@pytest.fixture
def world() -> World:
    """An account that had nothing until minute 10, free credit until 20, paid balance until 50."""
    world = World("test", 0, 0, Settings())
    for minute, band in ((10, FREE), (20, PAID), (50, UNPAID)):
        funding.note_turn(world, "acme", Moment(minute * MINUTE, band))
    return world


def minutes(world: World, start: int, end: int, *ahead: Moment) -> list[tuple[str, int]]:
    cut = funding.pieces(world, "acme", (start * MINUTE, end * MINUTE), ahead)
    return [(band, (until - since) // MINUTE) for band, since, until in cut]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((0, 60), [(UNPAID, 10), (FREE, 10), (PAID, 30), (UNPAID, 10)]),
        ((12, 18), [(FREE, 6)]),
        ((20, 50), [(PAID, 30)]),
        ((19, 20), [(FREE, 1)]),
        ((50, 51), [(UNPAID, 1)]),
        ((3, 4), [(UNPAID, 1)]),
        ((30, 30), []),
    ],
)
def test_a_span_is_cut_where_the_band_changes(
    world: World, span: tuple[int, int], expected: list[tuple[str, int]]
) -> None:
    assert minutes(world, *span) == expected


def test_moments_ahead_count_like_those_that_are_written_down(world: World) -> None:
    ahead = (Moment(60 * MINUTE, PAID), Moment(70 * MINUTE, UNPAID))
    assert minutes(world, 55, 75, *ahead) == [(UNPAID, 5), (PAID, 10), (UNPAID, 5)]


def test_what_holds_at_the_first_moment_of_the_world_held_before_it() -> None:
    world = World("test", 0, 90 * MINUTE, Settings())
    funding.note_turn(world, "acme", Moment(world.now_ms, FREE))
    funding.note_turn(world, "acme", Moment(world.now_ms, PAID))
    funding.note_turn(world, "acme", Moment(100 * MINUTE, UNPAID))
    assert minutes(world, 0, 120) == [(PAID, 100), (UNPAID, 20)]


def test_the_last_word_of_a_moment_counts(world: World) -> None:
    funding.note_turn(world, "acme", Moment(60 * MINUTE, FREE))
    funding.note_turn(world, "acme", Moment(60 * MINUTE, PAID))
    assert minutes(world, 50, 70) == [(UNPAID, 10), (PAID, 10)]


def test_other_accounts_have_moments_of_their_own(world: World) -> None:
    cut = funding.pieces(world, "globex", (0, MINUTE))
    assert cut == [Piece(UNPAID, 0, MINUTE)]


@pytest.mark.parametrize(
    ("rate", "cents", "expected"),
    [
        (60, 60, Bands(free=10, paid=30, unpaid=20)),  # a cent a minute
        (3, 3, Bands(free=1, paid=1, unpaid=1)),  # full after 20, 40 and 60 minutes
        (2, 2, Bands(free=0, paid=1, unpaid=1)),  # full after 30 and 60
        (1, 1, Bands(free=0, paid=0, unpaid=1)),  # full at the very end
        (1, 0, Bands(free=0, paid=0, unpaid=0)),
        (0, 0, Bands()),
        (59, 59, Bands(free=10, paid=30, unpaid=19)),  # full by the borders: 9, 19, 49, 59
        (59, 60, Bands(free=10, paid=30, unpaid=20)),  # rounded up: the last one is of the last band
    ],
)
def test_a_cent_belongs_to_the_band_in_which_it_becomes_full(
    world: World, rate: int, cents: int, expected: Bands
) -> None:
    """An hour: 10 minutes unpaid, 10 free, 30 paid, 10 unpaid."""
    cut = funding.pieces(world, "acme", (0, 60 * MINUTE))
    assert funding.time_by_band(cut) == Bands(free=10 * MINUTE, paid=30 * MINUTE, unpaid=20 * MINUTE)
    assert funding.cents_by_band(cut, rate, cents) == expected


def test_no_cent_is_funded_before_it_is_billed(world: World) -> None:
    """At 6 cents a second, 20.5 seconds make 123 cents, but only the 120 of whole seconds are billed."""
    cut = funding.pieces(world, "acme", (20 * MINUTE - 20_300, 20 * MINUTE + 200))
    assert funding.cents_by_band(cut, 6 * 3600, 120) == Bands(free=120)
