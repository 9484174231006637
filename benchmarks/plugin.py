"""Targets 6 and 7: what the pytest plugin costs a suite that does not use it, and a test that does."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks.comparison import Comparison, Effort, Measure, once, repeated
from simulator.testing import Server

TESTS = 20
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")


def compare(effort: Effort) -> Iterator[Comparison]:
    yield Comparison(
        6,
        "pytest with the plugin, unused / without it",
        session(),
        session("-p", "no:openrelay"),
        at_most=1.1,
        unit="ms",
        most_rounds=21,
    )
    if find_spec("moto") is None:
        print("    left out: a world of a test's own / moto's mock_aws; pip install 'moto[ec2]'")
        return
    with Server() as server:
        yield Comparison(
            7,
            "fresh world, client and one create / mock_aws enter and exit",
            repeated(lambda: a_test(server), effort),
            repeated(mock_aws(), effort),
            at_most=0.5,
        )


def session(*options: str) -> Measure:
    """Seconds for a run of twenty tests that do nothing."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            body = "".join(f"def test_{number}(): pass\n" for number in range(TESTS))
            Path(folder, "test_nothing.py").write_text(body)
            subprocess.run([*PYTEST, *options, folder], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    return once(run)


def a_test(server: Server) -> None:
    """What a test does before it has anything to look at."""
    with server.open() as openrelay:
        created = openrelay.client().post(
            f"/v1/orgs/{openrelay.org_id}/vms/create", json={"name": "trainer", "gpuModelId": "rtx-3090"}
        )
        assert created.status_code == 200, created.text


def mock_aws() -> Callable[[], None]:
    from moto import mock_aws as mock

    def enter_and_exit() -> None:
        with mock():
            pass

    return enter_and_exit
