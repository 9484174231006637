"""What each fault of a request does: whether it is carried out, what comes back, and how long it takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.domain.faults.rules import Rule
from simulator.engine import ClockState
from simulator.kernel.operation import Reply, Request, Wire
from simulator.scenario.rules import load_rules, remove_rules
from tests.support.cloud import Cloud

LIST = "/v1/orgs/{org}/vms"
CREATE = "/v1/orgs/{org}/vms/create"
WANTED = {"name": "trainer", "gpuModelId": "rtx-3090"}


def reply_to(cloud: Cloud, method: str, path: str, body: Any = None) -> Reply:
    headers = {"authorization": f"Bearer {cloud.key}", "content-type": "application/json"}
    path, _, query = path.replace("{org}", cloud.org).partition("?")
    return cloud.worlds.call(
        Request(method, path, query, headers, json.dumps(body).encode() if body else b"")
    )


def wire(reply: Reply) -> Wire:
    """What happens to a reply on its way."""
    assert reply.wire is not None
    return reply.wire


def create(cloud: Cloud) -> Reply:
    return reply_to(cloud, "POST", CREATE, WANTED)


def vms(cloud: Cloud) -> list[Any]:
    items: list[Any] = cloud.get(LIST).body["items"]
    return items


@pytest.fixture
def on_create(load):
    return lambda do: load({"id": "it", "on": "request", "operation": "createVm", "times": 1, "do": do})


# -- respond -----------------------------------------------------------------------------------------------


def test_respond_answers_with_an_error_and_carries_nothing_out(cloud, on_create):
    on_create({"respond": {"status": 503, "retry_after": 7}})
    answer = cloud.post(CREATE, WANTED)
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "unavailable", "7")
    assert answer.body["error"] == "injected by fault it"
    assert vms(cloud) == []


STATUSES = [(400, "bad_request"), (418, "internal"), (429, "rate_limited"), (502, "internal")]


@pytest.mark.parametrize(("status", "code"), STATUSES)
def test_a_status_brings_its_generic_code(cloud, on_create, status, code):
    on_create({"respond": {"status": status}})
    answer = cloud.post(CREATE, WANTED)
    assert (answer.status, answer.code) == (status, code)


def test_respond_takes_a_code_and_a_message(cloud, on_create):
    on_create({"respond": {"status": 503, "code": "INSUFFICIENT_GPU_CAPACITY", "message": "all gone"}})
    answer = cloud.post(CREATE, WANTED)
    assert (answer.status, answer.code, answer.body["error"]) == (
        503,
        "INSUFFICIENT_GPU_CAPACITY",
        "all gone",
    )


def test_a_fault_comes_before_access_is_looked_at(cloud, on_create):
    on_create({"respond": {"status": 500}})
    assert [cloud.post(CREATE, WANTED, key="wrong").status for _ in range(2)] == [500, 401]


def test_an_error_of_the_inference_host_keeps_its_form(cloud, load):
    load({"on": "request", "operation": "getFile", "do": {"respond": {"status": 429}}})
    assert cloud.get("/v1/files/file-1").body["error"]["type"] == "rate_limit_error"


# -- time --------------------------------------------------------------------------------------------------


def test_delay_carries_out_and_moves_virtual_time(cloud, on_create):
    on_create({"delay": {"seconds": 95}})
    before = cloud.world.now_ms
    reply = create(cloud)
    assert (reply.status, wire(reply).wait_s) == (200, 0.0)
    assert cloud.world.now_ms - before == 95_000
    assert [vm["status"] for vm in vms(cloud)] == ["running"]


def test_jitter_is_drawn_from_the_seed(open_cloud, load):
    def span(seed: int) -> int:
        cloud = open_cloud(seed=seed)
        rule = {"on": "request", "do": {"delay": {"seconds": 10, "jitter": 10}}}
        cloud.simulator.let("faults.load", {}, lambda world: load_rules(world, [rule]))
        before = cloud.world.now_ms
        create(cloud)
        return cloud.world.now_ms - before

    assert span(1) == span(1) != span(2)
    assert 10_000 <= span(1) <= 20_000


def test_real_seconds_are_left_to_who_sends_the_answer(cloud, on_create):
    on_create({"delay": {"seconds": 3, "real": True}})
    reply = create(cloud)
    assert wire(reply).wait_s == 3


def test_in_live_mode_a_delay_is_real_and_divided_by_the_rate(open_cloud):
    cloud = open_cloud()
    rule = {"on": "request", "do": {"delay": {"seconds": 30}}}
    cloud.simulator.let("faults.load", {}, lambda world: load_rules(world, [rule]))
    cloud.simulator.set_clock(ClockState(mode="live", rate=60))
    assert wire(create(cloud)).wait_s == 0.5


# -- the connection ----------------------------------------------------------------------------------------


def test_reset_cuts_and_carries_nothing_out(cloud, on_create):
    on_create({"reset": True})
    assert wire(create(cloud)).cut
    assert vms(cloud) == []


def test_hang_waits_cuts_and_carries_nothing_out(cloud, on_create):
    on_create({"hang": {"seconds": 30}})
    before = cloud.world.now_ms
    reply = create(cloud)
    assert wire(reply).cut
    assert wire(reply).silent
    assert cloud.world.now_ms - before == 30_000
    assert vms(cloud) == []


def test_lose_answer_carries_out_with_charge_capacity_and_webhook(cloud, on_create):
    cloud.post("/v1/orgs/{org}/webhooks/create", {"name": "w", "url": "http://127.0.0.1:9/", "events": []})
    on_create({"lose_answer": True})
    assert wire(create(cloud)).cut
    (vm,) = vms(cloud)
    cloud.advance(7200)
    assert cloud.mailbox.types()[0] == "vm.running"
    assert cloud.get("/v1/orgs/{org}/billing/balance").body["accruedUsageCents"] > 0
    assert cloud.vm(vm["id"])["status"] == "running"


def test_truncate_carries_out_and_sends_some_bytes(cloud, on_create):
    on_create({"truncate": {"bytes": 12}})
    assert wire(create(cloud)).bytes == 12
    assert len(vms(cloud)) == 1


def test_dribble_carries_out_and_sends_pieces_over_time(cloud, on_create):
    on_create({"dribble": {"chunks": 4, "seconds": 8}})
    before = cloud.world.now_ms
    reply = create(cloud)
    assert (wire(reply).chunks, reply.status, cloud.world.now_ms - before) == (4, 200, 8000)


# -- the answer --------------------------------------------------------------------------------------------


def test_garble_carries_out_and_answers_what_is_no_json(cloud, on_create):
    on_create({"garble": True})
    reply = create(cloud)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.body)
    assert len(vms(cloud)) == 1


def test_garble_gives_an_empty_answer_a_body(cloud, load):
    key = cloud.post("/v1/orgs/{org}/api-keys/create", {"name": "k"}).body
    load({"on": "request", "operation": "revokeOrgApiKey", "do": {"garble": True}})
    reply = reply_to(cloud, "DELETE", f"/v1/orgs/{{org}}/api-keys/{key['id']}")
    assert (reply.status, reply.body) == (200, b"\x00}{")


def test_html_answers_as_a_proxy_does(cloud, on_create):
    on_create({"html": {"status": 504, "title": "Gateway Time-out"}})
    reply = create(cloud)
    assert (reply.status, reply.headers["Content-Type"]) == (504, "text/html; charset=utf-8")
    assert b"<title>504 Gateway Time-out</title>" in reply.body
    assert vms(cloud) == []


def test_a_page_may_say_200_and_the_journal_says_so_too(cloud, on_create):
    on_create({"html": {"status": 200, "title": "Scheduled maintenance"}})
    reply = create(cloud)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    told = [entry for entry in cloud.entries("request") if entry["operation"] == "createVm"]
    assert [entry["status"] for entry in told] == [200]
    assert vms(cloud) == []


def test_rate_limit_lets_some_pass_and_says_when_the_next_may_come(cloud, on_list):
    on_list({"rate_limit": {"per_minute": 6, "burst": 2}})
    answers = [cloud.get(LIST) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert answers[2].headers["Retry-After"] == "10"
    cloud.advance(9)
    assert cloud.get(LIST).headers["Retry-After"] == "1"
    cloud.advance(1)
    assert cloud.get(LIST).status == 200


def test_what_a_rate_limit_lets_pass_is_not_struck(cloud, on_list):
    (rule,) = on_list({"rate_limit": {"per_minute": 6, "burst": 2}})
    answers = [cloud.get(LIST) for _ in range(4)]
    assert ["X-Sim-Fault" in answer.headers for answer in answers] == [False, False, True, True]
    assert len(cloud.entries("fault")) == 2
    assert cloud.world.get(Rule, rule.id).hits == 2


def test_a_rule_behind_a_rate_limit_has_its_turn_with_what_passes(cloud, on_list):
    on_list({"rate_limit": {"per_minute": 6}})
    on_list({"respond": {"status": 418}}, id="behind")
    assert [cloud.get(LIST).status for _ in range(2)] == [418, 429]


def test_rate_limit_counts_each_caller_by_itself(cloud, on_list):
    other = cloud.post("/v1/orgs/{org}/api-keys/create", {"name": "other"}).body["key"]
    on_list({"rate_limit": {"per_minute": 1}})
    assert [cloud.get(LIST).status, cloud.get(LIST).status, cloud.get(LIST, key=other).status] == [
        200,
        429,
        200,
    ]


def test_stale_answers_what_was_true_some_time_ago(cloud, on_list):
    on_list({"stale": {"seconds": 5}})
    cloud.advance(60)
    cloud.launch(gpuModelId="rtx-3090")
    assert vms(cloud) == []
    cloud.advance(4.999)
    assert vms(cloud) == []
    cloud.advance(0.001)
    assert [vm["status"] for vm in vms(cloud)] == ["deploying"]


def test_stale_shows_each_state_late(cloud, on_list, load):
    load({"on": "request", "operation": "getVm", "do": {"stale": {"seconds": 30}}})
    vm = cloud.launch(gpuModelId="rtx-3090")
    cloud.advance(30)
    seen = []
    for _ in range(5):
        seen.append(cloud.vm(vm["id"])["status"])
        cloud.advance(20)
    assert seen == ["deploying"] * 5 or seen[-1] == "running"
    assert cloud.vm(vm["id"])["status"] == "running"


def test_stale_changes_nothing_about_writes(cloud, on_create):
    on_create({"stale": {"seconds": 60}})
    assert create(cloud).status == 200
    assert len(vms(cloud)) == 1


def test_surprise_is_legal_and_unexpected(cloud, on_list):
    for name in ("a", "b"):
        cloud.launch(name, gpuModelId=None, resourceSize="small")
    on_list({"surprise": True})
    page = cloud.get(f"{LIST}?limit=2").body
    assert len(page["items"]) == 1
    assert page["nextCursor"]
    assert "addedLater" in page
    assert "addedLater" in page["items"][0]


def test_surprise_makes_optional_members_null(cloud, load):
    load({"on": "request", "operation": "getBalance", "do": {"surprise": {"unknown_member": False}}})
    balance = cloud.get("/v1/orgs/{org}/billing/balance").body
    assert balance["monthlySpendLimitCents"] is None
    assert "addedLater" not in balance


def test_surprise_can_be_told_what_to_leave(cloud, on_list):
    for name in ("a", "b"):
        cloud.launch(name, gpuModelId=None, resourceSize="small")
    on_list({"surprise": {"smaller_page": False, "unknown_member": False, "nulls": False}})
    assert cloud.get(f"{LIST}?limit=2").body == reply_to_twin(cloud)


def reply_to_twin(cloud: Cloud) -> Any:
    """What an ordinary day answers."""
    cloud.simulator.let("faults.delete", {}, remove_rules)
    return cloud.get(f"{LIST}?limit=2").body


# -- the limits of the settings ----------------------------------------------------------------------------


def test_limits_are_off_by_default(cloud):
    assert {cloud.get("/v1/whoami").status for _ in range(200)} == {200}


def test_limits_of_the_settings_hold_per_key_on_the_virtual_clock(open_cloud):
    cloud = open_cloud(limits__per_minute=60, limits__burst=3)
    answers = [cloud.get("/v1/whoami") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert (answers[3].code, answers[3].headers["Retry-After"]) == ("rate_limited", "1")
    assert "X-Sim-Fault" not in answers[3].headers
    assert cloud.get("/v1/whoami", key="wrong").status == 401
    cloud.advance(1)
    assert [cloud.get("/v1/whoami").status for _ in range(2)] == [200, 429]


def test_a_refused_request_costs_no_token_and_waiting_as_told_is_enough(open_cloud):
    cloud = open_cloud(limits__per_minute=7, limits__burst=1)
    for _ in range(20):
        answer = cloud.get("/v1/whoami")
        if answer.status == 429:
            cloud.advance(int(answer.headers["Retry-After"]))
            assert cloud.get("/v1/whoami").status == 200
