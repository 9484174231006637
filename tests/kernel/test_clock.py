"""Virtual time: order, cancelling, housekeeping, forks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.kernel.clock import Clock, Grade


def fired(clock: Clock, until_ms: int) -> list[tuple[int, str]]:
    found = []
    while timer := clock.pop_due(until_ms):
        assert clock.now_ms == timer.due_ms
        found.append((timer.due_ms, timer.name))
    return found


def test_timers_fire_in_order_of_time_and_of_setting() -> None:
    clock = Clock(0)
    clock.after(20, "late")
    clock.after(10, "first of two")
    clock.after(10, "second of two")
    assert fired(clock, 15) == [(10, "first of two"), (10, "second of two")]
    assert fired(clock, 20) == [(20, "late")]


def test_a_timer_that_is_not_due_leaves_the_clock_where_it_is() -> None:
    clock = Clock(0)
    clock.after(10, "later")
    assert clock.pop_due(9) is None
    assert clock.now_ms == 0


def test_the_timers_of_an_owner_are_taken_back_together_and_no_others() -> None:
    clock = Clock(0)
    clock.after(10, "gone", "vm-1")
    clock.after(10, "stays", "vm-2")
    clock.after(20, "gone too", "vm-1")
    clock.after(20, "of nobody")
    clock.cancel_of("vm-1")
    clock.cancel_of("vm-3")
    clock.cancel_of("vm-2", "another name")
    assert len(clock) == 2
    assert [timer.name for timer in clock.pending_of("vm-2")] == ["stays"]
    assert clock.pending_of("vm-1") == ()
    assert fired(clock, 20) == [(10, "stays"), (20, "of nobody")]
    assert clock.rests(Grade.calendar)


def test_housekeeping_does_not_keep_the_world_from_being_idle() -> None:
    clock = Clock(0)
    clock.at(100, "month end", (), grade=Grade.calendar)
    assert clock.rests()
    assert clock.rests(Grade.watch)
    clock.at(50, "deadline", (), grade=Grade.watch)
    assert clock.rests()
    assert not clock.rests(Grade.watch)
    clock.after(5, "work")
    assert not clock.rests()
    assert (clock.next_due_ms(), clock.next_work_ms()) == (5, 5)
    assert fired(clock, 50) == [(5, "work"), (50, "deadline")]
    assert clock.rests(Grade.watch)
    assert (clock.next_due_ms(), clock.next_work_ms()) == (100, None)


def test_a_fork_has_the_same_future_and_its_own_from_there() -> None:
    clock = Clock(0)
    clock.after(10, "both")
    twin = clock.fork()
    clock.after(5, "only here")
    twin.after(7, "only there")
    assert fired(clock, 20) == [(5, "only here"), (10, "both")]
    assert fired(twin, 20) == [(7, "only there"), (10, "both")]


@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from(Grade)), max_size=30))
def test_any_timers_fire_sorted_and_the_count_agrees(plan: list[tuple[int, Grade]]) -> None:
    clock = Clock(0)
    for number, (due, grade) in enumerate(plan):
        clock.at(due, str(number), (), grade=grade)
    expected = sorted((due, number) for number, (due, _) in enumerate(plan))
    assert len(clock) == len(plan)
    assert fired(clock, 50) == [(due, str(number)) for due, number in expected]
    assert len(clock) == 0
    assert clock.rests(Grade.calendar)
