"""The sample clients against a simulator on loopback: first steps, the page loop, the retry loop.

They run as they are; only their base URL is another. Where they sleep, they are put on a clock of their own:
what they would have waited is written down, and no time passes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, make_server

import msgspec
import pytest

from simulator.adapters.courier import Courier
from simulator.adapters.web import create_app
from simulator.engine import ClockState
from simulator.resources.clusters.states import Cluster
from simulator.resources.vms.lifecycle import Vm
from simulator.worlds import DEFAULT, Opening, Worlds
from tests.support.http import Client, through_wsgi
from tests.support.samples import EXAMPLES, program, script

Environment = dict[str, str]
Refused = tuple[str, dict[str, str]]
"""A status line, and headers."""

SLEEP = '#!/bin/sh\necho "$1" >> "$SLEPT"\n'
PYTHON = """
import os, runpy, sys, time
def sleep(seconds):
    with open(os.environ["SLEPT"], "a") as slept:
        print(seconds, file=slept)
time.sleep = sleep
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
NODE = """
import { appendFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers/promises";
timers.setTimeout = async (ms) => appendFileSync(process.env.SLEPT, `${ms / 1000}\\n`);
syncBuiltinESMExports();
"""


def bash(folder: Path, environment: Environment) -> list[str]:
    sleep = folder / "sleep"
    sleep.write_text(SLEEP, "utf-8")
    sleep.chmod(0o755)
    environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    assert program("jq"), "the sample reads JSON with it"
    return [program("bash"), str(EXAMPLES / "quickstart.sh")]


def python(folder: Path, environment: Environment) -> list[str]:
    return [sys.executable, "-c", PYTHON, str(EXAMPLES / "quickstart.py")]


def node(folder: Path, environment: Environment) -> list[str]:
    clock = folder / "clock.mjs"
    clock.write_text(NODE, "utf-8")
    return [program("node"), "--import", clock.as_uri(), script("quickstart.ts", folder)]


