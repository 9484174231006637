"""`--openrelay-coverage`: the behaviours that a session has met, over all worlds and workers."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import pytest

from simulator.insight.coverage import Behaviour, Coverage, coverage

OUTPUT = "openrelay_met"
"""What a worker hands to the session that started it."""
MOST_NAMED = 5


class CoverageReport:
    """A plugin that collects what worlds have met when they are closed, and tells it at the end."""

    def __init__(self, config: pytest.Config, file: str, fail_under: float) -> None:
        if file and Path(file).suffix not in WAYS:
            hint = "before a path write --openrelay-coverage="
            raise pytest.UsageError(f"--openrelay-coverage={file}: take a name in {', '.join(WAYS)}; {hint}")
        self._config, self._file, self._fail_under = config, file, fail_under
        self.met: set[Behaviour] = set()

    @property
    def _is_worker(self) -> bool:
        return hasattr(self._config, "workerinput")

    @property
    def found(self) -> Coverage:
        return coverage(self.met)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker has ended."""
        self.met |= {(group, name) for group, name in getattr(node, "workeroutput", {}).get(OUTPUT, ())}

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._is_worker:
            output: dict[str, Any] = self._config.workeroutput  # type: ignore[attr-defined]
            output[OUTPUT] = sorted(self.met)
            return
        if self._file:
            file = Path(self._file)
            file.write_text(WAYS[file.suffix](self.found), "utf-8")
        if self.found.percent < self._fail_under and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("OpenRelay coverage")
        terminalreporter.write(as_text(self.found))
        if self.found.percent < self._fail_under:
            terminalreporter.write_line(
                f"FAIL: {self.found.percent:.1f} % of the behaviours met, {self._fail_under:g} % wanted",
                red=True,
            )


def as_text(found: Coverage) -> str:
    """A line for each group, with some of what was not met."""
    lines = []
    for group in found.groups:
        some = ", ".join(group.not_met[:MOST_NAMED])
        more = f", and {len(group.not_met) - MOST_NAMED} more" if len(group.not_met) > MOST_NAMED else ""
        missing = f"   not met: {some}{more}" if some else ""
        lines.append(
            f"{group.name:<12} {len(group.met):>4} of {group.total:<4} {group.percent:5.1f} %{missing}\n"
        )
    return "".join(lines) + f"{found.percent:.1f} % of all behaviours\n"


def as_json(found: Coverage) -> str:
    return json.dumps(found.told, indent=1, ensure_ascii=False) + "\n"


def as_html(found: Coverage) -> str:
    """A page of its own, without scripts."""
    sections = "".join(
        f"<h2>{group.name}: {len(group.met)} of {group.total}, {group.percent:.1f} %</h2>\n"
        f"<meter max={group.total} value={len(group.met)}></meter>\n"
        f"<ul>{_items(group.not_met, 'no')}{_items(group.met, 'yes')}</ul>\n"
        for group in found.groups
    )
    return PAGE.format(percent=f"{found.percent:.1f}", sections=sections)


def _items(names: list[str], mark: str) -> str:
    return "".join(f"<li class={mark}>{html.escape(name)}</li>" for name in names)


WAYS = {".txt": as_text, ".json": as_json, ".html": as_html}
"""How a file is written, by its ending. No other file is: what stands behind the option may be a test."""

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>OpenRelay coverage</title>
<style>
 body {{ font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 60em }}
 ul {{ columns: 2; padding-left: 1.2em }} li.no {{ color: #b00020 }} li.yes {{ color: #2e7d32; opacity: .7 }}
 meter {{ width: 100% }}
</style>
<h1>{percent} % of the behaviours were met</h1>
{sections}</html>
"""
