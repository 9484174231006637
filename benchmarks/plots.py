"""The figures of the manual as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.comparison import Measured
from benchmarks.curves import Curve

KEPT, MISSED, UNBOUND = "#009688", "#d32f2f", "#90a4ae"
SURFACE = {"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.family": "sans-serif", "font.size": 9}


def ratios(rows: Sequence[Measured], file: Path) -> None:
    """A bar for each comparison from even to its ratio, and a mark where its bound is."""
    from matplotlib import pyplot

    shown = [row for row in rows if row.ratio > 0][::-1]
    with pyplot.rc_context(SURFACE):
        figure, axes = pyplot.subplots(figsize=(9, 0.24 * len(shown) + 0.8), layout="constrained")
        colours = [UNBOUND if row.at_most is None else MISSED if row.missed else KEPT for row in shown]
        lengths = [row.ratio - 1 for row in shown]
        axes.barh([row.what for row in shown], lengths, left=1, color=colours, height=0.6)
        for at, row in enumerate(shown):
            if row.at_most:
                axes.plot([row.at_most] * 2, [at - 0.45, at + 0.45], color="black", linewidth=1.5)
        axes.axvline(1, color="grey", linewidth=0.5)
        axes.set_xscale("log")
        axes.set_xlabel("ours / other: to the left is quicker, the black mark is the bound")
        axes.margins(y=0.01)
        figure.savefig(file, metadata={"Date": None})
        pyplot.close(figure)


def growth(curves: Sequence[Curve], file: Path) -> None:
    """A line for each curve, both scales logarithmic: level is what does not grow."""
    from matplotlib import pyplot

    kinds = list(dict.fromkeys(curve.of for curve in curves))
    with pyplot.rc_context(SURFACE):
        figure, panels = pyplot.subplots(1, len(kinds), figsize=(9, 4), sharey=True, layout="constrained")
        for axes, kind in zip(panels, kinds, strict=True):
            for curve in curves:
                if curve.of == kind:
                    axes.plot(list(curve.points), list(curve.points.values()), marker="o", label=curve.what)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel(kind)
            axes.grid(alpha=0.3)
            axes.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
        panels[0].set_ylabel("seconds")
        figure.savefig(file, metadata={"Date": None})
        pyplot.close(figure)
