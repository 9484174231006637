"""The receiver of webhooks in tests."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import Any

import flask
import pytest
from fastapi import FastAPI, Request, Response

from simulator.kernel.refusal import Refusal
from simulator.testing import OpenRelay, Server
from simulator.testing.webhooks import sign, verify

VM = {"name": "trainer", "gpuModelId": "rtx-3090"}


def create(openrelay: OpenRelay) -> str:
    vm: str = openrelay.ask("POST", f"/v1/orgs/{openrelay.org_id}/vms/create", VM)["id"]
    return vm


# -- on loopback -------------------------------------------------------------------------------------------


def test_webhooks_arrive_signed_and_in_order(openrelay: OpenRelay) -> None:
    openrelay.webhooks.subscribe()
    vm = create(openrelay)
    openrelay.advance(minutes=2)
    openrelay.ask("POST", f"/v1/vms/{vm}/terminate")
    openrelay.advance(0)
    assert openrelay.webhooks.types() == ["vm.running", "vm.terminated"]
    running = openrelay.webhooks.received[0]
    assert (running.data["vmId"], running.genuine, running.attempt, running.status) == (vm, True, 1, 200)
    assert running.headers["x-vectorlay-event"] == "vm.running"


def test_the_secret_is_that_of_the_signature(openrelay: OpenRelay) -> None:
    secret = openrelay.webhooks.subscribe("vm.running")
    (received,) = openrelay.webhooks.send("vm.running")
    signature = received.headers["x-vectorlay-signature"]
    assert verify(secret, received.body, signature)
    assert sign(secret, received.body) == signature
    assert not verify(secret, received.body + b" ", signature)


def test_waiting_lets_as_much_time_pass_as_it_takes(openrelay: OpenRelay) -> None:
    openrelay.webhooks.subscribe()
    vm, began = create(openrelay), openrelay.now
    assert openrelay.webhooks.wait_for("vm.*", vmId=vm).type == "vm.running"
    assert (openrelay.now - began).total_seconds() == 90
    assert openrelay.webhooks.wait_for("vm.running").data["vmId"] == vm
    assert (openrelay.now - began).total_seconds() == 90


def test_waiting_for_what_does_not_come_tells_what_came(openrelay: OpenRelay) -> None:
    openrelay.webhooks.subscribe()
    create(openrelay)
    with pytest.raises(AssertionError, match=r"no vm.stopped within 1 days .*; vm.running arrived"):
        openrelay.webhooks.wait_for("vm.stopped")
    with pytest.raises(Refusal, match=r"did you mean 'vm\.running'"):
        openrelay.webhooks.wait_for("vm.runing")


def test_a_delivery_that_is_refused_comes_again(openrelay: OpenRelay) -> None:
    openrelay.webhooks.subscribe()
    openrelay.webhooks.reply(503, times=2)
    create(openrelay)
    openrelay.advance(minutes=10)
    came = openrelay.webhooks.received
    assert [(one.attempt, one.status) for one in came] == [(1, 503), (2, 503), (3, 200)]
    assert len({one.id for one in came}) == 1
    assert [(one.at - came[0].at).total_seconds() for one in came] == [0, 10, 70]


def test_a_reply_may_depend_on_what_came(openrelay: OpenRelay) -> None:
    openrelay.webhooks.subscribe()
    openrelay.webhooks.reply(times=9, by=lambda received: 200 if received.attempt == 4 else 500)
    create(openrelay)
    openrelay.advance(minutes=20)
    assert [one.status for one in openrelay.webhooks.received] == [500, 500, 500, 200]


def test_a_slow_answer_is_none_and_costs_no_real_time(openrelay: OpenRelay) -> None:
    openrelay.webhooks.subscribe()
    openrelay.webhooks.reply(200, delay=15)
    create(openrelay)
    openrelay.advance(minutes=3)
    assert [one.attempt for one in openrelay.webhooks.received] == [1, 2]


def test_a_forged_one_is_told_from_a_genuine_one(openrelay: OpenRelay) -> None:
    openrelay.webhooks.subscribe()
    (forged,) = openrelay.webhooks.send("vm.running", forged=True)
    (genuine,) = openrelay.webhooks.send("vm.running", vmId="vm-1")
    assert (forged.genuine, genuine.genuine) == (False, True)
    assert genuine.data["vmId"] == "vm-1"
    openrelay.webhooks.clear()
    assert openrelay.webhooks.types() == []


def test_clouds_do_not_meet_at_the_receiver(openrelay_server: Server) -> None:
    with openrelay_server.open("one") as one, openrelay_server.open("two") as two:
        for cloud in (one, two):
            cloud.webhooks.subscribe()
        one.webhooks.send("vm.running")
        assert (len(one.webhooks.received), len(two.webhooks.received)) == (1, 0)


# -- an application under test -----------------------------------------------------------------------------


class Inbox:
    """What an application does with webhooks."""

    def __init__(self) -> None:
        self.secret = ""
        self.seen: list[str] = []

    def take(self, body: bytes, signature: str) -> int:
        key = hashlib.sha256(self.secret.encode()).hexdigest().encode()
        if signature != "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest():
            return 401
        self.seen.append(body.decode().split('"type":"')[1].partition('"')[0])
        return 204


def flask_app(inbox: Inbox) -> Any:
    app = flask.Flask("consumer")

    @app.post("/openrelay")
    def hook() -> tuple[str, int]:
        return "", inbox.take(flask.request.get_data(), flask.request.headers["X-VectorLay-Signature"])

    return app


def fastapi_app(inbox: Inbox) -> Any:
    app = FastAPI()

    @app.post("/openrelay")
    async def hook(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(
            status_code=inbox.take(await request.body(), request.headers["X-VectorLay-Signature"])
        )

    return app


@pytest.mark.parametrize("make", [flask_app, fastapi_app])
def test_an_application_receives_without_a_socket(openrelay: OpenRelay, make: Any) -> None:
    inbox = Inbox()
    url = openrelay.webhooks.deliver_to(make(inbox))
    inbox.secret = openrelay.webhooks.subscribe("vm.running", url=url)
    create(openrelay)
    assert openrelay.webhooks.wait_for("vm.running").status == 204
    assert inbox.seen == ["vm.running"]
    assert [one.status for one in openrelay.webhooks.send("vm.running", forged=True)] == [401]
    assert inbox.seen == ["vm.running"]


def test_what_an_application_raises_is_kept_and_the_delivery_comes_again(openrelay: OpenRelay) -> None:
    def broken(environ: Any, start: Any) -> Any:
        raise KeyError("no such job")

    openrelay.webhooks.subscribe(url=openrelay.webhooks.deliver_to(broken))
    openrelay.webhooks.send("vm.running")
    openrelay.advance(seconds=30)
    first, second = openrelay.webhooks.received
    assert (first.status, second.attempt) == (500, 2)
    assert "KeyError: 'no such job'" in first.error


def test_an_application_may_call_the_cloud_back(openrelay: OpenRelay) -> None:
    client = openrelay.client()

    def stops_what_runs(environ: Any, start: Any) -> Any:
        if environ["HTTP_X_VECTORLAY_EVENT"] == "vm.running":
            assert client.post(f"/v1/vms/{vm}/stop").status_code == 200
        start("204 No Content", [])
        return []

    openrelay.webhooks.subscribe(url=openrelay.webhooks.deliver_to(stops_what_runs))
    vm = create(openrelay)
    openrelay.webhooks.wait_for("vm.stopped")
    assert openrelay.ask("GET", f"/v1/vms/{vm}")["status"] == "stopped"


def test_a_url_without_a_host_is_none(openrelay: OpenRelay) -> None:
    with pytest.raises(ValueError, match="a URL with a host"):
        openrelay.webhooks.deliver_to(lambda *_: [], url="/hooks")
