"""The courier against real receivers: good ones, bad ones, and those it must not call."""

from __future__ import annotations

import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.adapters.courier import MOST_READ, Courier
from simulator.domain.events import Outcome, Outgoing
from tests.support.receivers import CLOSED_PORT, Receiver, answer, answering, read_request, receiver

BODY = b'{"id":"evt_1"}'
HEADERS = {"Content-Type": "application/json", "X-VectorLay-Event": "vm.running"}
CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Self-signed, for localhost: `openssl req -x509 -newkey ec …`, with its key."""


def post(url: str, courier: Courier | None = None, timeout_s: int = 10) -> Outcome:
    return (courier or Courier())(Outgoing("delivery", url, HEADERS, BODY, timeout_s))


# -- what is sent


def test_the_body_goes_out_byte_by_byte_with_its_headers() -> None:
    with receiver(answering(answer("200 OK", b"thanks"))) as good:
        assert post(good.url()) == Outcome(status_code=200)
    ((head, body),) = (request.split(b"\r\n\r\n") for request in good.requests)
    assert body == BODY
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /hook?a=1 HTTP/1.1"
    assert set(lines[1:]) == {
        f"Host: 127.0.0.1:{good.port}",
        "Accept-Encoding: identity",
        "Content-Length: 14",
        "Content-Type: application/json",
        "X-VectorLay-Event: vm.running",
        "Connection: close",
    }


def test_a_url_without_a_path_is_posted_to_the_root() -> None:
    with receiver(answering(answer("204 No Content"))) as good:
        assert post(f"http://127.0.0.1:{good.port}") == Outcome(status_code=204)
    assert good.requests[0].startswith(b"POST / HTTP/1.1\r\n")


def test_proxies_of_the_environment_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(answering(answer("200 OK"))) as proxy, receiver(answering(answer("202 Accepted"))) as good:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert post(good.url()) == Outcome(status_code=202)
    assert proxy.connections == 0


# -- what comes back


@pytest.mark.parametrize("status", [200, 201, 204, 299, 400, 410, 429, 500, 503])
def test_the_status_is_the_outcome(status: int) -> None:
    with receiver(answering(answer(f"{status} Whatever"))) as some:
        assert post(some.url()) == Outcome(status_code=status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with receiver(answering(answer("200 OK"))) as elsewhere:
        location = f"Location: {elsewhere.url()}".encode()
        with receiver(answering(answer(f"{status} Moved", b"", location))) as moved:
            assert post(moved.url()) == Outcome(status, f"redirect {status} is not followed")
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\xfe\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
def test_garbage_is_not_an_http_answer(garbage: bytes) -> None:
    with receiver(answering(garbage)) as broken:
        assert post(broken.url()) == Outcome(error="not an HTTP answer")


def test_a_refused_connection_says_so() -> None:
    assert post(f"http://127.0.0.1:{CLOSED_PORT}/") == Outcome(error="connection refused")


def test_a_receiver_that_hangs_up_without_an_answer_is_a_reset() -> None:
    with receiver(answering()) as silent:
        assert post(silent.url()) == Outcome(error="connection reset")


def test_a_reset_connection_says_so() -> None:
    def reset(this: Receiver, connection: socket.socket) -> None:
        read_request(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with receiver(reset) as resetting:
        assert post(resetting.url()) == Outcome(error="connection reset")


# -- bounds


def test_a_receiver_that_hangs_costs_the_timeout_and_no_more() -> None:
    def hang(this: Receiver, connection: socket.socket) -> None:
        read_request(connection)
        this.closing.wait(30)

    with receiver(hang) as hanging:
        assert within(1, 5, hanging.url()) == Outcome(error="timed out after 1 s")


def test_a_dribbled_head_costs_the_timeout_and_no_more() -> None:
    """Each byte comes well before any timeout of a single read."""

    def dribble(this: Receiver, connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not this.closing.wait(0.1):
            connection.sendall(b"y")

    with receiver(dribble) as dribbling:
        assert within(1, 5, dribbling.url()) == Outcome(error="timed out after 1 s")


def test_continues_without_an_end_cost_the_timeout_and_no_more() -> None:
    def go_on(this: Receiver, connection: socket.socket) -> None:
        read_request(connection)
        while not this.closing.wait(0.05):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with receiver(go_on) as endless:
        assert within(1, 5, endless.url()) == Outcome(error="timed out after 1 s")


def test_a_body_that_never_ends_does_not_take_the_status_back() -> None:
    def dribble(this: Receiver, connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not this.closing.wait(0.1):
            connection.sendall(b"y")

    with receiver(dribble) as dribbling:
        assert within(1, 5, dribbling.url()) == Outcome(status_code=200)


def test_a_body_of_100_mb_is_not_read() -> None:
    sent = 0

    def flood(this: Receiver, connection: socket.socket) -> None:
        nonlocal sent
        read_request(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_READ)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while sent < 100_000_000:
            sent += connection.send(b"y" * 10_000)

    with receiver(flood) as flooding:
        assert within(10, 5, flooding.url()) == Outcome(status_code=200)
    assert sent < 50_000_000


def test_a_body_that_breaks_off_does_not_take_the_status_back() -> None:
    with receiver(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")) as broken:
        assert post(broken.url()) == Outcome(status_code=200)
    with receiver(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")) as broken:
        assert post(broken.url()) == Outcome(status_code=200)


def test_a_receiver_may_answer_as_slowly_as_the_timeout_allows() -> None:
    def answer_late(this: Receiver, connection: socket.socket) -> None:
        read_request(connection)
        this.closing.wait(0.3)
        connection.sendall(answer("200 OK"))

    with receiver(answer_late) as slow:
        assert post(slow.url()) == Outcome(status_code=200)


def test_no_thread_and_no_connection_outlives_an_attempt() -> None:
    """A receiver that goes on and on after it was given up sees the connection end."""
    ended = threading.Event()

    def dribble(this: Receiver, connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        try:
            while not this.closing.wait(0.05):
                connection.sendall(b"y")
        except ConnectionError:
            ended.set()

    with receiver(dribble) as dribbling:
        post(dribbling.url(), timeout_s=1)
        assert ended.wait(5)
    for thread in threading.enumerate():
        if thread.name == "courier":
            thread.join(5)
            assert not thread.is_alive()


def within(timeout_s: int, most_s: float, url: str) -> Outcome:
    """The outcome of a post, which took no longer than this."""
    began = time.monotonic()
    outcome = post(url, timeout_s=timeout_s)
    assert time.monotonic() - began < most_s
    return outcome


# -- who may be called


@pytest.fixture
def network() -> Iterator[list[str]]:
    """What was looked up or connected to in the meantime."""
    seen: list[str] = []
    _watchers.append(seen)
    yield seen
    _watchers.remove(seen)


_watchers: list[list[str]] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.__new__", "socket.connect", "socket.getaddrinfo"):
        for seen in _watchers:
            seen.append(event)


sys.addaudithook(_watch)


@pytest.mark.parametrize(
    "host",
    [
        "8.8.8.8",
        "example.com",
        "hooks.example.com.",
        "169.254.169.254",
        "0.0.0.0",
        "172.32.0.1",
        "192.0.2.1",
        "100.64.0.1",
        "224.0.0.1",
        "127.1",
        "localhost.example.com",
        "a.mylocalhost",
        "[2001:db8::1]",
        "[fe80::1]",
        "[::ffff:8.8.8.8]",
        "[64:ff9b::a00:1]",
    ],
)
def test_a_host_outside_is_refused_without_a_socket_or_a_look_up(host: str, network: list[str]) -> None:
    outcome = post(f"https://{host}/hook")
    shown = host.strip("[]")
    assert outcome == Outcome(
        error=f"not sent: {shown} is neither loopback nor private; --allow-webhooks-to {shown} allows it"
    )
    assert network == []


def test_the_watch_over_the_network_sees_what_is_sent(network: list[str]) -> None:
    with receiver(answering(answer("200 OK"))) as good:
        network.clear()
        post(good.url())
    assert {"socket.__new__", "socket.connect", "socket.getaddrinfo"} <= set(network)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::ffff:127.0.0.1]"])
def test_loopback_is_called_by_any_of_its_names(host: str) -> None:
    with receiver(answering(answer("200 OK"))) as good:
        assert post(good.url(host)) == Outcome(status_code=200)


def test_ipv6_loopback_is_called() -> None:
    with receiver(answering(answer("200 OK")), "::1") as good:
        assert post(good.url("[::1]")) == Outcome(status_code=200)
    assert f"Host: [::1]:{good.port}".encode() in good.requests[0]


def answers_of_resolver(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every look-up answer these addresses; answers the list of names that were looked up."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        pairs = zip(families, addresses, strict=True)
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in pairs]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_private_name_that_leads_outside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answers_of_resolver(monkeypatch, "8.8.8.8")
    assert post("http://intranet/hook") == Outcome(
        error="not sent: intranet at 8.8.8.8 is neither loopback nor private; "
        "--allow-webhooks-to intranet allows it"
    )


def test_a_name_is_looked_up_once_and_its_near_address_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second look-up could answer another address."""
    with receiver(answering(answer("200 OK"))) as good:
        asked = answers_of_resolver(monkeypatch, "8.8.8.8", "127.0.0.1")
        assert post(good.url("receiver")) == Outcome(status_code=200)
    assert asked == ["receiver"]
    assert f"Host: receiver:{good.port}".encode() in good.requests[0]


