"""Targets 6 and 7: what the pytest plugin costs a suite that does not use it, and a test that does."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks.comparison import Comparison, Effort, Measure, once, repeated
from benchmarks.processes import ENVIRONMENT
from simulator.testing import Server

TESTS = 20
NEW_VM = {"name": "trainer", "gpuModelId": "rtx-3090"}
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")


def compare(effort: Effort) -> Iterator[Comparison]:
    what = "pytest with the plugin, unused / without it"
    with_it = session("-p", "simulator.testing.plugin")
    yield Comparison(6, what, with_it, session(), at_most=1.1, unit="ms", most_rounds=21)
    if find_spec("moto") is None:
        print("    left out: a world of a test's own / moto's mock_aws; make bench installs it")
        return
    with Server() as server:
        what = "fresh world and a create in process / mock_aws enter and exit"
        ours, other = (repeated(a_test, effort) for a_test in (lambda: asking(server), entering_moto))
        yield Comparison(7, what, ours, other, at_most=0.5)
        what = "the same with httpx over a socket / with boto3 in process"
        ours, other = (repeated(a_test, effort) for a_test in (lambda: connecting(server), asking_moto))
        yield Comparison(7, what, ours, other, at_most=0.5)


def session(*options: str) -> Measure:
    """Seconds for a run of twenty tests that do nothing, and no other plugin."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            body = "".join(f"def test_{number}(): pass\n" for number in range(TESTS))
            Path(folder, "test_nothing.py").write_text(body)
            alone = {**ENVIRONMENT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
            silent = subprocess.DEVNULL
            command = [*PYTEST, *options, folder]
            subprocess.run(command, cwd=folder, env=alone, check=True, stdout=silent, stderr=silent)

    return once(run)


# -- what a test does before it has anything to look at ----------------------------------------------------


def asking(server: Server) -> None:
    with server.open() as openrelay:
        openrelay.ask("POST", f"/v1/orgs/{openrelay.org_id}/vms/create", NEW_VM)


def connecting(server: Server) -> None:
    with server.open() as openrelay:
        created = openrelay.client().post(f"/v1/orgs/{openrelay.org_id}/vms/create", json=NEW_VM)
        assert created.status_code == 200, created.text


def entering_moto() -> None:
    from moto import mock_aws

    with mock_aws():
        pass


def asking_moto() -> None:
    import boto3
    from moto import mock_aws

    with mock_aws():
        ec2 = boto3.client("ec2", region_name="us-east-1")
        ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
