"""Run the comparisons and print one table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import cloning, growth, lists, memory, passing, plugin, serving, start, validation
from benchmarks.comparison import FULL, QUICK, Comparison, Effort, Measured, measure

COMPARISONS: list[Callable[[Effort], Iterator[Comparison]]] = [
    serving.compare,
    validation.compare,
    validation.soundness,
    start.compare,
    cloning.compare,
    plugin.compare,
    passing.compare,
    growth.compare,
    lists.compare,
    memory.compare,
]
SLOW = (validation.soundness,)
"""Left out of a quick run."""

COLUMNS = "{:>2}  {:<62}{:>11}{:>11} {:<6}{:>8}{:>7}  {}"


def main() -> int:
    """0 when every bound is kept, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="What the simulator costs, as ratios."
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a smaller large world, no fuzz")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL
    print(COLUMNS.format("", "ours / other", "ours", "other", "", "ratio", "bound", ""))
    measured = [
        printed(measure(comparison, effort))
        for compare in COMPARISONS
        if not (options.quick and compare in SLOW)
        for comparison in compare(effort)
    ]
    if options.json:
        figures = [row._asdict() for row in measured]
        options.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(any(row.missed for row in measured))


def printed(row: Measured) -> Measured:
    bound, verdict = (
        ("", "") if row.at_most is None else (f"{row.at_most:g}", "MISSED" if row.missed else "ok")
    )
    ours, other, ratio = figure(row.ours), figure(row.other), figure(row.ratio)
    print(COLUMNS.format(row.target, row.what, ours, other, row.unit, ratio, bound, verdict), flush=True)
    return row


def figure(number: float) -> str:
    """Three digits that count."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


if __name__ == "__main__":
    sys.exit(main())
