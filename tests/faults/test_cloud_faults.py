"""Faults of lifecycles, placement and payments."""

from __future__ import annotations

import pytest

from simulator.domain.faults import lifecycle
from simulator.domain.faults.rules import Rule
from simulator.scenario.rules import load_rules
from tests.support.cloud import Cloud
from tests.support.clusters import deploy, replicas, status

WANTED = {"name": "trainer", "gpuModelId": "rtx-3090"}


def on_vm(stage: str, do: dict[str, object]) -> dict[str, object]:
    return {"on": "lifecycle", "resource": "vm", "stage": stage, "do": do}


# -- lifecycle ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["scheduling", "preparing_disk", "pulling_image", "booting"])
def test_a_start_fails_at_the_end_of_the_stage_and_frees_its_place(cloud, load, stage):
    load(on_vm(stage, {"fail": {"reason": f"{stage} came to nothing"}}))
    vm = cloud.launch(**WANTED)
    cloud.simulator.advance_until_status(vm["id"], "failed")
    seen = cloud.vm(vm["id"])
    assert seen["statusReason"] == f"{stage} came to nothing"
    (failed,) = [entry for entry in cloud.entries("transition") if entry.get("to") == "failed"]
    assert failed["trigger"] == "fail"
    cloud.world.delete(cloud.world.get(Rule, "fail-1"))
    assert cloud.launch("second", gpuModelId="rtx-3090")["status"] == "deploying"


def test_a_stalled_stage_ends_with_the_deadline(cloud, load):
    load(on_vm("pulling_image", {"stall": True}))
    vm = cloud.launch(**WANTED)
    cloud.advance(599)
    assert cloud.vm(vm["id"])["provisioningStage"] == "pulling_image"
    cloud.advance(1)
    assert cloud.vm(vm["id"])["status"] == "failed"


def test_a_delayed_stage_takes_longer(cloud, load):
    load(on_vm("booting", {"delay": {"seconds": 60}}))
    vm = cloud.launch(**WANTED)
    advanced = cloud.simulator.advance_until_status(vm["id"], "running")
    assert advanced.now_ms - advanced.from_ms == (90 + 60) * 1000


def test_where_chooses_by_fields_of_the_resource(cloud, load):
    load({**on_vm("scheduling", {"stall": True}), "where": {"name": "bad-*"}})
    good, bad = cloud.launch("good", gpuModelId="rtx-3090"), cloud.launch("bad-1", gpuModelId="rtx-3090")
    cloud.advance(300)
    assert [cloud.vm(vm["id"])["status"] for vm in (good, bad)] == ["running", "deploying"]


def test_ssh_that_fails_or_stalls_never_answers(cloud, load):
    load(on_vm("ssh_ready", {"fail": True}))
    vm = cloud.run_vm(**WANTED)
    cloud.advance(3600)
    ssh = cloud.get(f"/v1/vms/{vm['id']}/detail").body
    assert (cloud.vm(vm["id"])["status"], ssh["sshState"]) == ("running", "booting")


def test_a_terminated_vm_is_not_failed_by_a_fault_that_was_on_its_way(cloud, load):
    load(on_vm("booting", {"fail": True}))
    vm = cloud.launch(**WANTED)
    cloud.advance(70)
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    cloud.advance(600)
    assert cloud.vm(vm["id"])["status"] == "terminated"


def test_a_replica_that_cannot_start_leaves_its_cluster_degraded(cloud, load):
    load({"on": "lifecycle", "resource": "replica", "times": 1, "do": {"fail": True}})
    cluster_id = deploy(cloud, replicaCount=2)
    cloud.advance(900)
    assert replicas(cloud, cluster_id) == ["error", "running"]
    assert status(cloud, cluster_id) == "degraded"


@pytest.mark.parametrize(("do", "status"), [({"fail": True}, "failed"), ({"stall": True}, "creating")])
def test_a_capture_fails_or_hangs(cloud, load, do, status):
    load({"on": "lifecycle", "resource": "snapshot", "do": do})
    vm = cloud.run_vm(**WANTED)
    cloud.post(f"/v1/vms/{vm['id']}/snapshots", {"name": "s"})
    cloud.advance(3600)
    assert [one["status"] for one in cloud.get("/v1/orgs/{org}/snapshots").body] == [status]


def test_every_stage_that_can_be_named_is_one_that_some_lifecycle_goes_through(cloud, load):
    """A stage that nothing goes through would make a rule that never strikes."""
    for resource, stages in lifecycle.STAGES.items():
        for stage in stages:
            load({"on": "lifecycle", "resource": resource, "stage": stage, "do": {"delay": {"seconds": 0}}})
    assert len(cloud.rows(Rule)) == sum(map(len, lifecycle.STAGES.values()))


# -- placement ---------------------------------------------------------------------------------------------


