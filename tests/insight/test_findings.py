"""What is found about a client: one that commits it, and one that does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain.events import Outcome
from simulator.insight.findings import RULES, findings
from simulator.scenario import rules
from tests.support.cloud import Cloud

CREATE, LIST = "/v1/orgs/{org}/vms/create", "/v1/orgs/{org}/vms"
BODY = {"name": "trainer", "gpuModelId": "rtx-3090"}


def found(cloud: Cloud) -> list[str]:
    return [finding.rule for finding in findings(cloud.world)]


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


def three_vms(cloud: Cloud) -> None:
    for _ in range(3):
        cloud.launch(gpuModelId=None, resourceSize="small")


def reads_one_page(cloud: Cloud) -> None:
    for _ in range(60):
        cloud.launch(gpuModelId=None, resourceSize="small", diskSizeGb=10)
    cloud.get(LIST)


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
    (finding,) = findings(cloud.world)
    serials = {entry.serial for entry in cloud.world.journal}
    assert finding.serials
    assert serials.issuperset(finding.serials)
    assert finding.says


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
    assert "hunter2" not in repr(cloud.entries("request"))
    credential, create, bootstrap = cloud.entries("request")
    assert (credential["sent"]["name"], credential["sent"]["credentials"]) == ("n", "…")
    assert (create["sent"]["name"], create["sent"]["envVars"]) == ("trainer", "…")
    assert bootstrap["query"] == "token=…&name=rack"


def test_a_long_body_is_not_kept(cloud: Cloud) -> None:
    cloud.post(CREATE, {**BODY, "note": "x" * 3000})
    assert "sent" not in cloud.entries("request")[-1]