def test_the_next_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(answering(answer("200 OK"))) as good:
        answers_of_resolver(monkeypatch, "127.0.0.77", "127.0.0.1")
        assert post(good.url("receiver")) == Outcome(status_code=200)


def test_an_allowed_host_may_lie_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(answering(answer("200 OK"))) as good:
        asked = answers_of_resolver(monkeypatch, "127.0.0.1")
        courier = Courier(allow=["Hooks.Example.com"])
        assert post(good.url("hooks.example.com"), courier) == Outcome(status_code=200)
        assert post(good.url("example.com"), courier).status_code is None
    assert asked == ["hooks.example.com"]


def test_an_unknown_name_says_so() -> None:
    courier = Courier(allow=["no-such-host.invalid", "-" * 70 + ".test"])
    assert post("http://no-such-host.invalid/", courier) == Outcome(error="unknown host")
    assert post(f"http://{'-' * 70}.test/", courier) == Outcome(error="unknown host")


def test_a_look_up_that_hangs_costs_the_timeout_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: free.wait(30) and [])
    try:
        assert within(1, 5, "http://receiver/") == Outcome(error="timed out after 1 s")
    finally:
        free.set()


def test_a_rewritten_host_is_called_in_place_of_that_of_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(answering(answer("200 OK"))) as good:
        courier = Courier(rewrite={"localhost": "host.docker.internal"})
        asked = answers_of_resolver(monkeypatch, "127.0.0.1")
        assert post(good.url("localhost"), courier) == Outcome(status_code=200)
    assert asked == ["host.docker.internal"]
    assert f"Host: localhost:{good.port}".encode() in good.requests[0]


