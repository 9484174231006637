"""Behaviours met and not met."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator import assets
from simulator.domain.events import Outcome
from simulator.insight import coverage as insight
from simulator.insight.coverage import Behaviour, coverage, universe
from simulator.kernel.refusal import CODES
from simulator.registry import OPERATIONS
from simulator.scenario import rules
from tests.support.cloud import Cloud
from tests.support.reach import documented


def met(cloud: Cloud) -> set[Behaviour]:
    return insight.met(cloud.world, cloud.simulator.genesis)


def group(cloud: Cloud, name: str) -> set[str]:
    return {what for where, what in met(cloud) if where == name}


def test_an_ordinary_vm_meets_what_it_goes_through(cloud: Cloud) -> None:
    cloud.post("/v1/orgs/{org}/webhooks/create", {"name": "h", "url": "http://127.0.0.1:9/"})
    vm = cloud.run_vm()
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    cloud.get("/v1/vms/none")
    found = met(cloud)
    assert found >= {
        ("operations", "createVm"),
        ("operations", "terminateVm"),
        ("transitions", "vm: – → deploying by create"),
        ("transitions", "vm: deploying → running by started"),
        ("transitions", "vm: running → terminated by terminate"),
        ("events", "vm.running"),
        ("events", "vm.terminated"),
        ("errors", "not_found"),
        ("capacity", "placed"),
        ("refusals", "getVm 404"),
        ("deliveries", "delivered at once"),
    }
    assert found <= set(universe())


@pytest.mark.parametrize("fixture", assets.names("fixtures"))
def test_what_a_world_begins_with_was_not_met(open_cloud: Callable[..., Cloud], fixture: str) -> None:
    assert met(open_cloud(fixture)) == set()


def test_a_fork_meets_what_comes_after_it(cloud: Cloud) -> None:
    cloud.run_vm()
    twin = cloud.worlds.fork(cloud.simulator.name, "twin")
    assert insight.met(twin.world, twin.genesis) == set()


def test_refusals_and_declines_are_behaviours(open_cloud: Callable[..., Cloud]) -> None:
    cloud = open_cloud(billing__default_card="newest")
    for _ in range(2):
        cloud.post("/v1/orgs/{org}/vms/create", {"name": "t", "gpuModelId": "rtx-4090"})
    cloud.do("card.save", name="acme", last4="9995")
    for amount in (1000, 2000):
        cloud.post("/v1/orgs/{org}/billing/deposit", {"amountCents": amount})
    found = met(cloud)
    assert {("capacity", "INSUFFICIENT_GPU_CAPACITY"), ("errors", "INSUFFICIENT_GPU_CAPACITY")} <= found
    assert group(cloud, "payments") == {"declined: insufficient_funds"}


def test_a_payment_that_goes_on_has_met_each_of_its_outcomes(open_cloud: Callable[..., Cloud]) -> None:
    cloud = open_cloud(billing__default_card="newest")
    cloud.do("card.save", name="acme", last4="3155")
    payment = cloud.post("/v1/orgs/{org}/billing/deposit", {"amountCents": 1000}).body
    assert group(cloud, "payments") == {"requires_action"}
    cloud.do("payment.confirm", id=payment["paymentIntentId"])
    cloud.advance(10)
    assert group(cloud, "payments") == {"requires_action", "succeeded"}


def test_a_sensitive_decline_is_met_as_clients_read_it(cloud: Cloud) -> None:
    cloud.do("card.save", name="acme")
    sensitive = {"on": "payment", "do": {"decline": {"decline_code": "stolen_card"}}}
    rules.load_rules(cloud.world, [sensitive])
    cloud.post("/v1/orgs/{org}/billing/deposit", {"amountCents": 1000})
    assert group(cloud, "payments") == {"declined: generic_decline"}


@pytest.mark.parametrize(
    ("answers", "outcomes"),
    [
        ([200], {"delivered at once"}),
        ([500, 200], {"delivered after a retry"}),
        ([None, 200], {"no answer", "delivered after a retry"}),
        ([500, 500, 500, 500], {"given up"}),
    ],
)
def test_outcomes_of_deliveries(cloud: Cloud, answers: list[int | None], outcomes: set[str]) -> None:
    cloud.post("/v1/orgs/{org}/webhooks/create", {"name": "h", "url": "http://127.0.0.1:9/"})
    cloud.mailbox.replies += [Outcome(status_code=status) for status in answers]
    cloud.do("webhook.send", name="acme", type="vm.running")
    cloud.advance(1000)
    assert group(cloud, "deliveries") == outcomes


def test_answers_are_counted_for_good(cloud: Cloud) -> None:
    cloud.launch()
    cloud.get("/v1/vms/none")
    for _ in range(cloud.world.journal.limit):
        cloud.world.note("timer", name="", args=[])
    assert met(cloud) == {("operations", "createVm"), ("refusals", "getVm 404")}


def test_the_universe_is_that_of_the_registries() -> None:
    everything = universe()
    assert len(set(everything)) == len(everything)
    assert {name for where, name in everything if where == "operations"} == set(OPERATIONS)
    assert {name for where, name in everything if where == "errors"} <= {
        *CODES,
        *(row.wire for row in CODES.values()),
    }
    errors = {f"{name} {status}" for name, known in documented().items() for status in known.errors}
    assert {name for where, name in everything if where == "refusals"} == errors


def test_percent_is_of_everything() -> None:
    assert coverage([]).percent == 0
    assert coverage(universe()).percent == 100
    assert {group.percent for group in coverage(universe()).groups} == {100}
    half = universe()[::2]
    assert abs(coverage(half).percent - 50) < 1
    assert coverage([*half, ("errors", "no such")]) == coverage(half)
