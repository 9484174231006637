"""Ways in which a webhook reaches a test: a server on loopback, and an application called directly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from inspect import iscoroutinefunction
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from simulator.domain.events import Outgoing
from simulator.testing.wsgi import environ


class Receiver:
    """A server on loopback for the webhooks of all clouds of a session: a path begins with the name of the
    world."""

    def __init__(self) -> None:
        self.takers: dict[str, Callable[[str, Mapping[str, str], bytes], int]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, name="receiver", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        takers = self.takers

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                take = takers.get(self.path.split("/")[1])
                self.send_response(take(self.path, dict(self.headers), body) if take else 410)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                """Quiet."""

        return Handler


def is_asgi(app: Any) -> bool:
    return iscoroutinefunction(app) or iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004


def call_wsgi(app: Any, outgoing: Outgoing) -> int:
    request = environ("POST", outgoing.url, outgoing.headers, outgoing.body)
    begun: list[str] = []
    for _ in app(request, lambda status, *_: begun.append(status)):
        pass
    return int(begun[0].split()[0])


def call_asgi(app: Any, outgoing: Outgoing) -> int:
    parts = urlsplit(outgoing.url)
    headers = [(name.lower().encode(), value.encode()) for name, value in outgoing.headers.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": parts.scheme,
        "path": parts.path or "/",
        "raw_path": (parts.path or "/").encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(b"host", parts.netloc.encode()), *headers],
        "client": ("127.0.0.1", 0),
        "server": (parts.hostname, parts.port or 443),
    }
    incoming: list[dict[str, Any]] = [{"type": "http.request", "body": outgoing.body, "more_body": False}]
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop() if incoming else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    asyncio.run(app(scope, receive, send))
    return statuses[0]