def test_a_rewritten_host_is_judged_as_any_other(network: list[str]) -> None:
    outcome = post("http://localhost:9/", Courier(rewrite={"localhost": "example.com"}))
    assert "example.com is neither loopback nor private" in outcome.error
    assert network == []


# -- TLS


def secure(this: Receiver, connection: socket.socket) -> None:
    """Speaks TLS with the certificate of localhost, and answers 200."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with context.wrap_socket(connection, server_side=True) as wrapped:
        this.requests.append(read_request(wrapped))
        wrapped.sendall(answer("200 OK"))


def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    with receiver(secure) as doubtful:
        outcome = post(doubtful.url("localhost", "https"))
    assert outcome.error.startswith("certificate refused: self")
    assert doubtful.requests == []


def test_a_certificate_that_ssl_cert_file_vouches_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with receiver(secure) as trusted:
        assert post(trusted.url("localhost", "https")) == Outcome(status_code=200)
    assert trusted.requests[0].endswith(BODY)


def test_a_certificate_for_another_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with receiver(secure) as other:
        outcome = post(other.url("127.0.0.1", "https"))
    assert outcome.error.startswith("certificate refused: IP address mismatch")


def test_a_receiver_without_tls_fails_the_handshake() -> None:
    with receiver(answering(answer("400 Bad Request"))) as plain:
        plain._serve = lambda connection: connection.sendall(answer("400 Bad Request"))
        assert post(plain.url("localhost", "https")) == Outcome(error="TLS handshake failed")


def test_a_handshake_that_hangs_costs_the_timeout_and_no_more() -> None:
    def hang(this: Receiver, connection: socket.socket) -> None:
        this.closing.wait(30)

    with receiver(hang) as hanging:
        assert within(1, 5, hanging.url("localhost", "https")) == Outcome(error="timed out after 1 s")
