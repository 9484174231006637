"""Behaviours met and not met."""

from __future__ import annotations

from simulator.insight.coverage import coverage, met, universe
from simulator.kernel.refusal import CODES
from simulator.registry import OPERATIONS
from tests.support.cloud import Cloud


def test_an_ordinary_vm_meets_what_it_goes_through(cloud: Cloud) -> None:
    cloud.post("/v1/orgs/{org}/webhooks/create", {"name": "h", "url": "http://127.0.0.1:9/"})
    vm = cloud.run_vm()
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    cloud.get("/v1/vms/none")
    found = met(cloud.world)
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
    }
    assert found - set(universe()) == {("capacity", "not_found")}


def test_refusals_and_declines_are_behaviours(cloud: Cloud) -> None:
    for _ in range(2):
        cloud.post("/v1/orgs/{org}/vms/create", {"name": "t", "gpuModelId": "rtx-4090"})
    cloud.do("card.save", name="acme", last4="9995")
    for amount in (1000, 2000):
        cloud.post("/v1/orgs/{org}/billing/deposit", {"amountCents": amount})
    found = met(cloud.world)
    assert {("capacity", "INSUFFICIENT_GPU_CAPACITY"), ("errors", "INSUFFICIENT_GPU_CAPACITY")} <= found
    assert {name for group, name in found if group == "payments"}


def test_the_universe_is_that_of_the_registries() -> None:
    everything = universe()
    assert len(set(everything)) == len(everything)
    assert {name for group, name in everything if group == "operations"} == set(OPERATIONS)
    assert {name for group, name in everything if group == "errors"} <= {
        *CODES,
        *(row.wire for row in CODES.values()),
    }


def test_percent_is_of_everything() -> None:
    assert coverage([]).percent == 0
    assert coverage(universe()).percent == 100
    half = universe()[::2]
    assert abs(coverage(half).percent - 50) < 1
    assert coverage([*half, ("errors", "no such")]) == coverage(half)
