"""What is found about a client: one that commits it, and one that does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain.events import Outcome
from simulator.insight.findings import RULES, findings
from simulator.kernel.instant import iso
from simulator.kernel.operation import Request
from simulator.kernel.refusal import Refusal
from simulator.scenario import rules
from tests.support.cloud import Cloud

CREATE, LIST = "/v1/orgs/{org}/vms/create", "/v1/orgs/{org}/vms"
BODY = {"name": "trainer", "gpuModelId": "rtx-3090"}


def found(cloud: Cloud) -> list[str]:
    return [finding.rule for finding in findings(cloud.world, cloud.simulator.genesis)]


def fault(cloud: Cloud, **rule: Any) -> None:
    rules.load_rules(cloud.world, [{"on": "request", **rule}])


def lose_a_create(cloud: Cloud) -> None:
    fault(cloud, operation="createVm", times=1, do={"lose_answer": True})
    cloud.post(CREATE, BODY)


def repeats_a_create(cloud: Cloud) -> None:
    lose_a_create(cloud)
    cloud.post(CREATE, BODY)


def looks_before_it_repeats(cloud: Cloud) -> None:
    lose_a_create(cloud)
    cloud.get(LIST)
    cloud.post(CREATE, BODY)


def looks_on_the_balance_before_it_pays_again(cloud: Cloud) -> None:
    cloud.do("card.save", name="acme")
    fault(cloud, operation="createBillingDeposit", times=1, do={"lose_answer": True})
    for _ in range(2):
        cloud.post("/v1/orgs/{org}/billing/deposit", {"amountCents": 1000})
        cloud.get("/v1/orgs/{org}/billing/balance")


def repeats_a_long_create(cloud: Cloud) -> None:
    fault(cloud, operation="createVm", times=1, do={"lose_answer": True})
    for _ in range(2):
        cloud.post(CREATE, {**BODY, "cloudInit": "x" * 3000})


def sends_two_long_creates(cloud: Cloud) -> None:
    fault(cloud, operation="createVm", times=1, do={"lose_answer": True})
    for letter in "ab":
        cloud.post(CREATE, {**BODY, "cloudInit": letter * 3000})


def pays_twice(cloud: Cloud, **more: str) -> None:
    cloud.do("card.save", name="acme")
    fault(cloud, operation="createBillingDeposit", times=1, do={"lose_answer": True})
    for _ in range(2):
        cloud.post("/v1/orgs/{org}/billing/deposit", {"amountCents": 1000, **more})


def repeats_a_create_with_a_header(cloud: Cloud) -> None:
    fault(cloud, operation="createVm", times=1, do={"lose_answer": True})
    for _ in range(2):
        cloud.post(CREATE, BODY, Idempotency_Key="k-1")


def asks_again_when_there_was_no_room(cloud: Cloud) -> None:
    for _ in range(3):
        cloud.post(CREATE, {**BODY, "gpuModelId": "rtx-4090"})


def creates_two_of_a_kind(cloud: Cloud) -> None:
    cloud.post(CREATE, BODY)
    cloud.post(CREATE, BODY)


def waits(cloud: Cloud, seconds: float) -> None:
    fault(cloud, operation="whoami", times=1, do={"respond": {"status": 429, "retry_after": 20}})
    cloud.get("/v1/whoami")
    cloud.advance(seconds)
    cloud.get("/v1/whoami")


def polls(cloud: Cloud, seconds: float) -> None:
    vm = cloud.launch()
    for _ in range(25):
        cloud.get(f"/v1/vms/{vm['id']}")
        cloud.advance(seconds)


def looks_after_each_create(cloud: Cloud) -> None:
    for _ in range(25):
        cloud.launch(gpuModelId=None, resourceSize="small", diskSizeGb=10)
        cloud.get(LIST)


def another_caller_does_not_wait(cloud: Cloud) -> None:
    other = cloud.post("/v1/orgs/{org}/api-keys/create", {"name": "ci"}).body["key"]
    fault(cloud, operation="whoami", do={"rate_limit": {"per_minute": 1}})
    for key in (None, None, other):
        cloud.get("/v1/whoami", key=key)
    cloud.advance(120)
    cloud.get("/v1/whoami")


def three_vms(cloud: Cloud) -> None:
    for _ in range(3):
        cloud.launch(gpuModelId=None, resourceSize="small")


def reads_one_page(cloud: Cloud) -> None:
    for _ in range(60):
        cloud.launch(gpuModelId=None, resourceSize="small", diskSizeGb=10)
    cloud.get(LIST)


def reads_one_full_page(cloud: Cloud) -> None:
    for _ in range(101):
        cloud.launch(gpuModelId=None, resourceSize="small", diskSizeGb=10)
    for _ in range(2):
        cloud.get(f"{LIST}?limit=100")


def reads_all_pages(cloud: Cloud) -> None:
    reads_one_page(cloud)
    cursor = cloud.get(LIST).body["nextCursor"]
    while cursor:
        cursor = cloud.get(f"{LIST}?cursor={cursor}").body.get("nextCursor")


def wants_the_newest(cloud: Cloud) -> None:
    three_vms(cloud)
    cloud.get(f"{LIST}?limit=1")


def makes_up_a_cursor(cloud: Cloud) -> None:
    cloud.get(f"{LIST}?cursor=abc")


def misspells(cloud: Cloud) -> None:
    for _ in range(2):
        cloud.post(CREATE, {**BODY, "gpuCuont": 1})


def goes_on_with_a_revoked_key(cloud: Cloud, times: int = 3) -> None:
    made = cloud.post("/v1/orgs/{org}/api-keys/create", {"name": "ci"}).body
    cloud.do("key.revoke", name="ci")
    for _ in range(times):
        cloud.get("/v1/whoami", key=made["key"])


def loses_two_keys(cloud: Cloud) -> None:
    for name in ("a", "b"):
        made = cloud.post("/v1/orgs/{org}/api-keys/create", {"name": name}).body
        cloud.do("key.revoke", name=name)
        cloud.get("/v1/whoami", key=made["key"])


def a_fault_keeps_it_from_answering(cloud: Cloud) -> None:
    rules.load_rules(cloud.world, [{"on": "webhook", "event": "*", "do": {"fail": {}}}])
    answers(cloud)


def switches_its_webhook_off(cloud: Cloud) -> None:
    hook = cloud.post("/v1/orgs/{org}/webhooks/create", {"name": "h", "url": "http://127.0.0.1:9/"}).body
    cloud.do("webhook.send", name="acme", type="vm.running")
    cloud.post(f"/v1/orgs/{{org}}/webhooks/{hook['id']}/toggle", {"enabled": False})
    cloud.advance(1000)


def answers(cloud: Cloud, *statuses: int) -> None:
    cloud.post("/v1/orgs/{org}/webhooks/create", {"name": "h", "url": "http://127.0.0.1:9/"})
    cloud.mailbox.replies += [Outcome(status_code=status) for status in statuses]
    cloud.do("webhook.send", name="acme", type="vm.running")
    cloud.advance(1000)


@pytest.mark.parametrize(
    ("client", "rule"),
    [
        (repeats_a_create, "retried-create"),
        (lambda cloud: waits(cloud, 5), "ignored-retry-after"),
        (lambda cloud: polls(cloud, 0.1), "polled-too-often"),
        (reads_one_page, "stopped-before-the-last-page"),
        (makes_up_a_cursor, "changed-cursor"),
        (misspells, "unknown-field"),
        (goes_on_with_a_revoked_key, "used-a-dead-key"),
        (lambda cloud: answers(cloud, 500, 500, 500, 500), "left-a-webhook-unanswered"),
    ],
    ids=RULES,
)
def test_a_careless_client_is_found_out(cloud: Cloud, client: Callable[[Cloud], None], rule: str) -> None:
    client(cloud)
    assert found(cloud) == [rule]
    (finding,) = findings(cloud.world, cloud.simulator.genesis)
    by_serial = {entry.serial: entry for entry in cloud.world.journal}
    shown = [by_serial[serial] for serial in finding.serials]
    assert finding.requests == [entry.facts["id"] for entry in shown if entry.kind == "request"]
    assert finding.at == iso(shown[-1].at_ms)
    assert finding.says


def test_a_fork_is_not_blamed_for_what_came_before(cloud: Cloud) -> None:
    misspells(cloud)
    twin = cloud.worlds.fork(cloud.simulator.name, "twin")
    assert findings(twin.world, twin.genesis) == []


@pytest.mark.parametrize(
    ("client", "rule", "settings"),
    [
        (repeats_a_long_create, "retried-create", {}),
        (pays_twice, "retried-create", {}),
        (repeats_a_create_with_a_header, "retried-create", {}),
        (reads_one_full_page, "stopped-before-the-last-page", {}),
        (
            lambda cloud: answers(cloud, 500, 500),
            "left-a-webhook-unanswered",
            {"webhooks__retry_s": [10]},
        ),
    ],
    ids=["long-create", "deposit", "header-that-is-not-heeded", "full-page", "one-retry"],
)
def test_a_careless_client_is_found_out_here_too(
    open_cloud: Callable[..., Cloud], client: Callable[[Cloud], None], rule: str, settings: dict[str, Any]
) -> None:
    cloud = open_cloud(**settings)
    client(cloud)
    assert found(cloud) == [rule]


@pytest.mark.parametrize(
    ("client", "settings"),
    [
        (asks_again_when_there_was_no_room, {"capacity__refusal_status": 503}),
        (repeats_a_create_with_a_header, {"vms__idempotency_key": True}),
    ],
    ids=["no-room", "header"],
)
def test_a_careful_client_is_not_found_where_a_setting_helps(
    open_cloud: Callable[..., Cloud], client: Callable[[Cloud], None], settings: dict[str, Any]
) -> None:
    cloud = open_cloud(**settings)
    client(cloud)
    assert found(cloud) == []


@pytest.mark.parametrize(
    "client",
    [
        looks_on_the_balance_before_it_pays_again,
        sends_two_long_creates,
        lambda cloud: pays_twice(cloud, idempotencyKey="k-1"),
        looks_after_each_create,
        another_caller_does_not_wait,
        loses_two_keys,
        a_fault_keeps_it_from_answering,
        switches_its_webhook_off,
    ],
    ids=["balance", "long", "key", "looks", "two-callers", "two-keys", "fault", "off"],
)
def test_a_false_alarm_is_not_given(cloud: Cloud, client: Callable[[Cloud], None]) -> None:
    client(cloud)
    assert found(cloud) == []


@pytest.mark.parametrize(
    "client",
    [
        looks_before_it_repeats,
        creates_two_of_a_kind,
        lambda cloud: waits(cloud, 20),
        lambda cloud: polls(cloud, 5),
        reads_all_pages,
        wants_the_newest,
        lambda cloud: goes_on_with_a_revoked_key(cloud, 1),
        lambda cloud: answers(cloud, 500, 500, 200),
    ],
    ids=(*RULES[:1], "two-creates", *RULES[1:5], *RULES[6:]),
)
def test_a_careful_client_is_not(cloud: Cloud, client: Callable[[Cloud], None]) -> None:
    client(cloud)
    assert found(cloud) == []


def test_what_a_client_sent_is_kept_without_its_secrets(cloud: Cloud) -> None:
    body = {
        "name": "n",
        "server": "s",
        "authType": "basic",
        "credentials": {"username": "ada", "password": "hunter2"},
    }
    cloud.post("/v1/orgs/{org}/registry-credentials/create", body)
    cloud.post(CREATE, {**BODY, "envVars": {"TOKEN": "hunter2"}, "cloudInit": "#cloud-config hunter2"})
    cloud.get("/v1/provider/bootstrap?token=hunter2&name=rack", key="")
    cloud.get("/v1/provider/bootstrap?%74oken=hunter2", key="")
    assert "hunter2" not in repr(cloud.entries("request"))
    credential, create, bootstrap, disguised = cloud.entries("request")
    assert (credential["sent"]["name"], credential["sent"]["credentials"]) == ("n", "…")
    assert (create["sent"]["name"], create["sent"]["envVars"]) == ("trainer", "…")
    assert bootstrap["query"] == "token=…&name=rack"
    assert disguised["query"] == "%74oken=…"


def test_a_body_that_our_own_mistake_kept_from_being_read_is_not_read_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*request: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(cloud.simulator.contract, "check_request", break_down)
    broken = Request("POST", "/v1/orgs/o/vms/create", "", {}, b'{"name": "n"}')
    assert cloud.worlds.call(broken, Refusal("internal", "ours")).status == 500
    assert "sent" not in cloud.entries("request")[-1]


def test_a_long_body_is_not_kept(cloud: Cloud) -> None:
    cloud.post(CREATE, {**BODY, "note": "x" * 3000})
    assert "sent" not in cloud.entries("request")[-1]
