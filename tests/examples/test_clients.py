"""The two example clients on bad days: the careless one fails and is told why, the careful one passes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

WHY = {
    "answers-lost": ('✗  {"leaks": 0}', "left behind, $0.18 an hour and $4.32 a day from now on:"),
    "connection-resets": ("createVm was cut off and not carried out, by fault", "left behind, $0.18"),
    "html-from-the-proxy": ("getVm was answered 502, by fault bad-gateway", "left behind, $0.18"),
    "api-brownout": ("getVm was answered 503, by fault overloaded", "left behind, $0.18"),
    "node-lost": ("trainer went from running to interrupted", "left behind, $0.18"),
    "slow-provisioning": ("fault rule slow-pull struck lifecycle", "left behind, $0.18"),
    "stuck-deploying": ("fault rule pull-hangs struck lifecycle", "'trainer' is failed"),
    "image-pull-fails": ("reason 'container failed to start: image pull failed", "5 vms"),
    "capacity-exhausted rtx-4090": ("createVm was answered 409: ", "0 events"),
    "node-drained rtx-4090": ("trainer went from running to terminated", "1 event"),
}  # fmt: skip
"""Scenario, GPU model where it is not the usual one, and what the careless client is told."""

days = pytest.mark.parametrize("day", WHY)


def live_through(day: str, client: str) -> subprocess.CompletedProcess[str]:
    scenario, *model = day.split()
    return run("run", scenario, "--", sys.executable, EXAMPLES / f"{client}_client.py", *model)


@days
def test_the_careless_client_fails_and_is_told_why(day: str) -> None:
    done = live_through(day, "careless")
    assert done.returncode == 1, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert [why for why in WHY[day] if " ".join(why.split()) not in told] == [], done.stdout
    assert done.stdout.splitlines()[-1].startswith("FAILED: ")


@days
def test_the_careful_client_passes(day: str) -> None:
    done = live_through(day, "careful")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("PASSED: ")


@pytest.mark.parametrize("client", ["careless", "careful"])
def test_on_an_ordinary_day_both_do_their_work(client: str, tmp_path: Path) -> None:
    file = tmp_path / "day.yaml"
    file.write_text(
        "scenario: 1\ntitle: Nothing\nexpect:\n  - {event: vm.terminated, count: 1}\n  - {leaks: 0}\n"
    )
    done = live_through(str(file), client)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "trained"), done.stdout + done.stderr


def test_the_careful_client_leaves_nothing_behind_when_it_is_interrupted(tmp_path: Path) -> None:
    """Ctrl-C after it has looked a few times, sent by a program between them."""
    file = tmp_path / "day.yaml"
    file.write_text("scenario: 1\ntitle: Nothing\nexpect:\n  - {event: vm.running}\n  - {leaks: 0}\n")
    script = (
        "import os, runpy, signal, sys, urllib.request\n"
        "looks, urlopen = [], urllib.request.urlopen\n"
        "def counted(*given, **more):\n"
        "    looks.append(1)\n"
        "    if len(looks) == 40:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return urlopen(*given, **more)\n"
        "urllib.request.urlopen = counted\n"
        "sys.argv[:] = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = run("run", file, "--", sys.executable, "-c", script, EXAMPLES / "careful_client.py")
    assert done.returncode == 130, done.stdout + done.stderr
    assert "all expectations hold, but the command ended with signal SIGINT" in " ".join(done.stdout.split())
