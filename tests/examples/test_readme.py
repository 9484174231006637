"""The README's commands, pasted into a shell as they stand, against a simulator started as it says."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.adapters.courier import Courier
from simulator.adapters.server import Server
from simulator.engine import ClockState
from simulator.worlds import DEFAULT, Opening, Worlds

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
EXPORTS = "\n".join(re.findall(r"^export .*$", README, re.MULTILINE))
CURLS = [
    "\n".join(found).strip()
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for found in re.findall(r"^\$ (curl .*?[^\\\n])$((?:\n(?!\$).*)*)", block, re.MULTILINE | re.DOTALL)
]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    worlds = Worlds(Courier())
    worlds.open(DEFAULT, Opening(clock=ClockState(mode="live")))
    with Server(worlds, port=0) as server:
        yield f"{server.host}:{server.port}"


def test_the_quickstart_runs_line_by_line_when_it_is_pasted(base_url: str) -> None:
    answers = []
    for line in CURLS:
        script = f"{EXPORTS}\n{line}".replace("localhost:8080", base_url).replace("curl ", "curl -sS ", 1)
        run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60)
        answers.append(json.loads(run.stdout))
        assert "error" not in answers[-1], (line, run.stdout)
    me, availability, pricing, created, advanced, listed, _, balance, *others = answers
    assert me["organizations"][0]["role"] == "owner"
    assert {"gpuModelId", "vm", "cluster"} <= set(availability[0])
    assert pricing["gpu"]
    assert created["status"] == "deploying"
    assert advanced["events"] >= 4
    assert [(vm["id"], vm["status"]) for vm in listed["items"]] == [(created["id"], "running")]
    assert (balance["balanceCents"], balance["accruedUsageCents"]) == (10_000, 59)
    assert others, "the README shows actions, the journal and worlds too"


def test_the_python_of_the_readme_makes_an_application_that_answers() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(block, namespace)
    answer = namespace["app"].test_client().get("/health")
    assert (answer.status_code, answer.json["status"]) == (200, "ok")
