"""Virtual machines: launching, stages, money, restart, what the outside does to them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from simulator.domain.capacity import Claim, Node
from simulator.kernel.instant import parse_iso
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Cloud
from tests.support.invariants import check_world

CREATE = "/v1/orgs/{org}/vms/create"
LIST = "/v1/orgs/{org}/vms"
Open = Callable[..., Cloud]


def refused(cloud: Cloud, status: int, **body: object) -> str:
    """A create that is refused with this status and changes nothing; answers the message."""
    version = cloud.world.version
    wanted = {"name": "trainer", "gpuModelId": "rtx-4090", **body}
    answer = cloud.post(CREATE, {key: value for key, value in wanted.items() if value is not None})
    assert answer.status == status, answer
    assert cloud.world.version == version
    return f"{answer.body['code']} {answer.body['error']}"


# -- launching


def test_a_created_vm_is_deploying_and_has_every_member_a_strict_client_needs(cloud: Cloud) -> None:
    vm = cloud.launch("trainer")
    assert (vm["status"], vm["provisioningStage"]) == ("deploying", "scheduling")
    for member in ("endpointUrl", "gpuModelId", "gpuModelName", "imageUrl", "organizationId", "name"):
        assert vm[member]
    assert (vm["gpuCount"], vm["diskSizeGb"], vm["pricePerHourCents"], vm["public"]) == (1, 100, 59, False)
    assert re.fullmatch(r"[0-9a-f-]{36}", vm["id"])
    assert re.fullmatch(r"https://trainer-[0-9a-z]{8}\.run\.openrelay\.inc", vm["endpointUrl"])


def test_a_create_is_in_the_next_list_and_the_next_get(cloud: Cloud) -> None:
    vm = cloud.launch()
    assert cloud.get(LIST).body["items"][0] == vm
    assert cloud.vm(vm["id"]) == vm


def test_a_vm_without_a_model_is_a_large_cpu_vm(cloud: Cloud) -> None:
    vm = cloud.launch("worker", gpuModelId=None)
    assert (vm["gpuCount"], vm["resourceSize"], vm["diskSizeGb"]) == (0, "large", 10)
    assert vm["pricePerHourCents"] == 12


def test_two_vms_may_have_one_name_unless_names_are_unique(open_cloud: Open) -> None:
    cloud = open_cloud()
    model = "rtx-3090"
    assert cloud.launch("twin", gpuModelId=model)["id"] != cloud.launch("twin", gpuModelId=model)["id"]
    strict = open_cloud(names__unique=True)
    first = strict.launch("twin")
    assert "NAME_TAKEN" in refused(strict, 409, name="twin")
    strict.post(f"/v1/vms/{first['id']}/terminate")
    strict.launch("twin")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"name": ""}, "0 characters"),
        ({"name": "x" * 64}, "64 characters"),
        ({"gpuModelId": "rtx-9090"}, "rtx-9090"),
        ({"gpuModelId": "gtx-1080-ti"}, "gtx-1080-ti"),
        ({"gpuModelId": None, "gpuCount": 2}, "gpuCount 2 without gpuModelId"),
        ({"gpuCount": 0}, "gpuCount 0"),
        ({"gpuCount": -3}, "gpuCount -3"),
        ({"gpuCount": 5}, "GPU_COUNT_NOT_ALLOCATABLE"),
        ({"gpuCount": 1_000_000}, "GPU_COUNT_NOT_ALLOCATABLE"),
        ({"gpuModelId": "h100-sxm", "gpuCount": 1}, "GPU_COUNT_NOT_ALLOCATABLE"),
        ({"tier": "gold"}, "'gold'"),
        ({"diskSizeGb": 9}, "9 GB"),
        ({"diskSizeGb": 2001}, "2001 GB"),
        ({"gpuModelId": None, "resourceSize": "huge"}, "'huge'"),
        ({"templateId": "beos"}, "'beos'"),
        ({"templateId": "rocm-ubuntu"}, "rocm-ubuntu does not suit rtx-4090"),
        ({"gpuModelId": None, "templateId": "ubuntu-22-04-cuda"}, "does not suit a CPU VM"),
        ({"sshKeyIds": ["key-of-nobody"]}, "key-of-nobody"),
        ({"registryCredentialId": "cred"}, "'cred'"),
        ({"containerPort": 0}, "containerPort 0"),
        ({"containerPort": 70000}, "containerPort 70000"),
        ({"gpuModelId": None, "guestMemMb": 4096}, "guestMemMb"),
        ({"resourceSize": "h"}, "'h'"),
        ({"guestMemMb": 1}, "VM_SHAPE_NOT_PLACEABLE"),
        ({"preferredRegions": ["mars"]}, "VM_SHAPE_NOT_PLACEABLE"),
    ],
)
def test_a_create_that_cannot_be_meant_is_400_and_names_the_value(
    cloud: Cloud, body: dict[str, object], named: str
) -> None:
    assert named in refused(cloud, 400, **body)


def test_capacity_that_is_busy_is_409_then_and_503_later_with_the_counts_that_would_work(
    open_cloud: Open,
) -> None:
    june = open_cloud()
    june.launch(gpuCount=4)
    answer = june.post(CREATE, {"name": "second", "gpuModelId": "rtx-4090", "gpuCount": 4})
    assert (answer.status, answer.code) == (409, "INSUFFICIENT_GPU_CAPACITY")
    assert answer.body["placeableGpuCounts"] == [1]
    october = open_cloud(capacity__refusal_status=503)
    october.launch(gpuCount=4)
    assert "INSUFFICIENT_GPU_CAPACITY" in refused(october, 503, gpuCount=4)


def test_free_gpus_on_several_nodes_do_not_make_one_place(cloud: Cloud) -> None:
    """Five are free, but no node tiles three of them."""
    assert "INSUFFICIENT_GPU_CAPACITY" in refused(cloud, 409, gpuCount=3)


def test_the_queue_lets_a_vm_wait_until_capacity_is_free(open_cloud: Open) -> None:
    cloud = open_cloud(vms__queue=True)
    first = cloud.launch("first", gpuCount=4)
    waiting = cloud.launch("second", gpuCount=4)
    assert waiting["status"] == "pending"
    cloud.post(f"/v1/vms/{first['id']}/terminate")
    cloud.advance(0)
    assert cloud.vm(waiting["id"])["status"] == "deploying"
    cloud.simulator.advance_until_status(waiting["id"], "running")


def test_the_queue_is_served_oldest_first_also_within_one_instant(open_cloud: Open) -> None:
    for seed in range(6):
        cloud = open_cloud(seed=seed, vms__queue=True)
        h100 = {"gpuModelId": "h100-sxm", "gpuCount": 8}
        first, second, third = (cloud.launch(name, **h100) for name in ("first", "second", "third"))
        cloud.post(f"/v1/vms/{first['id']}/terminate")
        cloud.advance(0)
        assert cloud.vm(second["id"])["status"] == "deploying"
        assert cloud.vm(third["id"])["status"] == "pending"


@pytest.mark.parametrize(
    ("status", "code"), [("pending", "ACCOUNT_PENDING_VERIFICATION"), ("restricted", "ACCOUNT_RESTRICTED")]
)
def test_an_account_without_good_standing_may_not_deploy(cloud: Cloud, status: str, code: str) -> None:
    cloud.do("account.set_status", name="acme", status=status)
    assert code in refused(cloud, 403)


def test_an_idempotency_key_replays_the_first_answer_for_a_day(open_cloud: Open) -> None:
    cloud = open_cloud(vms__idempotency_key=True)
    body = {"name": "once", "gpuModelId": "rtx-3090"}
    first = cloud.post(CREATE, body, idempotency_key="k1")
    cloud.advance(30)
    assert cloud.post(CREATE, body, idempotency_key="k1").body == first.body
    other = cloud.post(CREATE, {**body, "name": "other"}, idempotency_key="k1")
    assert other.status == 422
    assert cloud.post(CREATE, body, idempotency_key="k2").body["id"] != first.body["id"]
    cloud.post(f"/v1/vms/{first.body['id']}/terminate")
    cloud.advance(24 * 3600)
    assert cloud.post(CREATE, body, idempotency_key="k1").body["id"] != first.body["id"]


def test_without_the_setting_an_idempotency_key_is_ignored(cloud: Cloud) -> None:
    body = {"name": "once", "gpuModelId": "rtx-3090"}
    first = cloud.post(CREATE, body, idempotency_key="k1")
    assert cloud.post(CREATE, body, idempotency_key="k1").body["id"] != first.body["id"]


def test_fields_the_contract_does_not_know_are_ignored_and_reported(cloud: Cloud) -> None:
    answer = cloud.post(CREATE, {"name": "t", "gpuModelId": "rtx-4090", "gpuCuont": 4, "a\r\nb": 1})
    assert answer.status == 200
    assert answer.headers["X-Sim-Unknown-Fields"] == "gpuCuont"
    assert cloud.entries("request")[-1]["unknown_fields"] == ["gpuCuont", "a\r\nb"]


def test_a_strict_world_refuses_fields_that_the_contract_does_not_know(open_cloud: Open) -> None:
    strict = open_cloud(requests__strict="error")
    body = {"name": "t", "gpuModelId": "rtx-4090", "gpuCuont": 4}
    answer = strict.post(CREATE, body)
    assert answer.status == 400
    assert answer.error["error"] == "'gpuCuont' is unknown to createVm; did you mean 'gpuCount'?"
    assert strict.get("/v1/orgs/{org}/vms?limt=5").status == 400
    assert strict.post(CREATE, body, key="").status == 401
    assert strict.get("/v1/orgs/{org}/vms").body["items"] == []


def test_a_lenient_world_does_not_even_tell_of_unknown_fields(open_cloud: Open) -> None:
    lenient = open_cloud(requests__strict="off")
    answer = lenient.post(CREATE, {"name": "t", "gpuModelId": "rtx-4090", "gpuCuont": 4})
    assert answer.status == 200
    assert "X-Sim-Unknown-Fields" not in answer.headers
    assert "unknown_fields" not in lenient.entries("request")[-1]


# -- stages and time


@pytest.mark.parametrize(
    ("model", "stages"), [("rtx-4090", (5, 15, 40, 30)), (None, (2, 5, 15, 8))], ids=["gpu", "cpu"]
)
def test_a_start_goes_through_its_stages(cloud: Cloud, model: str | None, stages: tuple[int, ...]) -> None:
    vm = cloud.launch(gpuModelId=model)
    for stage, seconds in zip(
        ("scheduling", "preparing_disk", "pulling_image", "booting"), stages, strict=True
    ):
        assert cloud.vm(vm["id"])["provisioningStage"] == stage
        cloud.advance(seconds - 1)
        assert cloud.vm(vm["id"])["provisioningStage"] == stage
        cloud.advance(1)
    running = cloud.vm(vm["id"])
    assert running["status"] == "running"
    assert "provisioningStage" not in running


def test_ssh_answers_later_than_the_vm_runs(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    assert cloud.get(f"/v1/vms/{vm['id']}/detail").body["sshState"] == "booting"
    cloud.advance(45)
    assert cloud.get(f"/v1/vms/{vm['id']}/detail").body["sshReady"] is True


def test_in_july_ssh_is_ready_as_soon_as_the_vm_runs(open_cloud: Open) -> None:
    cloud = open_cloud(profile="2026-07")
    vm = cloud.run_vm()
    assert cloud.get(f"/v1/vms/{vm['id']}/detail").body["sshReady"] is True


def test_a_stage_may_take_a_time_drawn_from_a_range(open_cloud: Open) -> None:
    spans = set()
    for seed in range(8):
        cloud = open_cloud(seed=seed, timing__gpu_vm__booting_s="10..20")
        vm = cloud.run_vm()
        detail = cloud.get(f"/v1/vms/{vm['id']}/detail").body
        seconds = (parse_iso(detail["startedAt"]) - parse_iso(vm["createdAt"])) / 1000
        assert 70 <= seconds <= 80
        spans.add(seconds)
    assert len(spans) > 1


def test_a_start_that_hangs_fails_at_its_deadline(open_cloud: Open) -> None:
    cloud = open_cloud(timing__gpu_vm__pulling_image_s="never")
    vm = cloud.launch()
    cloud.simulator.advance_until("idle")
    assert cloud.vm(vm["id"])["provisioningStage"] == "pulling_image"
    cloud.advance(600)
    failed = cloud.vm(vm["id"])
    assert failed["status"] == "failed"
    assert "600 s" in failed["statusReason"]
    assert "pulling_image" in failed["statusReason"]


def test_a_hanging_stage_can_be_ended_by_hand(open_cloud: Open) -> None:
    cloud = open_cloud(timing__gpu_vm__booting_s="never")
    vm = cloud.launch()
    cloud.simulator.advance_until("idle")
    assert cloud.do("vm.proceed", name="trainer")["status"] == "running"
    assert cloud.vm(vm["id"])["status"] == "running"


# -- verbs


def test_stop_gives_back_the_gpus_and_keeps_disk_and_node(cloud: Cloud) -> None:
    vm = cloud.run_vm(gpuCount=4)
    node = cloud.world.get(Node, cloud.world.get(Vm, vm["id"]).node_id)
    assert (node.free, node.used_disk_gb) == (0, 400)
    stopped = cloud.post(f"/v1/vms/{vm['id']}/stop").body
    assert (stopped["status"], stopped["statusReason"]) == ("stopped", "user_stopped")
    node = cloud.world.get(Node, node.id)
    assert (node.free, node.used_ram_mb, node.used_vcpu, node.used_disk_gb) == (4, 0, 0, 400)


def test_stop_of_a_stopped_vm_answers_200_without_event(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    told = cloud.entries("event")
    again = cloud.post(f"/v1/vms/{vm['id']}/stop")
    assert (again.status, again.body["status"]) == (200, "stopped")
    assert cloud.entries("event") == told


def test_restart_needs_room_on_its_own_node_whatever_is_free_elsewhere(cloud: Cloud) -> None:
    vm = cloud.run_vm(gpuCount=4)
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    cloud.run_vm("squatter", gpuCount=4)
    answer = cloud.post(f"/v1/vms/{vm['id']}/restart")
    assert (answer.status, answer.code) == (409, "VM_NODE_BUSY")
    assert "GPU" in answer.body["error"]
    assert cloud.post(CREATE, {"name": "elsewhere", "gpuModelId": "rtx-4090"}).status == 200


def test_a_restart_without_room_is_503_where_that_is_the_status_of_no_room(open_cloud: Open) -> None:
    cloud = open_cloud(capacity__refusal_status=503)
    vm = cloud.run_vm(gpuCount=4)
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    cloud.run_vm("squatter", gpuCount=4)
    answer = cloud.post(f"/v1/vms/{vm['id']}/restart")
    assert (answer.status, answer.code) == (503, "VM_NODE_BUSY")


@pytest.mark.parametrize(("taken", "lacking"), [({"vcpu": 57}, "CPU"), ({"ram_gb": 240}, "RAM")])
def test_a_restart_without_room_says_what_its_node_lacks(
    cloud: Cloud, taken: dict[str, int], lacking: str
) -> None:
    vm = cloud.run_vm(gpuModelId=None, preferredRegions=["us-east"])
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    cloud.do("capacity.seize", node_of="trainer", **taken)
    message = cloud.post(f"/v1/vms/{vm['id']}/restart").body["error"]
    assert message.endswith(f"ash-cpu-1: {lacking}")


def test_a_restart_boots_from_the_cached_image(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    restarted = cloud.post(f"/v1/vms/{vm['id']}/restart").body
    assert (restarted["status"], restarted["provisioningStage"]) == ("deploying", "booting")
    assert restarted["statusReason"] == "user_restarted"
    cloud.advance(44)
    assert cloud.vm(vm["id"])["status"] == "deploying"
    cloud.advance(1)
    running = cloud.vm(vm["id"])
    assert running["status"] == "running"
    assert "statusReason" not in running


def test_a_restart_in_place_takes_ssh_away_and_no_more(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    cloud.advance(45)
    assert cloud.post(f"/v1/vms/{vm['id']}/restart").body["status"] == "running"
    assert cloud.get(f"/v1/vms/{vm['id']}/detail").body["sshReady"] is False
    cloud.advance(20)
    assert cloud.get(f"/v1/vms/{vm['id']}/detail").body["sshReady"] is True


def test_reboot_is_recorded_only_until_beta_operations_are_executed(open_cloud: Open) -> None:
    cloud = open_cloud()
    vm = cloud.run_vm()
    cloud.advance(45)
    assert cloud.post(f"/v1/vms/{vm['id']}/reboot").status == 204
    assert cloud.get(f"/v1/vms/{vm['id']}/detail").body["sshReady"] is True
    cloud = open_cloud(vms__beta_ops="executed")
    vm = cloud.run_vm()
    cloud.advance(45)
    assert cloud.post(f"/v1/vms/{vm['id']}/reboot").status == 204
    assert cloud.get(f"/v1/vms/{vm['id']}/detail").body["sshReady"] is False


def test_a_disk_only_grows(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    for size, status in (
        (99, 400),
        (2001, 400),
        (10**30, 400),
        (-1, 400),
        (100, 204),
        (150, 204),
        (149, 400),
    ):
        answer = cloud.post(f"/v1/vms/{vm['id']}/resize-disk", {"newSizeGb": size})
        assert answer.status == status, (size, answer)
    assert cloud.vm(vm["id"])["diskSizeGb"] == 150


def test_an_executed_resize_takes_the_disk_from_the_node_or_is_refused(open_cloud: Open) -> None:
    cloud = open_cloud(vms__beta_ops="executed")
    vm = cloud.run_vm(gpuModelId=None)
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    node = cloud.world.get(Node, cloud.world.get(Vm, vm["id"]).node_id)
    cloud.do("capacity.seize", id=node.id, disk_gb=node.disk_gb - node.used_disk_gb - 50)
    answer = cloud.post(f"/v1/vms/{vm['id']}/resize-disk", {"newSizeGb": 61})
    assert (answer.status, answer.code) == (409, "INSUFFICIENT_HOST_CAPACITY")
    assert cloud.post(f"/v1/vms/{vm['id']}/resize-disk", {"newSizeGb": 60}).status == 204
    assert cloud.world.get(Claim, vm["id"]).disk_gb == 60
    assert cloud.post(f"/v1/vms/{vm['id']}/restart").status == 200
    check_world(cloud.world)


def test_visibility_opens_and_closes_the_endpoint_at_once(cloud: Cloud) -> None:
    vm = cloud.launch()
    assert cloud.post(f"/v1/vms/{vm['id']}/visibility", {"public": True}).body["public"] is True
    assert cloud.vm(vm["id"])["public"] is True
    assert cloud.post(f"/v1/vms/{vm['id']}/visibility", {"public": False}).body["public"] is False


def test_where_public_endpoints_are_switched_off_none_is_opened_and_all_can_be_closed(cloud: Cloud) -> None:
    path = f"/v1/vms/{cloud.launch(public=True)['id']}/visibility"
    cloud.do("org.set_feature", id=cloud.org, feature="public", enabled=False)
    assert "FEATURE_DISABLED 'public'" in refused(cloud, 409, public=True)
    answer = cloud.post(path, {"public": True})
    assert (answer.status, answer.code) == (409, "FEATURE_DISABLED")
    assert cloud.post(path, {"public": False}).body["public"] is False


def test_terminate_frees_everything_and_is_final(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    ended = cloud.post(f"/v1/vms/{vm['id']}/terminate").body
    assert (ended["status"], ended["statusReason"]) == ("terminated", "user_terminated")
    detail = cloud.get(f"/v1/vms/{vm['id']}/detail").body
    assert detail["healthy"] is False
    assert detail["terminatedAt"]
    assert cloud.world.find(Claim, vm["id"]) is None


def test_nothing_is_pending_for_a_vm_that_has_ended(cloud: Cloud) -> None:
    cloud.simulator.advance_until("idle")
    pending = len(cloud.world.clock)
    vm = cloud.launch()
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    assert len(cloud.world.clock) == pending
    vm = cloud.run_vm()
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    assert cloud.world.clock.rests()


def test_terminated_vms_are_listed_unless_only_active_ones_are_asked_for(cloud: Cloud) -> None:
    vm = cloud.launch()
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    assert [row["id"] for row in cloud.get(LIST).body["items"]] == [vm["id"]]
    assert cloud.get(f"{LIST}?activeOnly=true").body["items"] == []


# -- pages


def test_a_page_loop_sees_every_vm_once_while_others_are_created(cloud: Cloud) -> None:
    made = []
    for number in range(7):
        made.append(cloud.launch(f"cpu-{number}", gpuModelId=None, resourceSize="small")["id"])
        cloud.advance(1)
    seen, cursors, cursor = [], set(), ""
    while True:
        page = cloud.get(f"{LIST}?limit=2" + (f"&cursor={cursor}" if cursor else "")).body
        seen += [row["id"] for row in page["items"]]
        cloud.launch("late", gpuModelId=None, resourceSize="small")
        cursor = page.get("nextCursor")
        if not cursor:
            break
        assert cursor not in cursors
        cursors.add(cursor)
    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "0"),
        ("limit=-1", "-1"),
        ("limit=ten", "ten"),
        ("limit=1e3", "1e3"),
        ("limit=99999999999999999999", "99999999999999999999"),
        ("cursor=nonsense", "nonsense"),
        ("activeOnly=maybe", "maybe"),
    ],
)
def test_a_bad_page_parameter_is_400_and_named(cloud: Cloud, query: str, named: str) -> None:
    answer = cloud.get(f"{LIST}?{query}")
    assert answer.status == 400
    assert named in answer.body["error"]


def test_a_limit_over_the_maximum_is_cut_to_it(cloud: Cloud) -> None:
    assert cloud.get(f"{LIST}?limit=1000").status == 200


def test_a_changed_or_foreign_cursor_is_400(cloud: Cloud) -> None:
    for number in range(3):
        cloud.launch(f"cpu-{number}", gpuModelId=None, resourceSize="small")
    cursor = cloud.get(f"{LIST}?limit=1").body["nextCursor"]
    assert cloud.get(f"{LIST}?limit=1&cursor={cursor}").status == 200
    assert cloud.get(f"{LIST}?limit=1&cursor={cursor[:-2]}xx").status == 400
    assert cloud.get(f"{LIST}?limit=1&cursor={cursor}&activeOnly=true").status == 400


# -- what happens to a VM


def test_a_guest_that_ends_by_itself_leaves_a_failed_vm_and_tells(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    cloud.do("vm.exit", name="trainer")
    failed = cloud.vm(vm["id"])
    assert (failed["status"], failed["statusReason"]) == ("failed", "vm_exited")
    assert cloud.entries("event")[-1]["type"] == "vm.stopped"


def test_a_start_that_fails_says_why_and_tells_nobody(cloud: Cloud) -> None:
    vm = cloud.launch()
    cloud.do("vm.fail", id=vm["id"], reason="container failed to start: no such image")
    failed = cloud.vm(vm["id"])
    assert (failed["status"], failed["statusReason"]) == (
        "failed",
        "container failed to start: no such image",
    )
    assert cloud.entries("event") == []


def test_only_spot_vms_can_be_reclaimed(cloud: Cloud) -> None:
    cloud.run_vm("steady")
    with pytest.raises(Exception, match="only spot"):
        cloud.do("vm.reclaim", name="steady")
    vm = cloud.run_vm("cheap", tier="spot", gpuModelId="rtx-3090")
    cloud.do("vm.reclaim", name="cheap")
    ended = cloud.vm(vm["id"])
    assert (ended["status"], ended["statusReason"]) == ("terminated", "spot_reclaimed_by_capacity_owner")


def test_who_has_reserved_spot_capacity_takes_it(cloud: Cloud) -> None:
    vm = cloud.run_vm("cheap", tier="spot", gpuModelId="rtx-3090")
    cloud.do("vm.reclaim", id=vm["id"], by="reservation")
    assert cloud.vm(vm["id"])["statusReason"] == "spot_preempted_for_reservation_tenant"


def test_a_tier_that_is_switched_off_is_409(cloud: Cloud) -> None:
    cloud.do("org.set_feature", id=cloud.org, feature="spot", enabled=False)
    assert "FEATURE_DISABLED 'spot'" in refused(cloud, 409, tier="spot")
    cloud.launch(tier="community")
    cloud.do("org.set_feature", id=cloud.org, feature="spot", enabled=True)
    cloud.launch(gpuModelId="rtx-3090", tier="spot")


def test_where_stopping_is_switched_off_a_vm_runs_on_until_it_is_terminated(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    cloud.do("org.set_feature", id=cloud.org, feature="stop", enabled=False)
    answer = cloud.post(f"/v1/vms/{vm['id']}/stop")
    assert (answer.status, answer.code) == (409, "STOP_DISABLED")
    assert cloud.vm(vm["id"])["status"] == "running"
    assert cloud.post(f"/v1/vms/{vm['id']}/terminate").body["status"] == "terminated"


def test_a_linked_telegram_account_shows(cloud: Cloud) -> None:
    vm = cloud.launch()
    assert cloud.get(f"/v1/vms/{vm['id']}/telegram-link").body == {"present": False}
    cloud.do("telegram.link", name="trainer", user_id=42, username="ada")
    link = cloud.get(f"/v1/vms/{vm['id']}/telegram-link").body
    assert (link["present"], link["telegramUserId"], link["telegramUsername"]) == (True, 42, "ada")
    assert len(link["linkingCode"]) == 6


def test_prefixed_ids_are_an_option(open_cloud: Open) -> None:
    cloud = open_cloud(ids__style="prefixed", ids__gpu_models="uuid")
    vm = cloud.launch(gpuModelId="rtx-3090")
    assert vm["id"].startswith("vm_")
    assert re.fullmatch(r"[0-9a-f-]{36}", vm["gpuModelId"])
    assert cloud.launch("again", gpuModelId=vm["gpuModelId"])["gpuModelId"] == vm["gpuModelId"]
