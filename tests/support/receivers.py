"""Receivers of webhooks on loopback: real sockets that answer well, badly, or not at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Serve = Callable[[socket.socket], None]

CLOSED_PORT = 1
"""Nobody listens there, and no other test can be given it."""


class Receiver:
    """A listening socket that hands each connection to `serve`, one after the other."""

    def __init__(self, serve: Serve, host: str = "127.0.0.1") -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.closing = threading.Event()
        self._serve = serve
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}/hook?a=1"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection, suppress(OSError):
                self._serve(connection)

    def close(self) -> None:
        self.closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        assert not self._thread.is_alive(), "the receiver hangs"


@contextmanager
def receiver(serve: Callable[[Receiver, socket.socket], None], host: str = "127.0.0.1") -> Iterator[Receiver]:
    """A receiver for as long as the block lasts."""
    made: list[Receiver] = []
    made.append(Receiver(lambda connection: serve(made[0], connection), host))
    try:
        yield made[0]
    finally:
        made[0].close()


def read_request(connection: socket.socket) -> bytes:
    """Head and body of one request, whose head has a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += _more(connection)
    return head + b"\r\n\r\n" + body


def _more(connection: socket.socket) -> bytes:
    chunk = connection.recv(65536)
    if not chunk:
        raise ConnectionError("the sender went away")
    return chunk


def answering(*parts: bytes) -> Callable[[Receiver, socket.socket], None]:
    """Reads the request, then sends these bytes and hangs up."""

    def serve(receiver: Receiver, connection: socket.socket) -> None:
        receiver.requests.append(read_request(connection))
        for part in parts:
            connection.sendall(part)

    return serve


def answer(status: str, body: bytes = b"", *headers: bytes) -> bytes:
    """An HTTP answer as bytes."""
    head = [f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body
