"""The example project's suite, as its users run it: as it is, and with each of the plugin's options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FLEET = Path(__file__).resolve().parents[2] / "examples" / "fleet"
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis")


@pytest.mark.parametrize(
    "options",
    [
        ("--openrelay-coverage-fail-under=4",),
        ("--openrelay-crash-points=writes", "tests/test_trainer.py"),
        ("--openrelay-seeds=5", "-k", "leaves_nothing_behind"),
    ],
    ids=["coverage", "crash points", "seeds"],
)
def test_the_suite_passes(options: tuple[str, ...]) -> None:
    done = subprocess.run(
        [*PYTEST, *options], cwd=FLEET, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_project_knows_nothing_of_a_simulator() -> None:
    for file in (FLEET / "fleet").glob("*.py"):
        text = file.read_text("utf-8")
        assert "import simulator" not in text
        assert "OPENRELAY_SIM" not in text
