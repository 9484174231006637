"""Servers as processes of their own: ours, a bare Flask app, and other projects' simulators."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from simulator.kernel.operation import Request

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60
ENVIRONMENT = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Modules are compiled once, as those of an installed package are."""
BETWEEN_TRIES_S = 0.002


class Call(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str] = {}
    body: str = ""

    @classmethod
    def of(cls, request: Request) -> Call:
        """The same as a request in this process."""
        query = f"?{request.query}" if request.query else ""
        return cls(request.method, request.path + query, request.headers, request.body.decode())

    def answered(self, port: int) -> None:
        """Send it once. ConnectionError where nobody listens, AssertionError where it is refused."""
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            connection.request(self.method, self.path, self.body.encode(), dict(self.headers))
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status // 100 == 2, (self, answer.status, text)
        finally:
            connection.close()


class Server(NamedTuple):
    """A program that answers calls."""

    command: tuple[str, ...]
    """{port} stands for a free port."""
    first: tuple[Call, ...]
    """Answered as soon as it serves, in this order; they also make what the other calls look at."""


def python(*words: str) -> tuple[str, ...]:
    return sys.executable, *words


@contextmanager
def running(server: Server) -> Iterator[int]:
    """The port of the server, once its first calls are answered; it is killed in the end."""
    port = free_port()
    command = [word.replace("{port}", str(port)) for word in server.command]
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=silent, stderr=silent) as process:
        try:
            for call in server.first:
                wait_for(process, port, call)
            yield port
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for(process: subprocess.Popen[bytes], port: int, call: Call) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return call.answered(port)
        except ConnectionError:
            time.sleep(BETWEEN_TRIES_S)
    raise AssertionError(f"no answer from {process.args!r}; its exit code is {process.poll()}")
