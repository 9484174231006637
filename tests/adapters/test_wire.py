"""Faults of the connection: on the server's socket they really happen, in this process they are raised."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead, RemoteDisconnected
from typing import Any

import pytest
from flask.testing import FlaskClient

from simulator.adapters.server import Server
from simulator.adapters.web import create_app
from simulator.engine import ClockState
from simulator.scenario.rules import load_rules
from tests.support.http import Client

LIST = "/v1/orgs/{org}/vms"


def strike(client: Client, do: dict[str, Any], operation: str = "listOrgVms", **more: Any) -> None:
    rule = {"id": "it", "on": "request", "operation": operation, "times": 1, "do": do, **more}
    client.simulator.let("faults.load", {}, lambda world: load_rules(world, [rule]))


@pytest.fixture
def on_socket(open_client: Callable[..., Client]) -> Client:
    return open_client("socket")


def ask(served: Server, client: Client, timeout: float = 60) -> HTTPConnection:
    """A connection on which a list of VMs was asked for."""
    connection = HTTPConnection(served.host, served.port, timeout=timeout)
    headers = {"Authorization": f"Bearer {client.key}"}
    connection.request("GET", LIST.replace("{org}", client.org), headers=headers)
    return connection


@pytest.mark.parametrize("fault", ["reset", "lose_answer"])
def test_the_peer_resets_the_connection(served, on_socket, fault):
    strike(on_socket, {fault: True})
    with closing(ask(served, on_socket)) as connection, pytest.raises(ConnectionResetError):
        connection.getresponse()
    assert on_socket.get(LIST).status == 200


def test_a_lost_create_has_happened(on_socket):
    strike(on_socket, {"lose_answer": True}, "createVm")
    wanted = {"name": "trainer", "gpuModelId": "rtx-3090"}
    with pytest.raises((ConnectionResetError, RemoteDisconnected)):
        on_socket.post("/v1/orgs/{org}/vms/create", wanted)
    assert [vm["name"] for vm in on_socket.get(LIST).body["items"]] == ["trainer"]


def test_a_client_without_patience_sees_no_answer_at_all(served, on_socket):
    strike(on_socket, {"hang": {"seconds": 0.5, "real": True}})
    with closing(ask(served, on_socket, timeout=0.1)) as connection, pytest.raises(TimeoutError):
        connection.getresponse()


def test_a_patient_client_sees_the_connection_go(served, on_socket):
    strike(on_socket, {"hang": {"seconds": 0.2, "real": True}})
    started = time.monotonic()
    with closing(ask(served, on_socket)) as connection, pytest.raises(ConnectionResetError):
        connection.getresponse()
    assert time.monotonic() - started >= 0.2


def test_a_truncated_answer_promises_more_than_comes(served, on_socket):
    strike(on_socket, {"truncate": {"bytes": 5}})
    with closing(ask(served, on_socket)) as connection:
        response = connection.getresponse()
        with pytest.raises(IncompleteRead) as problem:
            response.read()
    assert problem.value.partial == b'{"ite'
    assert response.headers["X-Sim-Fault"] == "it"


def test_a_dribbled_answer_comes_whole_in_the_end(served, on_socket):
    strike(on_socket, {"dribble": {"chunks": 3, "seconds": 0.3, "real": True}})
    started = time.monotonic()
    with closing(ask(served, on_socket)) as connection:
        body = connection.getresponse().read()
    assert json.loads(body) == {"items": []}
    assert time.monotonic() - started >= 0.3


def test_a_late_answer_holds_up_no_other_call(served, on_socket, open_client):
    """The wait is on the way to the client: no lock is held meanwhile."""
    strike(on_socket, {"delay": {"seconds": 1, "real": True}})
    with closing(ask(served, on_socket)) as connection:
        started = time.monotonic()
        assert on_socket.get("/v1/whoami").status == 200
        assert time.monotonic() - started < 0.9
        assert connection.getresponse().status == 200


def test_real_time_is_divided_by_the_rate_of_a_live_clock(served, open_client):
    live = open_client("socket", ClockState(mode="live", rate=100))
    strike(live, {"delay": {"seconds": 20}})
    started = time.monotonic()
    assert live.get(LIST).status == 200
    assert 0.2 <= time.monotonic() - started < 10


def test_a_cut_connection_leaves_the_server_in_order(served, on_socket):
    for _ in range(20):
        strike(on_socket, {"reset": True}, id=None)
        with closing(ask(served, on_socket)) as connection, pytest.raises(ConnectionResetError):
            connection.getresponse()
    assert on_socket.get(LIST).status == 200


def test_garbage_and_pages_come_as_they_are(on_socket):
    strike(on_socket, {"html": True})
    heard = on_socket.get(LIST)
    assert (heard.status, heard.headers["content-type"]) == (502, "text/html; charset=utf-8")


# -- in this process


@pytest.fixture
def in_process(served: Server, open_client: Callable[..., Client]) -> tuple[FlaskClient, Client]:
    return create_app(served.worlds).test_client(), open_client("wsgi")


def get(in_process: tuple[FlaskClient, Client]) -> Any:
    flask_client, client = in_process
    target = LIST.replace("{org}", client.org)
    return flask_client.get(target, headers={"Authorization": f"Bearer {client.key}"})


@pytest.mark.parametrize(
    ("do", "raised"),
    [
        ({"reset": True}, ConnectionResetError),
        ({"lose_answer": True}, ConnectionResetError),
        ({"hang": {"seconds": 5}}, TimeoutError),
        ({"truncate": {"bytes": 5}}, ConnectionAbortedError),
    ],
)
def test_in_process_a_cut_connection_is_an_exception(in_process, do, raised):
    strike(in_process[1], do)
    with pytest.raises(raised, match="by a fault of the simulator"):
        assert get(in_process).data
    assert get(in_process).status_code == 200


def test_in_process_a_dribbled_answer_is_whole(in_process):
    strike(in_process[1], {"dribble": {"chunks": 3, "seconds": 5}})
    assert get(in_process).json == {"items": []}


def test_a_head_request_has_no_body_under_a_fault(served, on_socket):
    strike(on_socket, {"delay": {"seconds": 1}})
    with socket.create_connection((served.host, served.port), 60) as connection:
        path = LIST.replace("{org}", on_socket.org)
        lines = ("Host: localhost", "Connection: close", f"Authorization: Bearer {on_socket.key}", "", "")
        connection.sendall("\r\n".join((f"HEAD {path} HTTP/1.1", *lines)).encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.endswith(b"\r\n\r\n")
