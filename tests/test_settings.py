"""Settings by their effect: rows that the tests of the areas leave at their default are set here."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from simulator.domain.metering import Transaction
from simulator.kernel.instant import DAY_MS, iso, parse_iso
from tests.support.batches import batch_of, look, record, start
from tests.support.cloud import Cloud
from tests.support.clusters import deploy
from tests.support.money import deposit
from tests.support.runners import jobs_of, pool_of, queue

Open = Callable[..., Cloud]
DAY_S = DAY_MS // 1000
KINDS = {"gpu_vm": "rtx-4090", "cpu_vm": None}


def statuses(cloud: Cloud, vm_id: str, seconds: int) -> list[str]:
    """The stage, or else the status, of a VM second by second."""
    seen = []
    for _ in range(seconds):
        vm = cloud.vm(vm_id)
        seen.append(vm.get("provisioningStage", vm["status"]))
        cloud.advance(1)
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_each_stage_of_a_start_takes_what_is_set(open_cloud: Open, kind: str) -> None:
    spans = {"scheduling": 1, "preparing_disk": 2, "pulling_image": 3, "booting": 4}
    cloud = open_cloud(**{f"timing__{kind}__{stage}_s": span for stage, span in spans.items()})
    vm = cloud.launch(gpuModelId=KINDS[kind])
    expected = [stage for stage, span in spans.items() for _ in range(span)]
    assert statuses(cloud, vm["id"], 12) == [*expected, "running", "running"]


@pytest.mark.parametrize("kind", KINDS)
def test_restarts_and_ssh_take_what_is_set(open_cloud: Open, kind: str) -> None:
    spans = {"ssh_ready": 7, "restart_in_place": 3, "restart": 2}
    cloud = open_cloud(**{f"timing__{kind}__{step}_s": span for step, span in spans.items()})
    vm_id = cloud.run_vm(gpuModelId=KINDS[kind])["id"]

    def seconds_to_ssh() -> int:
        for waited in range(20):
            if cloud.get(f"/v1/vms/{vm_id}/detail").body["sshReady"]:
                return waited
            cloud.advance(1)
        raise AssertionError("SSH never answers")

    assert seconds_to_ssh() == 7
    cloud.post(f"/v1/vms/{vm_id}/restart")
    assert seconds_to_ssh() == 3
    cloud.post(f"/v1/vms/{vm_id}/stop")
    cloud.post(f"/v1/vms/{vm_id}/restart")
    assert statuses(cloud, vm_id, 3) == ["booting", "booting", "running"]


def test_a_replica_starts_within_what_is_set(open_cloud: Open) -> None:
    parts = {"scheduling": 1, "pulling_image": 2, "booting": 3}
    cloud = open_cloud(**{f"timing__replica__{part}_s": span for part, span in parts.items()})
    cluster_id = deploy(cloud)
    assert (
        cloud.simulator.advance_until_status(cluster_id, "running").now_ms
        == cloud.world.clock.start_ms + 6000
    )


def test_each_stage_of_a_batch_takes_what_is_set(open_cloud: Open) -> None:
    stages = {"validating": 1, "record": 2, "finalizing": 3, "cancelling": 4}
    cloud = open_cloud(**{f"timing__batch__{stage}_s": span for stage, span in stages.items()})
    batch, other = batch_of(cloud, 2), batch_of(cloud, 2)
    seen = []
    for _ in range(9):
        seen.append(look(cloud, batch)["status"])
        cloud.advance(1)
    assert seen == ["validating", *["in_progress"] * 4, *["finalizing"] * 3, "completed"]
    assert look(cloud, other)["status"] == "completed"
    late = batch_of(cloud, 2)
    cloud.post(f"/v1/batches/{late['id']}/cancel")
    cloud.advance(3)
    assert look(cloud, late)["status"] == "cancelling"
    cloud.advance(1)
    assert look(cloud, late)["status"] == "cancelled"


def test_a_runner_is_provisioned_within_what_is_set(open_cloud: Open) -> None:
    cloud = open_cloud(timing__runner__provisioning_s=3)
    pool = pool_of(cloud)
    queue(cloud, pool)
    cloud.advance(2)
    assert jobs_of(cloud, pool)[0]["status"] == "provisioning"
    cloud.advance(1)
    assert jobs_of(cloud, pool)[0]["status"] == "running"


def test_a_pool_is_on_trial_for_the_days_that_are_set(open_cloud: Open) -> None:
    cloud = open_cloud(runners__trial_days=3)
    assert pool_of(cloud)["trialEndsAt"] == iso(cloud.world.now_ms + 3 * DAY_MS)


def test_an_interrupted_vm_is_given_up_after_the_days_that_are_set(open_cloud: Open) -> None:
    cloud = open_cloud(vms__interrupted_days=2)
    vm_id = cloud.run_vm()["id"]
    cloud.do("node.offline", node_of="trainer")
    cloud.advance(2 * DAY_S - 1)
    assert cloud.vm(vm_id)["status"] == "interrupted"
    cloud.advance(1)
    assert (cloud.vm(vm_id)["status"], cloud.vm(vm_id)["statusReason"]) == ("stopped", "node_lost")


@pytest.mark.parametrize("shown", [True, False])
def test_errors_carry_the_id_of_the_request_or_not(open_cloud: Open, shown: bool) -> None:
    answer = open_cloud(errors__request_id=shown).get("/v1/vms/unknown")
    assert UUID(answer.headers["X-Request-Id"])
    assert answer.body.get("requestId") == (answer.headers["X-Request-Id"] if shown else None)


def test_the_usual_monthly_spend_caps_a_deposit(open_cloud: Open) -> None:
    cloud = open_cloud(billing__monthly_limit_cents=3000)
    assert (deposit(cloud, 3001).status, deposit(cloud, 3000).status) == (400, 200)


def test_a_month_is_settled_as_long_after_its_end_as_is_set(open_cloud: Open) -> None:
    cloud = open_cloud(billing__settle_after_s=7200)
    cloud.do("balance.credit", id=cloud.org, cents=100_000)
    cloud.run_vm()
    cloud.simulator.advance_to(parse_iso("2026-07-01T01:59:59Z"))
    assert not [line for line in cloud.rows(Transaction) if line.type == "usage_debit"]
    cloud.advance(1)
    (debit,) = [line for line in cloud.rows(Transaction) if line.type == "usage_debit"]
    assert iso(debit.created_at_ms) == "2026-07-01T02:00:00.000Z"


def test_a_batch_needs_more_than_the_balance_that_is_set(open_cloud: Open) -> None:
    cloud = open_cloud(inference__min_balance_cents=9_999)
    assert start(cloud, record("one")).status == 200
    cloud.do("balance.debit", id=cloud.org, cents=1)
    answer = start(cloud, record("two"))
    assert (answer.status, answer.code) == (402, "insufficient_balance")
