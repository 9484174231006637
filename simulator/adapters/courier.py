"""Carries webhooks out: one HTTP POST per attempt, over TLS where the URL says so.

Deliveries go to loopback and private addresses; any other host has to be allowed by name. A name is judged
before it is looked up, looked up once, and the connection goes to an address of that one answer.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Thread
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from simulator.domain import nearby
from simulator.domain.events import Outcome, Outgoing

MOST_READ = 64 * 1024
"""Bytes of an answer's body that are read, so that a receiver can finish; nobody looks at them."""

REDIRECTS = (301, 302, 303, 307, 308)


class Address(NamedTuple):
    """Where to connect, as the resolver said it."""

    family: int
    socket_address: tuple[Any, ...]


class NotAllowed(Exception):
    """A receiver outside the machine and its private networks that no option allows."""


class Courier:
    """Makes an attempt and answers what came of it; a receiver cannot make it raise, hang or grow.

    `allow` names hosts that may lie anywhere; `rewrite` maps a URL's host to the one to connect to instead,
    which leaves the Host header as it is.
    """

    def __init__(
        self, allow: Collection[str] = (), rewrite: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._allow = {host.lower() for host in allow}
        self._rewrite = {host.lower(): target.lower() for host, target in rewrite.items()}

    def __call__(self, outgoing: Outgoing) -> Outcome:
        attempt = _Attempt(self, outgoing)
        attempt.start()
        try:
            return attempt.outcome.result(outgoing.timeout_s)
        except TimeoutError:
            return attempt.give_up()

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """Certificates are verified, against the system's authorities or those of SSL_CERT_FILE."""
        return ssl.create_default_context()

    def addresses(self, host: str, port: int) -> list[Address]:
        """Where a delivery to a host may go. Raises NotAllowed, or OSError for an unknown host."""
        target = self._rewrite.get(host, host)
        anywhere = target in self._allow
        if not anywhere and not nearby.is_near(target):
            raise NotAllowed(_barred(target, target))
        found = socket.getaddrinfo(target, port, type=socket.SOCK_STREAM)
        near = [
            Address(family, address)
            for family, _, _, _, address in found
            if anywhere or nearby.is_near(str(address[0]))
        ]
        if not near:
            raise NotAllowed(_barred(f"{target} at {found[0][4][0]}", target))
        return near


def _barred(what: str, host: str) -> str:
    return f"not sent: {what} is neither loopback nor private; --allow-webhooks-to {host} allows it"


class _Attempt(Thread):
    """One POST, in a thread of its own: a look-up has no timeout, and a dribbling receiver outlasts any."""

    def __init__(self, courier: Courier, outgoing: Outgoing) -> None:
        super().__init__(name="courier", daemon=True)
        self.outcome: Future[Outcome] = Future()
        self._courier = courier
        self._outgoing = outgoing
        self._socket: socket.socket | None = None
        self._answered: Outcome | None = None
        self._given_up = False

    def run(self) -> None:
        try:
            self.outcome.set_result(self._post())
        except (OSError, HTTPException, NotAllowed, UnicodeError) as problem:
            self.outcome.set_result(Outcome(error=_reason(problem, self._outgoing.timeout_s)))
        except BaseException as bug:
            self.outcome.set_exception(bug)

    def give_up(self) -> Outcome:
        """Time is over: cut the line. A status that had come by then counts [choice]."""
        answered, self._given_up = self._answered, True
        if self._socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        return answered or Outcome(error=_timed_out(self._outgoing.timeout_s))

    def _post(self) -> Outcome:
        url = urlsplit(self._outgoing.url)
        host, secure = url.hostname or "", url.scheme == "https"
        port = url.port or (443 if secure else 80)
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = {**self._outgoing.headers, "Connection": "close"}
        with closing(_connection(self._courier, host, port, secure=secure)) as connection:
            connection.sock = self._connect(host, port, secure=secure)
            connection.request("POST", target, self._outgoing.body, headers)
            with connection.getresponse() as response:
                self._answered = _answered(response.status)
                with suppress(OSError, HTTPException):
                    response.read(MOST_READ)
                return self._answered

    def _connect(self, host: str, port: int, *, secure: bool) -> socket.socket:
        """A connection to the first address that takes it. Raises OSError of the last one that did not."""
        problem: OSError = TimeoutError()
        for family, address in self._courier.addresses(host, port):
            if self._given_up:
                break
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            try:
                self._socket.settimeout(self._outgoing.timeout_s)
                self._socket.connect(address)
                if secure:
                    self._socket = self._courier.tls.wrap_socket(self._socket, server_hostname=host)
                return self._socket
            except OSError as refused:
                self._socket.close()
                problem = refused
        raise problem


def _connection(courier: Courier, host: str, port: int, *, secure: bool) -> HTTPConnection:
    return HTTPSConnection(host, port, context=courier.tls) if secure else HTTPConnection(host, port)


def _answered(status: int) -> Outcome:
    """Redirects are not followed [choice]: what is signed for one receiver is not handed to another."""
    return Outcome(status, f"redirect {status} is not followed" if status in REDIRECTS else "")


def _timed_out(timeout_s: int) -> str:
    return f"timed out after {timeout_s} s"


def _reason(problem: Exception, timeout_s: int) -> str:
    """The same text for the same trouble, wherever and whenever it happens."""
    match problem:
        case NotAllowed():
            return str(problem)
        case TimeoutError():
            return _timed_out(timeout_s)
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionError():
            return "connection reset"
        case socket.gaierror() | UnicodeError():
            return "unknown host"
        case ssl.SSLCertVerificationError():
            return f"certificate refused: {problem.verify_message}"
        case ssl.SSLError():
            return "TLS handshake failed"
        case OSError():
            return (problem.strerror or "network error").lower()
    return "not an HTTP answer"
