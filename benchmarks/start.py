"""Target 5: from the start of the process to the first answer."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.comparison import Comparison, Effort, Measure
from simulator.domain import access
from simulator.worlds import DEFAULT

ROOT = Path(__file__).parents[1]
PATIENCE_S = 30
BETWEEN_TRIES_S = 0.002

FLOOR = """
from flask import Flask, jsonify
from waitress import serve
app = Flask("floor")
app.get("/v1/me")(lambda: jsonify(id="user_1", email="ada@acme.example"))
serve(app, host="127.0.0.1", port={port}, threads=16)
"""


def compare(effort: Effort) -> Iterator[Comparison]:
    ours = first_answer(["-m", "simulator", "serve", "--port", "{port}"])
    floor = first_answer(["-c", FLOOR])
    yield Comparison(5, "start to first 200 / bare Flask app", ours, floor, 2.5, unit="ms", most_rounds=11)


def first_answer(arguments: list[str]) -> Measure:
    """Seconds from the start of a Python process to its first 200; {port} stands for a free port."""

    def run() -> float:
        port = free_port()
        words = [argument.replace("{port}", str(port)) for argument in arguments]
        start = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as server:
            try:
                wait_for(server, port)
                return time.perf_counter() - start
            finally:
                server.kill()

    return run


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    key = access.fixed_secret(DEFAULT, "vl_", "default")
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and server.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            connection.request("GET", "/v1/me", headers={"Authorization": f"Bearer {key}"})
            status = connection.getresponse().status
            assert status == 200, status
            return
        except ConnectionError:
            time.sleep(BETWEEN_TRIES_S)
        finally:
            connection.close()
    raise AssertionError(f"no answer from the server at port {port}; its exit code is {server.poll()}")
