"""Run the comparisons and print one table; the record of the manual is made of it too."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from benchmarks import (
    cloning,
    growth,
    lists,
    memory,
    network,
    passing,
    plots,
    plugin,
    serving,
    start,
    validation,
)
from benchmarks.comparison import FULL, QUICK, Comparison, Effort, Measured, figure, measure
from benchmarks.curves import Curve, curves

COMPARISONS: list[Callable[[Effort], Iterator[Comparison]]] = [
    serving.compare,
    validation.compare,
    validation.soundness,
    network.compare,
    network.beside_peers,
    start.compare,
    start.beside_prism,
    cloning.compare,
    plugin.compare,
    passing.compare,
    growth.compare,
    lists.compare,
    memory.compare,
]
SLOW = (validation.soundness, network.beside_peers, start.beside_prism)
"""Left out of a quick run."""
DOCS = Path(__file__).parents[1] / "docs"

COLUMNS = "{:>2}  {:<62}{:>11}{:>11} {:<6}{:>8}{:>7}  {}"


def main() -> int:
    """0 when every bound is kept, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="What the simulator costs, as ratios."
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a smaller large world, no fuzz")
    parser.add_argument("--record", action="store_true", help="measure growth too, for docs/speed.md")
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL
    print(COLUMNS.format("", "ours / other", "ours", "other", "", "ratio", "bound", ""))
    measured = [
        printed(measure(comparison, effort))
        for compare in COMPARISONS
        if not (options.quick and compare in SLOW)
        for comparison in compare(effort)
    ]
    if options.record:
        record(measured, list(curves(effort)))
    return int(any(row.missed for row in measured))


def printed(row: Measured) -> Measured:
    bound, verdict = (
        ("", "") if row.at_most is None else (f"{row.at_most:.3g}", "MISSED" if row.missed else "ok")
    )
    ours, other, ratio = figure(row.ours), figure(row.other), figure(row.ratio)
    print(COLUMNS.format(row.target, row.what, ours, other, row.unit, ratio, bound, verdict), flush=True)
    return row


def record(measured: list[Measured], grown: list[Curve]) -> None:
    """The figures, and the pictures of them, for the manual's page about speed."""
    figures = {
        "python": platform.python_version(),
        "comparisons": [row._asdict() for row in measured],
        "curves": [curve._asdict() for curve in grown],
    }
    text = msgspec.json.format(msgspec.json.encode(figures), indent=1).decode()
    Path(DOCS, "speed.json").write_text(text + "\n", encoding="utf-8")
    plots.ratios(measured, Path(DOCS, "speed.svg"))
    plots.growth(grown, Path(DOCS, "growth.svg"))


if __name__ == "__main__":
    sys.exit(main())
