"""A running simulator: waitress on a socket, and the pacer beside it.

In the foreground for the command line, in a thread for tests. Starting takes milliseconds, and stopping waits
for nobody but the calls under way, a second at the most.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import selectors
import socket
import struct
import sys
from contextlib import suppress
from threading import Lock, Thread
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.trigger import trigger

from simulator.adapters.pacer import Pacer
from simulator.adapters.web import FILE_LIMIT, create_app, error_reply
from simulator.worlds import Worlds

THREADS = 16
"""Threads to begin with."""
MOST_THREADS = 500
"""Calls answered at once. An advance holds its thread while its receivers are called, and one that calls the
API back from inside a webhook needs a second one [choice: the advances of 250 tests at once]."""
CONNECTIONS = 2000
LARGEST_BODY = 2 * FILE_LIMIT
"""Where waitress refuses by itself. What is smaller is refused by the application, in the API's form."""
LAST_CALLS_S = 1
HANDLERS = {
    wasyncore.dispatcher.handle_read_event.__code__,
    wasyncore.dispatcher.handle_write_event.__code__,
}
"""Where the thread at the sockets is while it handles what came, and not while it waits."""
LONGEST_SLEEP_S = 1
"""A signal that another thread takes, or that comes just before the sleep, is seen only after it."""


class CannotListen(Exception):
    """The address is not to be had; the text says which, and why."""


class Server:
    """Serves the worlds at a host and port (0: a free one). `url` is known as soon as it is made."""

    def __init__(
        self, worlds: Worlds, host: str = "127.0.0.1", port: int = 8080, control_token: str = ""
    ) -> None:
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue is no news
        listening = listen(host, port)
        self.host, self.port = listening.getsockname()[:2]
        self.worlds = worlds
        self._thread: Thread | None = None
        self._stopping = False
        self._sockets: Any = {}
        self._wake = trigger(self._sockets)
        self._dispatcher = _Crew()
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
            clear_untrusted_proxy_headers=False,  # what a proxy says of TLS is wanted
        )
        server.channel_class = _Channel

    @property
    def url(self) -> str:
        """The base URL for a client on this machine."""
        return base_url(self.host, self.port)

    @property
    def busy(self) -> bool:
        """Whether a request arrives, waits, is being answered, or its answer has not left yet. Looked for in
        the order in which a request goes, so that none is missed on its way."""
        crew = self._dispatcher
        return self._at_sockets() or bool(crew.queue) or crew.active_count > 0 or self._at_sockets()

    def _at_sockets(self) -> bool:
        """Whether the thread at the sockets has something to do, or does it."""
        try:
            with selectors.DefaultSelector() as ready:
                for number, each in list(self._sockets.items()):
                    unsent = getattr(each, "total_outbufs_len", 0) > 0
                    ready.register(number, selectors.EVENT_READ | unsent * selectors.EVENT_WRITE)
                if ready.select(0):
                    return True
        except (OSError, ValueError):  # one was closed meanwhile
            return True
        thread = self._thread
        frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
        while frame is not None and frame.f_code not in HANDLERS:
            frame = frame.f_back
        return frame is not None

    def run(self) -> None:
        """Serve until somebody calls `stop`."""
        self._pacer.start()
        while not self._stopping:
            wasyncore.loop(timeout=LONGEST_SLEEP_S, use_poll=True, map=self._sockets, count=1)
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
            with suppress(OSError):  # other code of this process closed the pipe; it is seen within a second
                self._wake.pull_trigger()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()


class _Crew(ThreadedTaskDispatcher):
    """Threads that grow in number when all of them are busy, so that no call waits for another to end. Those
    that came stay: one more costs a few kilobytes, and a suite needs as many again."""

    def __init__(self) -> None:
        super().__init__()
        self._growing = Lock()

    def add_task(self, task: Any) -> None:
        with self._growing:
            with self.lock:
                threads = len(self.threads) - self.stop_count
                all_taken = self.active_count + len(self.queue) >= threads
            if all_taken and 0 < threads < MOST_THREADS:  # at 0 it is being shut down
                self.set_thread_count(threads + 1)
            super().add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: int = 5) -> bool:
        with self._growing:
            self.set_thread_count(0)
        return super().shutdown(cancel_pending, timeout)


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


class _Task(WSGITask):
    """Cuts the connection where a fault of the simulator asks for it, as a peer does that went away: what was
    promised does not come, and what was not yet sent is lost."""

    def service(self) -> None:
        try:
            self.start()
            self.execute()
            self.finish()
        except ConnectionAbortedError:  # what came before is to arrive
            self.close_on_finish = True
        except (ConnectionResetError, TimeoutError):
            connection: Any = self.channel
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_on_finish = True
        except OSError:
            self.close_on_finish = True

    def write(self, data: bytes) -> None:
        """Header and body leave together: one packet, and a sixth of a call."""
        if self.wrote_header or not data or len(data) != self.content_length:
            super().write(data)
            return
        self.wrote_header = True
        self.content_bytes_written = len(data)
        self.channel.write_soon(self.build_response_header() + data)


class _Channel(HTTPChannel):
    error_task_class = _Unreadable
    task_class = _Task


def is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def base_url(host: str, port: int) -> str:
    """Where a client on this machine reaches what listens there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises CannotListen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as problem:
        number = problem.errno or 0  # negative where the name could not be looked up
        reason = os.strerror(number) if number > 0 else problem.strerror or str(problem)
        raise CannotListen(f"cannot listen on {host} port {port}: {reason}") from None
