"""What each fault of a delivery does to what the receiver sees, and to what the service believes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.domain import signing
from simulator.domain.events import Outcome
from tests.support.cloud import Cloud


@pytest.fixture
def hook(cloud: Cloud) -> dict[str, Any]:
    """A webhook for every event, and its secret."""
    made: dict[str, Any] = cloud.post(
        "/v1/orgs/{org}/webhooks/create", {"name": "w", "url": "http://127.0.0.1:9/", "events": []}
    ).body
    return made


def live_and_end(cloud: Cloud) -> None:
    """A VM runs, stops and is terminated: three events within two minutes."""
    vm = cloud.run_vm(gpuModelId="rtx-3090")
    cloud.advance(10)
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    cloud.advance(10)
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    cloud.advance(10)


def deliveries(cloud: Cloud, hook: dict[str, Any]) -> list[dict[str, Any]]:
    """Oldest first."""
    shown: list[dict[str, Any]] = cloud.get(f"/v1/orgs/{{org}}/webhooks/{hook['id']}/deliveries").body
    return shown[::-1]


def ids(cloud: Cloud) -> list[str]:
    return [body["id"] for body in cloud.mailbox.bodies()]


def test_drop_is_never_seen_and_taken_for_received(cloud, hook, load):
    load({"on": "webhook", "event": "vm.stopped", "do": {"drop": True}})
    live_and_end(cloud)
    assert cloud.mailbox.types() == ["vm.running", "vm.terminated"]
    assert [row["status"] for row in deliveries(cloud, hook)] == ["delivered"] * 3


@pytest.mark.parametrize(
    ("do", "code", "error"),
    [(True, None, "connection refused"), ({"status": 503}, 503, "the receiver answered 503")],
)
def test_fail_is_never_seen_and_tried_again_four_times_in_all(cloud, hook, load, do, code, error):
    load({"on": "webhook", "event": "vm.running", "do": {"fail": do}})
    cloud.run_vm(gpuModelId="rtx-3090")
    cloud.advance(3600)
    assert cloud.mailbox.types() == []
    shown = deliveries(cloud, hook)
    assert [row["attemptNumber"] for row in shown] == [1, 2, 3, 4]
    told = {(row["status"], row.get("statusCode"), row["errorMessage"]) for row in shown}
    assert told == {("failed", code, error)}


def test_fail_is_delivered_by_the_attempt_that_finds_the_receiver_up(cloud, hook, load):
    load({"on": "webhook", "times": 2, "do": {"fail": True}})
    cloud.run_vm(gpuModelId="rtx-3090")
    cloud.advance(69)
    assert cloud.mailbox.types() == []
    cloud.advance(1)
    assert cloud.mailbox.types() == ["vm.running"]
    assert [row["status"] for row in deliveries(cloud, hook)] == ["failed", "failed", "delivered"]


def test_duplicate_sends_the_same_event_more_often(cloud, hook, load):
    load({"on": "webhook", "event": "vm.running", "do": {"duplicate": {"times": 2}}})
    live_and_end(cloud)
    assert cloud.mailbox.types() == ["vm.running"] * 3 + ["vm.stopped", "vm.terminated"]
    assert len(set(ids(cloud)[:3])) == 1
    headers = [outgoing.headers["X-VectorLay-Delivery"] for outgoing in cloud.mailbox.received[:3]]
    assert len(set(headers)) == 3
    assert [row["attemptNumber"] for row in deliveries(cloud, hook)[:3]] == [1, 2, 3]


def test_delay_sends_later_and_holds_up_nobody(cloud, hook, load):
    load({"on": "webhook", "event": "vm.running", "do": {"delay": {"seconds": 15}}})
    live_and_end(cloud)
    assert cloud.mailbox.types() == ["vm.stopped", "vm.running", "vm.terminated"]


def test_reorder_sends_it_after_the_next(cloud, hook, load):
    load({"on": "webhook", "event": "vm.running", "do": {"reorder": True}})
    live_and_end(cloud)
    assert cloud.mailbox.types() == ["vm.stopped", "vm.running", "vm.terminated"]


def test_reorder_does_not_wait_for_ever(cloud, hook, load):
    load({"on": "webhook", "event": "vm.running", "do": {"reorder": {"seconds": 30}}})
    cloud.run_vm(gpuModelId="rtx-3090")
    cloud.advance(29)
    assert cloud.mailbox.types() == []
    cloud.advance(1)
    assert cloud.mailbox.types() == ["vm.running"]


def test_forge_signature_signs_with_another_secret(cloud, hook, load):
    load({"on": "webhook", "event": "vm.stopped", "do": {"forge_signature": True}})
    live_and_end(cloud)
    key = signing.key_of(hook["secret"])
    valid = [
        outgoing.headers["X-VectorLay-Signature"] == signing.sign(key, outgoing.body)
        for outgoing in cloud.mailbox.received
    ]
    assert valid == [True, False, True]


def test_slow_beyond_the_timeout_fails_and_is_sent_again_although_received(cloud, hook, load):
    load({"on": "webhook", "event": "vm.running", "times": 1, "do": {"slow": {"seconds": 11}}})
    cloud.run_vm(gpuModelId="rtx-3090")
    cloud.advance(9)
    assert [row["status"] for row in deliveries(cloud, hook)] == ["pending"]
    cloud.advance(1)
    (row,) = deliveries(cloud, hook)
    assert (row["status"], row["errorMessage"]) == ("failed", "no answer within 10 s")
    cloud.advance(10)
    assert cloud.mailbox.types() == ["vm.running"] * 2
    assert len(set(ids(cloud))) == 1


def test_slow_within_the_timeout_is_only_late(cloud, hook, load):
    load({"on": "webhook", "event": "vm.running", "do": {"slow": {"seconds": 9}}})
    cloud.run_vm(gpuModelId="rtx-3090")
    cloud.advance(9)
    (row,) = deliveries(cloud, hook)
    assert row["status"] == "delivered"
    cloud.advance(400)
    assert cloud.mailbox.types() == ["vm.running"]


def test_replay_old_sends_the_oldest_received_again_with_its_ids(cloud, hook, load):
    load({"on": "webhook", "event": "vm.terminated", "do": {"replay_old": True}})
    live_and_end(cloud)
    assert cloud.mailbox.types() == ["vm.running", "vm.stopped", "vm.terminated", "vm.running"]
    first, last = cloud.mailbox.received[0], cloud.mailbox.received[-1]
    assert json.loads(last.body)["id"] == json.loads(first.body)["id"]
    assert last.headers["X-VectorLay-Delivery"] == first.headers["X-VectorLay-Delivery"]


def test_where_chooses_by_webhook_attempt_and_data(cloud, hook, load):
    load(
        {"on": "webhook", "where": {"webhook": "w", "attempt": 1, "status": "running"}, "do": {"drop": True}}
    )
    live_and_end(cloud)
    assert cloud.mailbox.types() == ["vm.stopped", "vm.terminated"]


def test_a_retry_can_be_struck_too(cloud, hook, load):
    cloud.mailbox.replies = [Outcome(status_code=500)]
    load({"on": "webhook", "where": {"attempt": 2}, "do": {"drop": True}})
    cloud.run_vm(gpuModelId="rtx-3090")
    cloud.advance(3600)
    assert cloud.mailbox.types() == ["vm.running"]


def test_a_webhook_that_is_deleted_takes_what_is_kept_back_with_it(cloud, hook, load):
    load({"on": "webhook", "do": {"delay": {"seconds": 60}}})
    cloud.run_vm(gpuModelId="rtx-3090")
    cloud.delete(f"/v1/orgs/{{org}}/webhooks/{hook['id']}")
    cloud.advance(120)
    assert cloud.mailbox.types() == []


def test_a_fork_sends_what_is_kept_back_once(cloud, hook, load):
    load({"on": "webhook", "do": {"delay": {"seconds": 60}}})
    cloud.run_vm(gpuModelId="rtx-3090")
    cloud.worlds.fork("default", "twin")
    cloud.visit("twin")
    cloud.advance(61)
    assert cloud.mailbox.types() == ["vm.running"]
