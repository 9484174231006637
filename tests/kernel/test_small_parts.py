"""Money, moments, chance, settings, refusals, tables, journal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.kernel import instant
from simulator.kernel.journal import Journal
from simulator.kernel.machine import NEW, SAME, Machine, row
from simulator.kernel.money import hours, runway_hours, usage_cents
from simulator.kernel.refusal import CODES, Refusal, nearest
from simulator.kernel.settings import SETTINGS, Settings, UnknownSetting
from simulator.kernel.streams import Streams

# -- money and moments


def test_the_example_of_the_service_comes_out_to_the_cent() -> None:
    assert usage_cents(9_005_000, 411) == 1028
    assert runway_hours(10_430, 50, 414) == 25.07


@given(st.integers(0, 10**10), st.integers(0, 10**6))
def test_usage_is_the_exact_price_rounded_down(seconds: int, rate: int) -> None:
    cents = usage_cents(seconds * 1000 + 999, rate)
    assert cents * 3600 <= seconds * rate < (cents + 1) * 3600


@pytest.mark.parametrize(
    ("rounding", "cents"),
    [
        ("floor", [0, 0, 0, 0, 1, 1, 1, 2]),
        ("nearest", [0, 0, 1, 1, 1, 1, 2, 2]),
        ("up", [0, 1, 1, 1, 1, 2, 2, 2]),
    ],
)
def test_what_is_left_of_a_cent_is_dropped_rounded_or_filled_up(rounding: str, cents: list[int]) -> None:
    """At 60 cents an hour a cent is a minute."""
    seconds = (0, 1, 30, 59, 60, 61, 90, 120)
    assert [usage_cents(span * 1000 + 999, 60, rounding) for span in seconds] == cents


def test_runway_is_none_without_burn_and_never_negative() -> None:
    assert runway_hours(1000, 50, 0) is None
    assert runway_hours(-7, 50, 100) == 0


def test_hours_count_each_gpu() -> None:
    assert hours(1_800_000, 4) == 2.0


@given(st.integers(0, instant.LATEST_MS))
def test_a_moment_is_read_back_as_it_was_written(moment_ms: int) -> None:
    assert instant.parse_iso(instant.iso(moment_ms)) == moment_ms


def test_months_follow_each_other_over_the_year() -> None:
    assert instant.next_month("2026-12") == "2027-01"
    assert instant.month_of(instant.month_start("2027-01") - 1) == "2026-12"


def test_a_moment_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="names no offset"):
        instant.parse_iso("2026-06-15T09:00:00")


# -- chance


def test_a_stream_depends_on_seed_purpose_and_count_alone() -> None:
    first, second = Streams(1), Streams(1)
    second.uuid("other purpose")
    assert [first.uuid("vm") for _ in range(3)] == [second.uuid("vm") for _ in range(3)]
    assert Streams(2).uuid("vm") != Streams(1).uuid("vm")


def test_a_uuid_is_one_of_version_four() -> None:
    shape = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    streams = Streams(0)
    assert all(re.fullmatch(shape, streams.uuid("vm")) for _ in range(200))


def test_every_value_of_a_range_comes_up() -> None:
    streams = Streams(0)
    assert {streams.below("dice", 6) for _ in range(200)} == set(range(6))


# -- settings


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("billing.tick_s", "30", 30),
        ("vms.queue", "true", True),
        ("profile", "2026-10", "2026-10"),
        ("timing.gpu_vm.booting_s", "10..20", (10.0, 20.0)),
        ("timing.gpu_vm.booting_s", "never", None),
        ("timing.gpu_vm.booting_s", 7, (7.0,)),
        ("webhooks.retry_s", "[1, 2]", (1.0, 2.0)),
    ],
)
def test_a_setting_is_read_in_its_own_type(key: str, value: object, read: object) -> None:
    assert Settings({key: value})[key] == read


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        ("billing.tik_s", 60, "billing.tick_s"),
        ("billing.tick_s", "soon", "a whole number of at least 1"),
        ("billing.tick_s", 0, "a whole number of at least 1"),
        ("billing.tick_s", 1.5, "a whole number"),
        ("billing.tick_s", float("nan"), "a whole number"),
        ("billing.tick_s", float("inf"), "a whole number"),
        ("billing.tick_s", True, "a whole number"),
        ("vms.queue", "perhaps", "true or false"),
        ("profile", "2025-01", "2026-06, 2026-07, 2026-10"),
        ("timing.gpu_vm.booting_s", "-1", "never"),
        ("timing.gpu_vm.booting_s", "nan", "never"),
        ("vms.endpoint_domain", "", "a text"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_would_be_right(key: str, value: object, right: str) -> None:
    with pytest.raises(UnknownSetting, match=re.escape(right)):
        Settings().but({key: value})


def test_the_default_of_every_setting_is_a_value_it_takes() -> None:
    assert dict(Settings({key: row.default for key, row in SETTINGS.items()})) == dict(Settings())


# -- refusals


def test_every_status_is_an_error_status_or_a_setting_that_holds_one() -> None:
    settings = Settings()
    for code in CODES:
        assert 400 <= Refusal(code, "text").status(settings) < 600


def test_generic_codes_follow_the_style_and_specific_ones_are_upper() -> None:
    upper = Settings({"errors.code_style": "upper"})
    assert Refusal("not_found", "text").wire_code(Settings()) == "not_found"
    assert Refusal("not_found", "text").wire_code(upper) == "NOT_FOUND"
    assert Refusal("NAME_TAKEN", "text").wire_code(Settings()) == "NAME_TAKEN"


def test_a_hint_names_the_nearest_word_or_all_of_them() -> None:
    assert nearest("createVN", ["createVm", "stopVm"]) == "; did you mean 'createVm'?"
    assert nearest("???", ["b", "a"]) == "; known are a, b"


# -- tables


def test_a_table_refuses_a_missing_pair_with_its_code_and_says_what_would_fit() -> None:
    machine = Machine("Door", ("open", "shut"), [row("shut", "open", "shut")], {"shut": {"*": "conflict"}})
    with pytest.raises(Refusal, match="door is shut; shut needs it to be open"):
        machine.step("shut", "shut", "door")


@pytest.mark.parametrize(
    ("steps", "refusals", "problem"),
    [
        ([row("shut", "open", "ajar")], {}, "unknown states"),
        ([row("shut", ("open", "ajar"), "shut")], {}, "unknown states"),
        ([row("shut", "open", "shut"), row("shut", "open", SAME)], {}, "two rows"),
        ([row("make", NEW, "open")], {"break": {}}, "unknown trigger"),
        ([row("shut", "open", "shut")], {"shut": {"*": "NO_SUCH_CODE"}}, "unknown code"),
        ([row("shut", "open", "shut")], {"shut": {"ajar": "conflict"}}, "unknown state"),
    ],
)
def test_a_table_that_is_wrong_cannot_be_built(steps, refusals, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        Machine("Door", ("open", "shut"), steps, refusals)


# -- journal


def test_the_oldest_entries_go_and_are_counted() -> None:
    journal = Journal(limit=3)
    for number in range(5):
        journal.add(0, "action", None, {"number": number})
    assert [entry.facts["number"] for entry in journal] == [2, 3, 4]
    assert (len(journal), journal.dropped, journal.serial) == (3, 2, 5)
