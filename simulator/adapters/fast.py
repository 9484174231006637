"""granian in the place of waitress: for those who put load on the simulator, with the extra `fast`.

It answers more calls a second, from the same application in the same process. What it cannot do is cut a
connection before an answer: where a fault asks for that, the client gets 502, as from a proxy in front of a
cloud that has gone away. A body that is lost half way is lost here too.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any

from granian._granian import SocketHolder
from granian.constants import Interfaces
from granian.server.common import AbstractServer
from granian.server.mt import MTServer

from simulator.adapters.pacer import Pacer
from simulator.adapters.server import MOST_THREADS, base_url, is_loopback, listen
from simulator.adapters.web import create_app, error_reply
from simulator.worlds import Worlds

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
BACKLOG = 1024


class FastServer:
    """Serves the worlds at a host and port (0: a free one), in the foreground."""

    def __init__(self, worlds: Worlds, host: str, port: int, control_token: str = "") -> None:
        listening = listen(host, port)
        self.host, self.port = listening.getsockname()[:2]
        self._pacer = Pacer(worlds)
        self._app = create_app(worlds, control_token=control_token, loopback=is_loopback(self.host))
        self._granian = _Granian(listening)

    @property
    def url(self) -> str:
        """The base URL for a client on this machine."""
        return base_url(self.host, self.port)

    def run(self) -> None:
        """Serve until somebody calls `stop`."""
        self._pacer.start()
        self._granian.run(_without_cuts(self._app))
        self._pacer.stop()

    def stop(self) -> None:
        """End `run`; from any thread or a signal handler, once or more."""
        self._granian.stop()


class _Granian(MTServer):
    """granian with its worker in a thread, which it does where there is no GIL: there is one cloud,
    and one process has it. The socket is ours, so that whoever reads its port finds it open."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        super().__init__(
            "simulator",
            interface=Interfaces.WSGI,
            blocking_threads=MOST_THREADS,
            backpressure=MOST_THREADS,
            log_enabled=False,
        )

    def run(self, app: Application) -> None:
        AbstractServer.serve(self, target_loader=lambda: app, wrap_loader=False)

    def stop(self) -> None:
        self.signal_handler_interrupt()  # type: ignore[no-untyped-call]

    def _check_gil(self) -> None:
        """Either will do."""

    def _init_shared_socket(self) -> None:
        holder: Any = SocketHolder
        self._ssp, self._shd = None, holder(self._listening.detach(), False, BACKLOG)


def _without_cuts(app: Application) -> Application:
    """The application, with an answer where it asks for the connection to be cut before there is one."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except (ConnectionResetError, TimeoutError) as cut:
            reply = error_reply(502, "bad_gateway", str(cut))
            start_response("502 Bad Gateway", list(reply.headers.items()))
            return [reply.body]

    return answer
