"""What webhooks are told, when and how often, and the record that is kept of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from simulator.domain import signing
from simulator.domain.events import EVENT_TYPES, VM_EVENTS, Delivery, Outcome, Outgoing
from simulator.kernel.instant import parse_iso
from tests.support.cloud import Cloud
from tests.support.invariants import check_world
from tests.support.people import refused
from tests.support.webhooks import FAILED, HOOKS, URL, deliveries, genuine, hook_of, send, toggle

Open = Callable[..., Cloud]


# -- what is sent


def test_the_body_is_compact_in_order_and_to_the_second(cloud: Cloud) -> None:
    hook_of(cloud)
    cloud.advance(0.25)
    vm = cloud.run_vm()
    (outgoing,) = cloud.mailbox.received
    event_id = cloud.mailbox.bodies()[0]["id"]
    assert (
        outgoing.body
        == (
            f'{{"id":"{event_id}","type":"vm.running","created_at":"2026-06-15T09:01:30Z",'
            f'"data":{{"vmId":"{vm["id"]}","vm_id":"{vm["id"]}","endpoint":"{vm["endpointUrl"]}",'
            '"status":"running"}}'
        ).encode()
    )
    assert re.fullmatch(r"evt_[0-9a-f-]{36}", event_id)


def test_the_headers_name_event_and_delivery_and_sign_the_body(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    send(cloud)
    (outgoing,) = cloud.mailbox.received
    (row,) = deliveries(cloud, hook)
    assert outgoing.url == URL
    assert outgoing.headers == {
        "Content-Type": "application/json",
        "User-Agent": "OpenRelay-Webhooks/1.0",
        "X-VectorLay-Event": "vm.running",
        "X-VectorLay-Delivery": row["id"],
        "X-VectorLay-Signature": signing.sign(signing.key_of(hook["secret"]), outgoing.body),
    }


def test_text_beyond_ascii_is_sent_and_signed_as_utf_8(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    send(cloud, note="Montréal")
    (outgoing,) = cloud.mailbox.received
    assert "Montréal".encode() in outgoing.body
    assert genuine(outgoing, hook["secret"])


def test_each_step_of_a_vm_that_has_an_event_is_told(cloud: Cloud) -> None:
    hook_of(cloud)
    vm = cloud.run_vm()
    cloud.do("node.offline", node_of="trainer")
    cloud.do("node.online", node_of="trainer")
    cloud.advance(0)
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    cloud.advance(0)
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    cloud.advance(0)
    assert cloud.mailbox.types() == [
        "vm.running",
        "vm.interrupted",
        "vm.running",
        "vm.stopped",
        "vm.terminated",
    ]
    assert {body["data"]["vmId"] for body in cloud.mailbox.bodies()} == {vm["id"]}


def test_an_interrupted_vm_is_told_with_its_status(cloud: Cloud) -> None:
    hook_of(cloud, "vm.interrupted")
    cloud.run_vm()
    cloud.do("node.offline", node_of="trainer")
    cloud.advance(0)
    (body,) = cloud.mailbox.bodies()
    assert (body["type"], body["data"]["status"]) == ("vm.interrupted", "interrupted")


def test_the_status_is_that_of_the_moment_of_sending(cloud: Cloud) -> None:
    hook_of(cloud)
    vm = cloud.run_vm()
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    cloud.advance(0)
    told = [(body["type"], body["data"]["status"]) for body in cloud.mailbox.bodies()]
    assert told == [("vm.running", "running"), ("vm.stopped", "terminated"), ("vm.terminated", "terminated")]


def test_a_falling_balance_is_told_once_per_threshold(open_cloud: Open) -> None:
    cloud = open_cloud()
    hook = hook_of(cloud, "balance.low", "balance.depleted")
    cloud.do("balance.debit", name="acme", cents=9900)
    cloud.do("balance.debit", name="acme", cents=10)
    cloud.do("balance.debit", name="acme", cents=40)
    cloud.advance(3600)
    assert [(body["type"], body["data"]) for body in cloud.mailbox.bodies()] == [
        ("balance.low", {"available_cents": 100, "threshold_cents": 100}),
        ("balance.depleted", {"available_cents": 50, "threshold_cents": 50}),
    ]
    assert {row["eventId"] for row in deliveries(cloud, hook)} == {cloud.org}


def test_the_event_id_of_a_row_is_the_vm(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    vm = cloud.run_vm()
    assert deliveries(cloud, hook)[0]["eventId"] == vm["id"]


def test_all_webhooks_hear_of_one_event_by_the_same_id_with_signatures_of_their_own(cloud: Cloud) -> None:
    hooks = [hook_of(cloud), hook_of(cloud)]
    send(cloud)
    one, two = cloud.mailbox.received
    assert one.body == two.body
    assert one.headers["X-VectorLay-Delivery"] != two.headers["X-VectorLay-Delivery"]
    assert sorted(genuine(one, hook["secret"]) for hook in hooks) == [False, True]


def test_another_organization_hears_nothing(cloud: Cloud) -> None:
    hook_of(cloud)
    cloud.do("webhook.send", name="globex")
    cloud.advance(0)
    assert cloud.mailbox.received == []


@pytest.mark.parametrize(("means", "heard"), [("all", EVENT_TYPES), ("vm", VM_EVENTS)])
def test_an_empty_list_of_events_means_what_the_setting_says(
    open_cloud: Open, means: str, heard: tuple[str, ...]
) -> None:
    cloud = open_cloud(webhooks__empty_means=means)
    hook_of(cloud)
    for event_type in EVENT_TYPES:
        send(cloud, event_type)
    assert cloud.mailbox.types() == list(heard)


def test_the_latest_profile_tells_of_vms_only(open_cloud: Open) -> None:
    cloud = open_cloud(profile="2026-10")
    hook_of(cloud)
    send(cloud, "balance.low")
    send(cloud, "vm.stopped")
    assert cloud.mailbox.types() == ["vm.stopped"]


def test_only_events_of_the_list_are_told(cloud: Cloud) -> None:
    hook_of(cloud, "vm.stopped", "vm.terminated")
    for event_type in EVENT_TYPES:
        send(cloud, event_type)
    assert cloud.mailbox.types() == ["vm.stopped", "vm.terminated"]


def test_unknown_names_are_kept_and_match_nothing(cloud: Cloud) -> None:
    names = ["*", "vm.*", "vm.exploded", "VM.RUNNING", ""]
    hook = hook_of(cloud, *names)
    assert hook["events"] == names
    for event_type in EVENT_TYPES:
        send(cloud, event_type)
    assert cloud.mailbox.received == []


# -- attempts


def test_a_failed_delivery_is_tried_again_after_10_60_and_300_seconds(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    cloud.mailbox.replies = [FAILED] * 4
    send(cloud, seconds=10_000)
    rows = deliveries(cloud, hook)[::-1]
    began = parse_iso(rows[0]["createdAt"])
    assert [parse_iso(row["createdAt"]) - began for row in rows] == [0, 10_000, 70_000, 370_000]
    assert [row["attemptNumber"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert (row["status"], row["statusCode"]) == ("failed", 500)
        assert row["errorMessage"] == "the receiver answered 500"
        assert "deliveredAt" not in row
    assert len(cloud.mailbox.received) == 4
    check_world(cloud.world)


def test_a_retry_comes_to_the_millisecond_and_not_before(cloud: Cloud) -> None:
    hook_of(cloud)
    cloud.mailbox.replies = [FAILED]
    send(cloud, seconds=9.999)
    assert len(cloud.mailbox.received) == 1
    cloud.advance(0.001)
    assert len(cloud.mailbox.received) == 2


def test_the_wait_begins_when_the_attempt_ends(cloud: Cloud) -> None:
    """The first attempt takes 7 seconds of virtual time."""
    hook = hook_of(cloud)

    def slow(outgoing: Outgoing) -> Outcome:
        cloud.world.clock.move_to(cloud.world.now_ms + 7000)
        return FAILED

    cloud.simulator.courier = slow
    cloud.do("webhook.send", name="acme")
    cloud.simulator.advance_until("idle")
    rows = deliveries(cloud, hook)[::-1]
    began = parse_iso(rows[0]["createdAt"])
    assert [parse_iso(row["createdAt"]) - began for row in rows] == [0, 17_000, 84_000, 391_000]


def test_an_accepted_retry_ends_it(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    cloud.mailbox.replies = [Outcome(error="connection refused"), Outcome(status_code=202)]
    send(cloud, seconds=10_000)
    second, first = deliveries(cloud, hook)
    assert (first["status"], first["errorMessage"]) == ("failed", "connection refused")
    assert "statusCode" not in first
    assert (second["status"], second["statusCode"], second["attemptNumber"]) == ("delivered", 202, 2)
    assert second["deliveredAt"] == second["createdAt"]
    assert "errorMessage" not in second


@pytest.mark.parametrize(
    ("outcome", "attempts"),
    [
        (Outcome(status_code=200), 1),
        (Outcome(status_code=204), 1),
        (Outcome(status_code=299), 1),
        (Outcome(status_code=199), 2),
        (Outcome(302, "redirect 302 is not followed"), 2),
        (Outcome(status_code=400), 2),
        (Outcome(status_code=410), 2),
        (Outcome(error="timed out after 10 s"), 2),
    ],
)
def test_any_2xx_and_nothing_else_ends_it(cloud: Cloud, outcome: Outcome, attempts: int) -> None:
    hook_of(cloud)
    cloud.mailbox.replies = [outcome]
    send(cloud, seconds=1000)
    assert len(cloud.mailbox.received) == attempts


def test_the_body_stays_and_each_attempt_has_a_delivery_id_of_its_own(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    cloud.mailbox.replies = [FAILED] * 3
    send(cloud, seconds=1000)
    assert len({outgoing.body for outgoing in cloud.mailbox.received}) == 1
    sent = [outgoing.headers["X-VectorLay-Delivery"] for outgoing in cloud.mailbox.received]
    assert sent == [row["id"] for row in deliveries(cloud, hook)[::-1]]
    assert len(set(sent)) == 4


def test_a_delivery_id_can_stay_over_the_attempts_of_one_delivery(open_cloud: Open) -> None:
    cloud = open_cloud(webhooks__delivery_id="delivery")
    hook = hook_of(cloud)
    cloud.mailbox.replies = [FAILED] * 3
    send(cloud, seconds=1000)
    send(cloud)
    sent = [outgoing.headers["X-VectorLay-Delivery"] for outgoing in cloud.mailbox.received]
    assert len(set(sent[:4])) == 1
    assert sent[4] != sent[0]
    assert len({row["id"] for row in deliveries(cloud, hook)}) == 5


def test_events_are_sent_in_the_order_in_which_they_happened(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    for number in range(20):
        cloud.do("webhook.send", name="acme", data={"number": number})
    cloud.advance(0)
    assert [body["data"]["number"] for body in cloud.mailbox.bodies()] == list(range(20))
    sent = [outgoing.delivery_id for outgoing in cloud.mailbox.received]
    assert [row["id"] for row in deliveries(cloud, hook)] == sent[::-1]


def test_a_retry_holds_up_no_later_event(cloud: Cloud) -> None:
    hook_of(cloud)
    cloud.mailbox.replies = [FAILED]
    send(cloud, "vm.running", seconds=3)
    send(cloud, "vm.stopped", seconds=100)
    assert cloud.mailbox.types() == ["vm.running", "vm.stopped", "vm.running"]


def test_what_happens_while_a_webhook_is_off_is_lost(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    toggle(cloud, hook, False)
    send(cloud, "vm.running")
    toggle(cloud, hook, True)
    send(cloud, "vm.stopped", seconds=1000)
    assert cloud.mailbox.types() == ["vm.stopped"]
    assert len(deliveries(cloud, hook)) == 1


def test_a_retry_that_falls_due_while_the_webhook_is_off_is_dropped(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    cloud.mailbox.replies = [FAILED]
    send(cloud)
    toggle(cloud, hook, False)
    cloud.advance(11)
    toggle(cloud, hook, True)
    cloud.advance(1000)
    assert len(cloud.mailbox.received) == 1
    (row,) = deliveries(cloud, hook)
    assert row["status"] == "failed"
    check_world(cloud.world)


def test_a_retry_is_made_when_the_webhook_is_on_again_in_time(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    cloud.mailbox.replies = [FAILED]
    send(cloud)
    toggle(cloud, hook, False)
    cloud.advance(9)
    toggle(cloud, hook, True)
    cloud.advance(1)
    assert len(cloud.mailbox.received) == 2


def test_what_waits_to_be_sent_when_a_webhook_is_turned_off_is_not_sent(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    cloud.do("webhook.send", name="acme")
    assert [row["status"] for row in deliveries(cloud, hook)] == ["pending"]
    toggle(cloud, hook, False)
    cloud.advance(1000)
    (row,) = deliveries(cloud, hook)
    assert (row["status"], row["errorMessage"]) == ("failed", "not sent: the webhook is off")
    assert cloud.mailbox.received == []


def test_deleting_a_webhook_drops_its_pending_retries_and_no_others(cloud: Cloud) -> None:
    gone, stays = hook_of(cloud, url="https://gone.example"), hook_of(cloud)
    cloud.mailbox.replies = [FAILED, FAILED]
    send(cloud)
    assert cloud.delete(f"{HOOKS}/{gone['id']}").status == 204
    check_world(cloud.world)
    refused(cloud.get(f"{HOOKS}/{gone['id']}/deliveries"), 404)
    cloud.advance(1000)
    assert [outgoing.url for outgoing in cloud.mailbox.received[2:]] == [URL]
    assert {row.webhook_id for row in cloud.rows(Delivery)} == {stays["id"]}


def test_a_world_without_webhooks_left_is_idle(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    cloud.mailbox.replies = [FAILED]
    send(cloud)
    cloud.delete(f"{HOOKS}/{hook['id']}")
    advanced = cloud.simulator.advance_until("idle")
    assert advanced.now_ms == advanced.from_ms


def test_what_waits_to_be_sent_to_a_deleted_webhook_is_not_sent(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    cloud.do("webhook.send", name="acme")
    cloud.delete(f"{HOOKS}/{hook['id']}")
    assert cloud.advance(1000).deliveries == 0
    assert cloud.mailbox.received == []


def test_a_webhook_may_be_deleted_from_within_its_own_delivery(cloud: Cloud) -> None:
    hook = hook_of(cloud)

    def courier(outgoing: Outgoing) -> Outcome:
        assert cloud.delete(f"{HOOKS}/{hook['id']}").status == 204
        return FAILED

    cloud.simulator.courier = courier
    send(cloud, seconds=1000)
    assert cloud.rows(Delivery) == []
    check_world(cloud.world)


def test_pending_retries_are_signed_with_a_regenerated_secret(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    cloud.mailbox.replies = [FAILED]
    send(cloud)
    cloud.advance(5)
    answer = cloud.post(f"{HOOKS}/{hook['id']}/regenerate-secret").body
    assert answer["secret"] != hook["secret"]
    assert answer == {"id": hook["id"], "secret": answer["secret"], "secretPrefix": answer["secret"][:10]}
    (listed,) = cloud.get(HOOKS).body
    assert listed["secretPrefix"] == answer["secretPrefix"]
    assert parse_iso(listed["updatedAt"]) - parse_iso(listed["createdAt"]) == 5000
    cloud.advance(5)
    first, second = cloud.mailbox.received
    assert first.body == second.body
    assert genuine(first, hook["secret"])
    assert not genuine(second, hook["secret"])
    assert genuine(second, answer["secret"])


def test_pending_retries_go_to_a_changed_url(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    cloud.mailbox.replies = [FAILED]
    send(cloud)
    cloud.patch(f"{HOOKS}/{hook['id']}", {"url": "https://moved.example/"})
    cloud.advance(10)
    assert [outgoing.url for outgoing in cloud.mailbox.received] == [URL, "https://moved.example/"]


def test_an_event_that_a_webhook_no_longer_wants_is_still_retried(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    cloud.mailbox.replies = [FAILED]
    send(cloud, "vm.running")
    cloud.patch(f"{HOOKS}/{hook['id']}", {"events": ["vm.stopped"]})
    cloud.advance(10)
    assert cloud.mailbox.types() == ["vm.running", "vm.running"]


@pytest.mark.parametrize(
    ("waits", "due"), [("[1, 2]", [0, 1000, 3000]), ("0.5", [0, 500]), ("never", [0]), ("0", [0, 0])]
)
def test_the_waits_are_a_setting(open_cloud: Open, waits: str, due: list[int]) -> None:
    cloud = open_cloud(webhooks__retry_s=waits)
    hook = hook_of(cloud)
    cloud.mailbox.replies = [FAILED] * 9
    send(cloud, seconds=1000)
    rows = deliveries(cloud, hook)[::-1]
    began = parse_iso(rows[0]["createdAt"])
    assert [parse_iso(row["createdAt"]) - began for row in rows] == due


def test_waits_can_be_drawn_from_the_seed(open_cloud: Open) -> None:
    def waits_ms(**settings: Any) -> list[int]:
        cloud = open_cloud(webhooks__jitter_percent=50, **settings)
        hook = hook_of(cloud)
        cloud.mailbox.replies = [FAILED] * 4
        send(cloud, seconds=1000)
        moments = [parse_iso(row["createdAt"]) for row in deliveries(cloud, hook)[::-1]]
        return [after - before for before, after in pairwise(moments)]

    drawn = waits_ms()
    for wait, least in zip(drawn, (10_000, 60_000, 300_000), strict=True):
        assert least < wait <= least * 1.5
    assert waits_ms() == drawn
    assert waits_ms(seed=1) != drawn


def test_the_timeout_is_a_setting(open_cloud: Open) -> None:
    cloud = open_cloud(webhooks__timeout_s=3)
    hook_of(cloud)
    send(cloud)
    assert cloud.mailbox.received[0].timeout_s == 3


def test_a_fork_has_a_future_of_its_own(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    cloud.mailbox.replies = [FAILED]
    send(cloud)
    twin = cloud.worlds.fork("default", "twin")
    cloud.delete(f"{HOOKS}/{hook['id']}")
    cloud.advance(1000)
    assert len(cloud.mailbox.received) == 1
    twin.advance(1000)
    assert len(cloud.mailbox.received) == 2
    check_world(twin.world)


# -- the record


def test_the_oldest_rows_go_when_there_are_too_many(open_cloud: Open) -> None:
    cloud = open_cloud(webhooks__max_rows=3)
    hook = hook_of(cloud)
    for number in range(5):
        send(cloud, number=number)
    kept = [outgoing.delivery_id for outgoing in cloud.mailbox.received[-3:]]
    assert [row["id"] for row in deliveries(cloud, hook)] == kept[::-1]


def test_a_row_whose_retry_is_to_come_stays(open_cloud: Open) -> None:
    cloud = open_cloud(webhooks__max_rows=1)
    hook = hook_of(cloud)
    cloud.mailbox.replies = [FAILED]
    send(cloud, "vm.running")
    send(cloud, "vm.stopped")
    send(cloud, "vm.terminated")
    cloud.advance(10)
    assert cloud.mailbox.types() == ["vm.running", "vm.stopped", "vm.terminated", "vm.running"]
    assert [row["attemptNumber"] for row in deliveries(cloud, hook)] == [2]
    check_world(cloud.world)


def test_what_is_over_or_deleted_leaves_nothing_behind(open_cloud: Open) -> None:
    """The outbox, the clock and the table stay as small as the setting says."""
    cloud = open_cloud(webhooks__max_rows=10)
    hook_of(cloud)
    cloud.mailbox.replies = [FAILED, Outcome(status_code=200)] * 100
    pending = len(cloud.world.clock)
    for _ in range(100):
        send(cloud, seconds=10)
    cloud.advance(1000)
    assert (len(cloud.rows(Delivery)), len(cloud.world.outbox)) == (10, 0)
    assert len(cloud.world.clock) == pending


def test_a_retry_is_traced_back_to_its_event(cloud: Cloud) -> None:
    hook_of(cloud)
    cloud.mailbox.replies = [FAILED]
    cloud.launch()
    cloud.advance(1000)
    entries = {entry.serial: entry for entry in cloud.world.journal}
    entry, kinds = [each for each in entries.values() if each.kind == "delivery"][-1], []
    while entry.cause is not None:
        entry = entries[entry.cause]
        kinds.append(entry.facts.get("name", entry.kind) if entry.kind == "timer" else entry.kind)
    told = ["webhook.retry", "delivery", "event", "transition"]
    assert (kinds[:4], kinds[-1]) == (told, "request")
