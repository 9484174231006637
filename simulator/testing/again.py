"""Running a test again, each time in a cloud where something else goes wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol

from simulator.testing.plugin import CALLS, RULES

if TYPE_CHECKING:
    from simulator.testing.cloud import Recorded

Rules = Sequence[Mapping[str, Any]]


class Again:
    """A plugin that runs each test with a cloud, and where it passes, runs it again."""

    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        if "openrelay" not in getattr(item, "fixturenames", ()):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = self.run(item, nextitem, ())
        if not failure_of(reports):
            told = self.try_again(item, nextitem, item.stash.get(CALLS, []))
            if told:
                _fail(reports, told)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def run(self, item: pytest.Item, nextitem: pytest.Item | None, rules: Rules) -> list[pytest.TestReport]:
        """Once, its fixtures set up anew, in a cloud with more fault rules."""
        item.stash[RULES] = [dict(rule) for rule in rules]
        item._initrequest()  # type: ignore[attr-defined]
        return list(runtestprotocol(item, nextitem=nextitem, log=False))

    def try_again(self, item: pytest.Item, nextitem: pytest.Item | None, calls: list[Recorded]) -> str:
        """What went wrong in another run; "" where none did."""
        raise NotImplementedError


def failure_of(reports: Sequence[pytest.TestReport]) -> str:
    """What a run says of its failure; "" for none. A test that was skipped did not fail."""
    failed = next((report for report in reports if report.failed), None)
    return "" if failed is None else failed.longreprtext or "it failed"


def _fail(reports: Sequence[pytest.TestReport], told: str) -> None:
    """Let the run that passed tell of the one that did not."""
    call = next(report for report in reports if report.when == "call")
    call.outcome = "failed"
    call.longrepr = told
