"""Clients that say exactly what they are told, over a real socket or straight into the WSGI application."""

from __future__ import annotations

import io
import json
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.client import HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from simulator.domain import access
from simulator.engine import Simulator
from simulator.kernel.world import World

PATIENCE_S = 60
"""Far more than any answer takes; a test that comes near it hangs."""


class Heard(NamedTuple):
    """An answer as it came over the wire; header names in lower case."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


Body = bytes | tuple[bytes, ...]
"""A tuple is sent in chunks."""
Send = Callable[[str, str, Mapping[str, str], Body], Heard]


def over_socket(host: str, port: int) -> Send:
    def send(method: str, target: str, headers: Mapping[str, str], body: Body) -> Heard:
        chunked = isinstance(body, tuple)
        framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))}
        lines = {"Host": f"{host}:{port}", "Connection": "close", **(framing if body else {}), **headers}
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
        return exchange((host, port), [head.encode("latin-1") + b"\r\n", *_framed(body)], method)

    return send


def exchange(address: tuple[str, int], parts: Iterable[bytes], method: str = "GET") -> Heard:
    """Send bytes as they are, and read one answer."""
    with socket.create_connection(address, PATIENCE_S) as connection:
        for part in parts:
            connection.sendall(part)
        response = HTTPResponse(connection, method=method)
        response.begin()
        raw = response.read()
    return Heard(response.status, {k.lower(): v for k, v in response.getheaders()}, raw)


def _framed(body: Body) -> Iterator[bytes]:
    if isinstance(body, bytes):
        yield body
        return
    for part in body:
        yield b"%x\r\n%b\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


Application = Callable[..., Iterable[bytes]]


def through_wsgi(app: Application) -> Send:
    def send(method: str, target: str, headers: Mapping[str, str], body: Body) -> Heard:
        return answer_of(app, environment(method, target, headers, body))

    return send


def answer_of(app: Application, environ: dict[str, Any]) -> Heard:
    heard: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], failure: object = None) -> None:
        heard[:] = [int(status.split()[0]), {name.lower(): value for name, value in headers}]

    answer = app(environ, start)
    raw = b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    return Heard(heard[0], heard[1], raw)


def environment(method: str, target: str, headers: Mapping[str, str], body: Body) -> dict[str, Any]:
    """What a WSGI server makes of a request."""
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body if isinstance(body, bytes) else b"".join(body)),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if isinstance(body, tuple):
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    elif body:
        environ["CONTENT_LENGTH"] = str(len(body))
    for name, value in headers.items():
        variable = name.upper().replace("-", "_")
        environ[variable if variable.startswith("CONTENT_") else f"HTTP_{variable}"] = value
    return environ


class Client:
    """One world, called by HTTP with its own key."""

    def __init__(self, send: Send, simulator: Simulator) -> None:
        self.send = send
        self.simulator = simulator
        key, self.key = access.fixture_keys(simulator.world)[0]
        self.org = key.organization_id

    @property
    def world(self) -> World:
        return self.simulator.world

    def call(self, method: str, target: str, body: Any = b"", **headers: str) -> Heard:
        """{org} in the target is the key's organization; a body that is no bytes is sent as JSON."""
        sent = {"Authorization": f"Bearer {self.key}"}
        if not isinstance(body, bytes | tuple) or body:
            sent["Content-Type"] = "application/json"
        sent |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        raw = body if isinstance(body, bytes | tuple) else json.dumps(body).encode()
        return self.send(method, target.replace("{org}", self.org), sent, raw)

    def get(self, target: str, **headers: str) -> Heard:
        return self.call("GET", target, **headers)

    def post(self, target: str, body: Any = b"", **headers: str) -> Heard:
        return self.call("POST", target, body, **headers)