def test_a_place_is_refused_although_there_is_room(cloud, load):
    load({"on": "placement", "model": "rtx-3090", "times": 1, "do": {"refuse": True}})
    answer = cloud.post("/v1/orgs/{org}/vms/create", WANTED)
    assert (answer.status, answer.code) == (409, "INSUFFICIENT_GPU_CAPACITY")
    assert cloud.launch(**WANTED)["status"] == "deploying"


def test_a_refusal_names_the_code_it_was_given(cloud, load):
    load({"on": "placement", "do": {"refuse": {"code": "INSUFFICIENT_HOST_CAPACITY"}}})
    assert cloud.post("/v1/orgs/{org}/vms/create", WANTED).code == "INSUFFICIENT_HOST_CAPACITY"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/orgs/{org}/vms/create", WANTED),
        ("/v1/orgs/{org}/clusters/create", {"name": "chat", "gpuModelId": "l40s"}),
        ("/v1/vms/{vm}/restart", None),
        ("/v1/orgs/{org}/vms/fork", {"snapshotId": "{snapshot}"}),
    ],
)
def test_a_hold_that_cannot_be_recorded_keeps_a_start_from_happening(cloud, load, path, body):
    vm = cloud.run_vm(**WANTED)
    snapshot = cloud.post(f"/v1/vms/{vm['id']}/snapshots", {"name": "before"}).body
    cloud.advance(30)
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    load({"on": "placement", "times": 1, "do": {"refuse": {"code": "VERIFICATION_UNAVAILABLE"}}})
    if body and "snapshotId" in body:
        body = {"snapshotId": snapshot["id"]}
    version = cloud.world.version
    answer = cloud.post(path.replace("{vm}", vm["id"]), body)
    assert (answer.status, answer.code) == (403, "VERIFICATION_UNAVAILABLE")
    assert answer.body["error"] == "the hold could not be recorded: fault refuse-1"
    assert cloud.world.version == version
    assert cloud.post(path.replace("{vm}", vm["id"]), body).status == 200


def test_a_cpu_vm_and_a_restart_have_codes_of_their_own(cloud, load):
    vm = cloud.run_vm(**WANTED)
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    load({"on": "placement", "do": {"refuse": True}})
    small = {"name": "small", "resourceSize": "small"}
    assert cloud.post("/v1/orgs/{org}/vms/create", small).code == "INSUFFICIENT_CPU_CAPACITY"
    assert cloud.post(f"/v1/vms/{vm['id']}/restart").code == "VM_NODE_BUSY"
    assert cloud.vm(vm["id"])["status"] == "stopped"


def test_with_a_queue_a_refused_place_is_waited_for(open_cloud):
    cloud = open_cloud(vms__queue=True)
    rule = {"on": "placement", "times": 1, "do": {"refuse": True}}
    cloud.simulator.let("faults.load", {}, lambda world: load_rules(world, [rule]))
    assert cloud.launch(**WANTED)["status"] == "pending"


# -- payment -----------------------------------------------------------------------------------------------


@pytest.fixture
def payer(cloud: Cloud) -> Cloud:
    cloud.do("card.save", name="acme", last4="4242")
    return cloud


def deposit(cloud: Cloud) -> dict[str, object]:
    answer = cloud.post("/v1/orgs/{org}/billing/deposit", {"amountCents": 2000})
    assert answer.status == 200, answer
    body: dict[str, object] = answer.body
    return body


def test_a_charge_is_declined_with_the_code_it_was_given(payer, load):
    load(
        {
            "on": "payment",
            "purpose": "deposit",
            "times": 1,
            "do": {"decline": {"decline_code": "expired_card"}},
        }
    )
    declined = deposit(payer)
    assert (declined["status"], declined["declineCode"]) == ("requires_payment_method", "expired_card")
    assert deposit(payer)["status"] == "succeeded"


def test_a_charge_asks_for_the_cardholder(payer, load):
    load({"on": "payment", "do": {"requires_action": True}})
    assert deposit(payer)["status"] == "requires_action"


def test_a_credit_arrives_late(payer, load):
    load({"on": "payment", "do": {"delay": {"seconds": 600}}})
    before = payer.get("/v1/orgs/{org}/billing/balance").body["balanceCents"]
    deposit(payer)
    payer.advance(601)
    assert payer.get("/v1/orgs/{org}/billing/balance").body["balanceCents"] == before
    payer.advance(1)
    assert payer.get("/v1/orgs/{org}/billing/balance").body["balanceCents"] == before + 2000


def test_where_chooses_by_amount_and_card(payer, load):
    load({"on": "payment", "where": {"amount_cents": "2000", "last4": "4242"}, "do": {"decline": True}})
    assert deposit(payer)["status"] == "requires_payment_method"
    assert payer.post("/v1/orgs/{org}/billing/deposit", {"amountCents": 3000}).body["status"] == "succeeded"
