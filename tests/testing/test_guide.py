"""The examples of docs/testing.md, each of them a test file that passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.insight.findings import RULES

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "testing.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_passes(pytester: pytest.Pytester, number: int) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(EXAMPLES[number])
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:schemathesis")
    outcomes = result.parseoutcomes()
    assert set(outcomes) == {"passed"}, result.stdout.str()


def test_every_finding_and_option_is_named() -> None:
    paragraph = GUIDE.split("Findings are: ")[1].split("\n\n")[0]
    assert set(RULES) == set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", paragraph))
    for option in ("seed", "scenario", "crash-points", "seeds", "coverage", "coverage-fail-under"):
        assert f"--openrelay-{option}" in GUIDE
