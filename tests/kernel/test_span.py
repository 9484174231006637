"""Spans of time as people write them."""

from __future__ import annotations

import pytest

from simulator.kernel.instant import parse_span

SPANS = {
    "5s": 5_000,
    "90": 90_000,
    "0.25": 250,
    "0.001s": 1,
    "2m": 120_000,
    "1h30m": 5_400_000,
    "7d": 604_800_000,
    "1d2h3m4.5s": 93_784_500,
    "0": 0,
}


@pytest.mark.parametrize("text", SPANS)
def test_a_span_is_read_to_the_millisecond(text: str) -> None:
    assert parse_span(text) == SPANS[text]


@pytest.mark.parametrize(
    "text", ["", " ", "s", "-5s", "5 s", "1m5", "5s1m", "1e9", "nan", "0.0001", "٣s", "9" * 41, "soon"]
)
def test_what_is_no_span_is_refused_and_shown(text: str) -> None:
    with pytest.raises(ValueError, match="is no span of time; write it as 90s") as refused:
        parse_span(text)
    assert repr(text[:40]) in str(refused.value)
