"""As much of Docker's API as starting one container takes.

What it starts is a simulator in a process here, with the variables that the container was to have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from simulator.adapters.cli.options import PREFIX
from tests.support.serving import Serving

NETWORK = {"NetworkSettings": {"Networks": {"bridge": {"Gateway": "127.0.0.1", "IPAddress": "127.0.0.1"}}}}
ID = "c0ffee" * 10 + "c0ff"


class _Daemon(BaseHTTPRequestHandler):
    server: Docker

    def do_GET(self) -> None:
        path = re.sub(r"^/v[\d.]+", "", urlsplit(self.path).path)
        answers: dict[str, Callable[[], Any]] = {
            "/version": lambda: {"ApiVersion": "1.45", "Version": "27.0"},
            "/_ping": lambda: "OK",
            f"/containers/{ID}/json": self.server.container,
            "/containers/json": lambda: [self.server.listed()],
        }
        if path.startswith("/images/"):
            self._answer(200, {"Id": "sha256:0", "Config": {}})
        elif path in answers:
            self._answer(200, answers[path]())
        else:
            self._answer(404, {"message": path})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = re.sub(r"^/v[\d.]+", "", urlsplit(self.path).path)
        if path == "/containers/create":
            self.server.wanted = json.loads(body)
            self._answer(201, {"Id": ID, "Warnings": []})
        elif path == f"/containers/{ID}/start":
            self.server.begin()
            self._answer(204, None)
        else:
            self._answer(204, None)

    def do_DELETE(self) -> None:
        self.server.end()
        self._answer(204, None)

    def _answer(self, status: int, value: Any) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Quiet."""


class Docker(ThreadingHTTPServer):
    """A daemon with one container."""

    wanted: dict[str, Any]
    serving: Serving | None = None

    def begin(self) -> None:
        variables = dict(line.split("=", 1) for line in self.wanted["Env"])
        options = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in variables.items()
            if name.startswith(PREFIX)
        }
        self.serving = Serving(**options)

    def container(self) -> dict[str, Any]:
        runs, ports = self.serving is not None, {}
        if self.serving is not None:
            port = urlsplit(self.serving.url).port
            ports = {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
        state = {"Status": "running" if runs else "created", "Running": runs}
        return {"Id": ID, "State": state, "Name": "/one", "Config": {}, "NetworkSettings": {"Ports": ports}}

    def listed(self) -> dict[str, Any]:
        """The same as a list has it."""
        ports = self.container()["NetworkSettings"]["Ports"]
        flat = [
            {"PrivatePort": 8080, "PublicPort": int(bound["HostPort"]), "IP": bound["HostIp"], "Type": "tcp"}
            for bounds in ports.values()
            for bound in bounds
        ]
        return {
            "Id": ID,
            "Names": ["/one"],
            "Ports": flat,
            "State": "running",
            "HostConfig": {"NetworkMode": "bridge"},
            **NETWORK,
        }

    def end(self) -> None:
        if self.serving is not None:
            self.serving.stop()
            self.serving = None


@contextmanager
def docker() -> Iterator[Docker]:
    daemon = Docker(("127.0.0.1", 0), _Daemon)
    Thread(target=daemon.serve_forever, daemon=True).start()
    try:
        yield daemon
    finally:
        daemon.shutdown()
        daemon.server_close()
        daemon.end()
