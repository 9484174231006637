"""The server in a thread: where it listens, how it starts and stops, and how many it answers at once."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Thread
from threading import enumerate as threads
from typing import Any

import pytest

from simulator.adapters.server import THREADS, CannotListen, Server, is_loopback
from simulator.domain.events import Delivery, Outcome, Outgoing
from simulator.worlds import DEFAULT, Opening, Worlds
from tests.support.http import PATIENCE_S, Client, Heard, over_socket


def names() -> set[str]:
    return {thread.name for thread in threads()}


def test_a_free_port_is_taken_and_named() -> None:
    with Server(Worlds(), port=0) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert over_socket(server.host, server.port)("GET", "/_sim/health", {}, b"").status == 200


def test_it_opens_the_default_world_unless_it_is_open() -> None:
    worlds = Worlds()
    with Server(worlds, port=0):
        assert DEFAULT in worlds


def test_a_busy_port_is_refused_before_anything_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        before = names()
        with pytest.raises(
            CannotListen, match=r"cannot listen on 127.0.0.1 port \d+: Address already in use"
        ):
            Server(Worlds(), port=taken.getsockname()[1])
        assert names() == before


def test_stopping_frees_the_port_and_may_be_done_again() -> None:
    server = Server(Worlds(), port=0)
    server.start()
    server.stop()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port))
    with Server(Worlds(), port=server.port) as again:
        assert again.port == server.port


def test_stopping_does_without_the_pipe_that_other_code_has_closed() -> None:
    server = Server(Worlds(), port=0)
    server.start()
    pipe: Any = server._wake
    with Path(os.devnull).open("rb") as unwritable:
        os.dup2(unwritable.fileno(), pipe.trigger)
    server.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((server.host, server.port), timeout=PATIENCE_S)


def test_everywhere_is_reached_on_loopback_by_a_client_on_this_machine() -> None:
    with Server(Worlds(), host="0.0.0.0", port=0) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        send = over_socket("127.0.0.1", server.port)
        assert send("GET", "/_sim", {"Host": "simulator:8080"}, b"").status == 200


def test_on_loopback_a_foreign_host_may_not_steer() -> None:
    with Server(Worlds(), port=0) as server:
        send = over_socket(server.host, server.port)
        assert send("GET", "/_sim", {"Host": "simulator:8080"}, b"").status == 403


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False)]
)
def test_it_is_known_whether_an_address_is_of_this_machine_alone(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_one_connection_carries_many_calls_good_and_bad() -> None:
    with (
        Server(Worlds(), port=0) as server,
        socket.create_connection((server.host, server.port)) as connection,
    ):
        heard = b""
        good, bad = b"GET /_sim/health HTTP/1.1\r\n\r\n", b"GET /nowhere HTTP/1.1\r\n\r\n"
        connection.settimeout(PATIENCE_S)
        connection.sendall((good + bad) * 5)
        while heard.count(b"HTTP/1.1 200") < 5 or heard.count(b"HTTP/1.1 404") < 5:
            heard += connection.recv(65536)


def test_receivers_call_back_while_many_worlds_advance() -> None:
    """More advances than threads to begin with hold one each, and their receivers still get through."""
    crowd = THREADS + 8
    together = Barrier(crowd)

    def receiver(outgoing: Outgoing) -> Outcome:
        together.wait(PATIENCE_S)  # all advances are inside a delivery now
        name = outgoing.url.rpartition("/")[2]
        assert clients[name].get("/v1/me").status == 200
        return Outcome(status_code=200)

    worlds = Worlds(receiver)
    with Server(worlds, port=0) as server:
        clients: dict[str, Client] = {}
        for number in range(crowd):
            name = f"w{number}"
            simulator = worlds.open(name, Opening())
            clients[name] = Client(over_socket(server.host, server.port), simulator)
            hook = {"name": name, "url": f"http://127.0.0.1:9/{name}"}
            assert clients[name].post("/v1/orgs/{org}/webhooks/create", hook).status == 200
            simulator.do("webhook.send", {"name": "acme"})

        def advance(name: str) -> Heard:
            return clients[name].post(f"/_sim/clock/advance?world={name}", {"seconds": 1})

        with ThreadPoolExecutor(crowd) as pool:
            answers = list(pool.map(advance, clients))
    assert [answer.body["deliveries"] for answer in answers] == [1] * crowd
    made = [(row.attempt, row.status) for name in clients for row in clients[name].world.rows(Delivery)]
    assert made == [(1, "delivered")] * crowd


def test_stopping_ends_the_threads_that_came_later_too() -> None:
    def working() -> set[Thread]:
        """The threads of servers: of this one, and of those that other tests started."""
        return {thread for thread in threads() if thread.name.startswith("waitress")}

    before, crowd = working(), 2 * THREADS
    together = Barrier(crowd)

    def receiver(outgoing: Outgoing) -> Outcome:
        together.wait(PATIENCE_S)
        return Outcome(status_code=200)

    worlds = Worlds(receiver)
    with Server(worlds, port=0) as server, ThreadPoolExecutor(crowd) as pool:
        for number in range(crowd):
            simulator = worlds.open(f"w{number}", Opening())
            client = Client(over_socket(server.host, server.port), simulator)
            client.post("/v1/orgs/{org}/webhooks/create", {"name": "h", "url": "http://127.0.0.1:9/"})
            simulator.do("webhook.send", {"name": "acme"})
            pool.submit(client.post, f"/_sim/clock/advance?world=w{number}", {"seconds": 1})
        pool.shutdown()
        assert len(working() - before) >= crowd
    assert working() <= before


def test_a_request_that_has_arrived_keeps_it_busy() -> None:
    """Also before its thread had a turn to read it: here it does not run yet."""
    server = Server(Worlds(), port=0)
    with socket.create_connection((server.host, server.port), timeout=PATIENCE_S) as client:
        client.sendall(b"GET /_sim/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert server.busy
        with server:
            assert b"".join(iter(lambda: client.recv(65536), b"")).startswith(b"HTTP/1.1 200")
