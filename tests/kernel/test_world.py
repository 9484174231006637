"""Rows, indexes and forks."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from simulator.kernel.settings import Settings
from simulator.kernel.world import Index, Row, World
from tests.support.invariants import indexes_agree_with_rows


class Thing(Row, frozen=True, kw_only=True):
    """A row with an index that leaves some out and one in an order of its own."""

    indexes: ClassVar = {
        "colour": Index(lambda thing: thing.colour),
        "heavy": Index(
            lambda thing: "all" if thing.weight > 5 else None, lambda thing: (thing.weight, thing.id)
        ),
    }

    colour: str
    weight: int = 0


def world() -> World:
    return World("w", 0, 0, Settings())


def test_a_row_is_found_by_id_and_by_index_until_it_is_deleted() -> None:
    w = world()
    thing = w.put(Thing(id="a", colour="red"))
    assert w.find(Thing, "a") == w.first(Thing, "colour", "red") == thing
    w.delete(thing)
    assert w.find(Thing, "a") is None
    assert w.select(Thing, "colour", "red") == []


def test_a_changed_row_moves_between_the_keys_of_an_index() -> None:
    w = world()
    w.change(w.put(Thing(id="a", colour="red")), colour="blue", weight=7)
    assert w.select(Thing, "colour", "red") == []
    assert [thing.id for thing in w.select(Thing, "colour", "blue")] == ["a"]
    assert [thing.id for thing in w.select(Thing, "heavy", "all")] == ["a"]


def test_an_index_keeps_its_order_whatever_the_order_of_puts() -> None:
    w = world()
    for name, weight in (("a", 9), ("b", 6), ("c", 8)):
        w.put(Thing(id=name, colour="red", weight=weight))
    assert [thing.id for thing in w.select(Thing, "heavy", "all")] == ["b", "c", "a"]


def test_the_version_counts_changes_and_not_reads() -> None:
    w = world()
    thing = w.put(Thing(id="a", colour="red"))
    before = w.version
    w.find(Thing, "a")
    w.select(Thing, "colour", "red")
    assert w.version == before
    w.change(thing, weight=1)
    assert w.version == before + 1


WRITES = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from("abcde"),
        st.sampled_from(("red", "blue", None)),
        st.integers(0, 9),
    ),
    max_size=40,
)


@given(WRITES, WRITES)
def test_two_forks_never_see_each_other_and_their_indexes_stay_true(
    before: list[tuple[int, str, str | None, int]], after: list[tuple[int, str, str | None, int]]
) -> None:
    first = world()
    models: list[dict[str, tuple[str, int]]] = [{}, {}]
    for _, name, colour, weight in before:
        _write(first, models[0], name, colour, weight)
    worlds = [first, first.fork("second")]
    models[1] = dict(models[0])
    for which, name, colour, weight in after:
        _write(worlds[which], models[which], name, colour, weight)
    for w, model in zip(worlds, models, strict=True):
        assert {row.id: (row.colour, row.weight) for row in w.rows(Thing)} == model
        indexes_agree_with_rows(w)


def _write(w: World, model: dict[str, tuple[str, int]], name: str, colour: str | None, weight: int) -> None:
    """Put a row, or delete it when the colour is None; the same in the model."""
    if colour is not None:
        w.put(Thing(id=name, colour=colour, weight=weight))
        model[name] = (colour, weight)
    elif (row := w.find(Thing, name)) is not None:
        w.delete(row)
        del model[name]
