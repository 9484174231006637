"""A running simulator: waitress on a socket, and the pacer beside it.

In the foreground for the command line, in a thread for tests. Starting takes milliseconds, and stopping waits
for nobody but the calls under way, a second at the most.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from threading import Thread
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask, ThreadedTaskDispatcher
from waitress.trigger import trigger

from simulator.adapters.pacer import Pacer
from simulator.adapters.web import FILE_LIMIT, create_app, error_reply
from simulator.worlds import Worlds

THREADS = 16
"""Calls answered at once; a receiver that calls back from inside a webhook takes a second one."""
CONNECTIONS = 2000
LARGEST_BODY = 2 * FILE_LIMIT
"""Where waitress refuses by itself. What is smaller is refused by the application, in the API's form."""
LAST_CALLS_S = 1


class CannotListen(Exception):
    """The address is not to be had; the text says which, and why."""


class Server:
    """Serves the worlds at a host and port (0: a free one). `url` is known as soon as it is made."""

    def __init__(
        self, worlds: Worlds, host: str = "127.0.0.1", port: int = 8080, control_token: str = ""
    ) -> None:
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue is no news
        listening = _listen(host, port)
        self.host, self.port = listening.getsockname()[:2]
        self.worlds = worlds
        self._thread: Thread | None = None
        self._stopping = False
        self._sockets: Any = {}
        self._wake = trigger(self._sockets)
        self._dispatcher = ThreadedTaskDispatcher()
        self._dispatcher.set_thread_count(THREADS)
        self._pacer = Pacer(worlds)
        server: Any = create_server(
            create_app(worlds, control_token=control_token, loopback=is_loopback(self.host)),
            map=self._sockets,
            _dispatcher=self._dispatcher,
            sockets=[listening],
            server_name=self.host,
            ident=None,
            connection_limit=CONNECTIONS,
            max_request_body_size=LARGEST_BODY,
            asyncore_use_poll=True,
        )
        server.channel_class = _Channel

    @property
    def url(self) -> str:
        """The base URL for a client on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def run(self) -> None:
        """Serve until somebody calls `stop`."""
        self._pacer.start()
        while not self._stopping:
            wasyncore.loop(timeout=60, use_poll=True, map=self._sockets, count=1)
        self._pacer.stop()
        self._dispatcher.shutdown(timeout=LAST_CALLS_S)
        wasyncore.close_all(self._sockets)

    def start(self) -> None:
        """Serve in a thread."""
        self._thread = Thread(target=self.run, name="server", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End `run`; from any thread or a signal handler, once or more."""
        if not self._stopping:
            self._stopping = True
            self._wake.pull_trigger()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()


class _Unreadable(ErrorTask):
    """What is not even HTTP is answered in the form of the API's errors too."""

    def execute(self) -> None:
        problem: Any = self.request.error  # type: ignore[attr-defined]
        code = {413: "payload_too_large", 500: "internal"}.get(problem.code, "bad_request")
        reply = error_reply(problem.code, code, f"{problem.reason}: {problem.body}")
        self.status = f"{problem.code} {problem.reason}"
        self.response_headers = list(reply.headers.items())
        self.set_close_on_finish()
        self.content_length = len(reply.body)
        self.write(reply.body)


class _Channel(HTTPChannel):
    error_task_class = _Unreadable


def is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as problem:
        number = problem.errno or 0  # negative where the name could not be looked up
        reason = os.strerror(number) if number > 0 else problem.strerror or str(problem)
        raise CannotListen(f"cannot listen on {host} port {port}: {reason}") from None
