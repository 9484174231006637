"""The README's commands, pasted into a shell as they stand, against a simulator started as it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.adapters.courier import Courier
from simulator.adapters.server import Server
from simulator.engine import ClockState
from simulator.worlds import DEFAULT, Opening, Worlds
from tests.support.command import run as command

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
GUIDE = (ROOT / "docs/faults.md").read_text("utf-8")
EXPORTS = "\n".join(re.findall(r"^export .*$", README, re.MULTILINE))


def curls(text: str) -> list[str]:
    """The calls of a document's consoles, each with the lines it goes on in."""
    return [
        "\n".join(found).strip()
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
        for found in re.findall(r"^\$ (curl .*?[^\\\n])$((?:\n(?!\$).*)*)", block, re.MULTILINE | re.DOTALL)
    ]


def paste(line: str, base_url: str) -> Any:
    """What a call answers; None for nothing."""
    script = f"{EXPORTS}\n{line}".replace("localhost:8080", base_url).replace("curl ", "curl -sS ", 1)
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    answer = json.loads(run.stdout) if run.stdout else None
    assert not isinstance(answer, dict) or "error" not in answer, (line, run.stdout)
    return answer


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    worlds = Worlds(Courier())
    worlds.open(DEFAULT, Opening(clock=ClockState(mode="live")))
    with Server(worlds, port=0) as server:
        yield f"{server.host}:{server.port}"


def test_the_quickstart_runs_line_by_line_when_it_is_pasted(base_url: str) -> None:
    answers = [paste(line, base_url) for line in curls(README)]
    me, availability, pricing, created, advanced, listed, _, balance, *others = answers
    assert me["organizations"][0]["role"] == "owner"
    assert {"gpuModelId", "vm", "cluster"} <= set(availability[0])
    assert pricing["gpu"]
    assert created["status"] == "deploying"
    assert advanced["events"] >= 4
    assert [(vm["id"], vm["status"]) for vm in listed["items"]] == [(created["id"], "running")]
    assert (balance["balanceCents"], balance["accruedUsageCents"]) == (10_000, 59)
    assert others, "the README shows actions, the journal, faults and worlds too"


def test_the_calls_of_the_guide_to_faults_work_when_they_are_pasted(base_url: str) -> None:
    added, listed, gone = (paste(line, base_url) for line in curls(GUIDE))
    assert "busy" in {rule["id"] for rule in added["items"]}
    assert (listed, gone) == (added, None)


def test_the_verdict_that_the_readme_shows_is_true() -> None:
    """Of the lines it shows, and in that order; dots stand for lines that it leaves out."""
    (shown,) = re.findall(r"```\n( +\+5s .*?)```", README, re.DOTALL)
    done = command("run", "answers-lost", "--", sys.executable, ROOT / "examples/careless_client.py")
    told = "\n".join(line.rstrip() for line in done.stdout.splitlines())
    assert done.returncode == 1
    for part in shown.strip("\n").split("\n…\n"):
        before, found, told = told.partition(part)
        assert found, (part, before)


def test_the_python_of_the_readme_makes_an_application_that_answers() -> None:
    _, block = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(block, namespace)
    answer = namespace["app"].test_client().get("/health")
    assert (answer.status_code, answer.json["status"]) == (200, "ok")
