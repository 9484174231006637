"""Every comparison runs, on the least work there is. What it measures here means nothing."""

from __future__ import annotations

import gc

import pytest

from benchmarks import network
from benchmarks.__main__ import COMPARISONS, SLOW
from benchmarks.comparison import Comparison, Effort, Measured, measure
from benchmarks.curves import curves

LEAST = Effort(rounds=1, seconds=0.001, small=100, large=110, month=20)
QUICK_COMPARISONS = [compare for compare in COMPARISONS if compare not in (*SLOW, network.compare)]


@pytest.mark.parametrize("compare", QUICK_COMPARISONS, ids=lambda compare: compare.__module__)
def test_a_comparison_runs(compare) -> None:
    measured = [measure(comparison, LEAST) for comparison in compare(LEAST)]
    assert measured
    for row in measured:
        assert min(row.ours, row.other, row.ratio) > 0, row
        assert len(row.what) <= 62, "wider than its column"


def test_a_load_over_the_network() -> None:
    row = measure(next(network.compare(LEAST)), LEAST)
    assert min(row.ours, row.other) > 0, row


def test_a_curve_has_a_point_for_each_number() -> None:
    grown = list(curves(LEAST, vms=(100, 110), worlds=(1, 2)))
    assert {"create", "save", "load", "fork"} <= {curve.what for curve in grown if curve.of == "VMs"}
    for curve in grown:
        assert list(curve.points) == ([100, 110] if curve.of == "VMs" else [1, 2])
        assert min(curve.points.values()) > 0


def test_the_ratio_is_the_median_of_the_rounds_and_a_cost_the_least() -> None:
    ours, other = iter((3.0, 2.0, 40.0)), iter((1.0, 2.0, 4.0))
    comparison = Comparison(1, "this / that", lambda: next(ours), lambda: next(other), 2.0, unit="s")
    measured = measure(comparison, LEAST._replace(rounds=3))
    assert measured == Measured(1, "this / that", 2.0, 1.0, "s", 3.0, 2.0)
    assert measured.missed
    assert gc.isenabled()