class Gate:
    """In front of the simulator: it writes the calls down, and answers some of them itself."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self.app = app
        self.calls: list[str] = []
        self.refusing: dict[str, list[Refused]] = {}
        """By the beginning of a call, what the next ones are answered."""

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        call = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        self.calls.append(call)
        left = next((left for begin, left in self.refusing.items() if call.startswith(begin) and left), None)
        if left is None:
            return self.app(environ, start)
        status, headers = left.pop(0)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start(status, [*headers.items(), ("Content-Type", "application/json")])
        return [b'{"error": "come back later"}']


class Quiet(WSGIRequestHandler):
    def log_message(self, *facts: object) -> None:
        pass


class Ran(NamedTuple):
    """How a sample ended, what it printed, and what it would have slept."""

    status: int
    lines: list[str]
    errors: str
    slept: list[float]


class Stage(NamedTuple):
    """A world, the gate in front of it, and a sample to run against them."""

    client: Client
    gate: Gate
    run: Callable[..., Ran]


@pytest.fixture(params=[bash, python, node])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Time moves by 20 s with every call."""
    worlds = Worlds(Courier())
    simulator = worlds.open(DEFAULT, Opening(clock=ClockState(mode="stepped", step_s=20)))
    app = create_app(worlds)
    gate, client = Gate(app), Client(through_wsgi(app), simulator)
    with make_server("127.0.0.1", 0, gate, handler_class=Quiet) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        slept = tmp_path / "slept"
        environment = {
            **os.environ,
            "OPENRELAY_BASE_URL": f"http://127.0.0.1:{server.server_port}",
            "OPENRELAY_API_KEY": client.key,
            "SLEPT": str(slept),
        }
        command = request.param(tmp_path, environment)

        def run(*words: str) -> Ran:
            done = subprocess.run(
                [*command, *words], env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            waits = slept.read_text().split() if slept.exists() else []
            return Ran(
                done.returncode, done.stdout.splitlines(), done.stderr, [float(wait) for wait in waits]
            )

        try:
            yield Stage(client, gate, run)
        finally:
            server.shutdown()
            thread.join()
    assert [entry.facts for entry in simulator.world.journal if entry.kind == "bug"] == []


def test_the_first_steps_start_a_vm_wait_until_it_runs_and_stop_it(stage: Stage) -> None:
    ran = stage.run()
    assert (ran.status, ran.errors) == (0, "")
    assert ran.lines == ["deploying"] * 5 + ["running", "stopped"]
    assert ran.slept == [5] * 5, "90 s of a start at 20 s a call"
    (vm,) = stage.client.world.rows(Vm)
    assert (vm.name, vm.status, vm.reason) == ("quickstart", "stopped", "user_stopped")


def test_a_vm_that_fails_ends_the_wait_with_its_reason(stage: Stage) -> None:
    stage.client.simulator.world.settings = stage.client.world.settings.but(
        {"timing.gpu_vm.booting_s": "never", "vms.deadline_s": 100}
    )
    ran = stage.run()
    assert ran.status != 0
    assert ran.lines[-1] in ("failed", "deploying")
    assert "the start hung in stage booting" in ran.errors


@pytest.mark.parametrize(("what", "kind"), [("vms", Vm), ("clusters", Cluster)])
def test_the_page_loop_sees_every_row_once(stage: Stage, what: str, kind: type[Vm | Cluster]) -> None:
    body = {"name": "row-0", "resourceSize": "small"}
    row_id = stage.client.post(f"/v1/orgs/{{org}}/{what}/create", body).body["id"]
    row = stage.client.world.get(kind, row_id)
    for at in range(1, 103):
        stage.client.world.put(msgspec.structs.replace(row, id=f"{row.id[:-3]}{at:03}", name=f"row-{at}"))
    stage.gate.calls.clear()
    ran = stage.run("list", what)
    assert (ran.status, ran.errors) == (0, "")
    assert sorted(line.split()[0] for line in ran.lines) == sorted(f"row-{at}" for at in range(103))
    assert len(stage.gate.calls) == 3, "me, and two pages"


def test_an_empty_list_is_no_error(stage: Stage) -> None:
    assert stage.run("list") == Ran(0, [], "", [])


def test_a_read_that_is_limited_waits_as_retry_after_says_and_a_little_longer(stage: Stage) -> None:
    stage.gate.refusing["GET /v1/me"] = [("429 Too Many Requests", {"Retry-After": "7"})] * 2
    ran = stage.run("list")
    assert (ran.status, ran.errors) == (0, "")
    assert all(7 <= wait <= 10.5 for wait in ran.slept)
    assert len({*ran.slept, 7.0}) == 3, "with jitter"
    assert stage.gate.calls[:3] == ["GET /v1/me"] * 3


def test_a_read_that_meets_errors_of_the_service_backs_off_and_gives_up(stage: Stage) -> None:
    stage.gate.refusing["GET /v1/orgs"] = [
        ("503 Service Unavailable", {}),
        ("500 Internal Server Error", {}),
    ] * 3
    ran = stage.run("list")
    assert ran.status != 0
    assert "come back later" in ran.errors
    assert len(ran.slept) == 4
    assert all(least <= wait <= 1.5 * least for least, wait in zip((1, 2, 4, 8), ran.slept, strict=True))
    assert len(stage.gate.calls) == 6, "me, and five tries"


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "404 Not Found"])
def test_a_read_that_is_refused_for_good_is_not_repeated(stage: Stage, status: str) -> None:
    stage.gate.refusing["GET /v1/me"] = [(status, {})]
    ran = stage.run("list")
    assert ran.status != 0
    assert f"GET /v1/me: {status[:3]}" in ran.errors
    assert (ran.slept, stage.gate.calls) == ([], ["GET /v1/me"])


@pytest.mark.parametrize("status", ["429 Too Many Requests", "502 Bad Gateway"])
def test_a_write_is_never_repeated(stage: Stage, status: str) -> None:
    stage.gate.refusing["POST"] = [(status, {"Retry-After": "1"})]
    ran = stage.run()
    assert ran.status != 0
    assert status[:3] in ran.errors
    assert ran.slept == []
    assert [call for call in stage.gate.calls if call.startswith("POST")] == stage.gate.calls[1:]
    assert len(stage.gate.calls) == 2
