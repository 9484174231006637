"""What the API lets a client do with a VM, and what the outside world can do to it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from simulator.domain import capacity, metering, workload
from simulator.domain.access import Organization, organization_of_slug
from simulator.domain.ssh import SshKey
from simulator.kernel import page
from simulator.kernel.instant import iso
from simulator.kernel.machine import Capacity
from simulator.kernel.money import runway_hours
from simulator.kernel.operation import Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.target import Target, pick
from simulator.kernel.world import World
from simulator.resources.vms.launch import (
    idempotent,
    known_ssh_keys,
    launch,
    new_vm,
    own_place,
)
from simulator.resources.vms.lifecycle import (
    LIFECYCLE,
    Vm,
    area,
    end_stage,
    label,
    move,
    non_billable,
    session_fields,
)
from simulator.resources.vms.views import current_rate_cents, detail, summary

# -- operations --------------------------------------------------------------------------------------------


@area.operation("listOrgVms")
def list_vms(call: Call) -> dict[str, Any]:
    """Newest first, terminated ones included unless activeOnly [2026-10 sdk]."""
    index = "live" if call.query.get("activeOnly") else "organization"
    limit = page.clamp_limit(call.query.get("limit"))
    cursor = call.query.get("cursor") or None
    vms, after = page.newest_first(call.world, Vm, (index, call.organization_id), limit, cursor)
    items = [summary(call.world, vm) for vm in vms]
    return {"items": items, "nextCursor": after} if after else {"items": items}


@area.operation("createVm", write=True, effects="deploying, or pending in the queue")
def create_vm(call: Call) -> dict[str, Any]:
    """Launch a VM: its place is claimed in the same step, so nobody else can take it."""
    return idempotent(call, lambda: summary(call.world, launch(call, call.body)))


@area.operation("getVm", finds=Vm)
def get_vm(call: Call, vm: Vm) -> dict[str, Any]:
    """The summary; a terminated VM can still be read."""
    return summary(call.world, vm)


@area.operation("getVmDetail", finds=Vm)
def get_vm_detail(call: Call, vm: Vm) -> dict[str, Any]:
    """The summary and what only its owner sees: how it is reached, what it was made from, its times."""
    return detail(call.world, vm)


@area.operation("getVmBurn", finds=Vm)
def get_vm_burn(call: Call, vm: Vm) -> dict[str, Any]:
    """What the VM costs now: the locked rate of its open session, else the catalogue's."""
    world = call.world
    session = metering.open_session_of(world, vm.id)
    account = world.get(metering.Account, vm.organization_id)
    accrued = metering.accrued_cents(world, vm.organization_id)
    available = account.balance_cents - accrued
    floor = world.settings.whole("billing.floor_cents")
    rate = current_rate_cents(world, vm)
    burn: dict[str, Any] = {
        "vmId": vm.id,
        "pricePerHourCents": rate,
        "rateSource": "locked" if session else "catalog",
        "rateBasis": "gpu" if vm.shape.gpus else "cpu",
        "diskBilled": False,
        "orgAccruedMonthCents": accrued,
        "orgAccruedCents": accrued,
        "orgAvailableCents": available,
        "orgBurnPerHourCents": account.burn_cents,
        "projectedRunwayHours": runway_hours(available, floor, account.burn_cents),
        "autoStopFloorCents": floor,
    }
    if session:
        burn |= {
            "accruedSessionCents": session.cents(world),
            "sessionStartedAt": iso(session.created_at_ms),
        }
    if vm.shape.gpus:
        burn |= {"gpuCount": vm.shape.gpus, "perGpuCents": rate // vm.shape.gpus}
    return burn | ({"nonBillable": True} if non_billable(world, vm) else {})


@area.operation("stopVm", write=True, finds=Vm, effects="→ stopped")
def stop_vm(call: Call, vm: Vm) -> dict[str, Any]:
    """Its GPUs are free for others, its disk stays on the node; nothing more is billed."""
    workload.check_feature(call.world, vm.organization_id, "stop", "STOP_DISABLED")
    return summary(call.world, move(call.world, vm, "stop"))


@area.operation("restartVm", write=True, finds=Vm, effects="→ deploying, or in place")
def restart_vm(call: Call, vm: Vm) -> dict[str, Any]:
    """A running VM restarts where it is; a stopped one needs room on its own node [2026-10 sdk]."""
    world = call.world
    step = LIFECYCLE.step(vm.status, "restart", label(vm))
    if step.capacity is not Capacity.claim:
        return summary(world, move(world, vm, "restart"))
    workload.check_account(world, vm.organization_id)
    workload.check_funds(world, vm.organization_id)
    return summary(world, move(world, vm, "restart", fit=own_place(world, vm)))


@area.operation("rebootVm", write=True, finds=Vm, effects="accepted; executed with vms.beta_ops")
def reboot_vm(call: Call, vm: Vm) -> None:
    """Accepted and, as the service's beta stands, not executed [2026-07]; vms.beta_ops changes that."""
    LIFECYCLE.step(vm.status, "reboot", label(vm))
    if call.world.settings.word("vms.beta_ops") == "executed":
        move(call.world, vm, "restart")


@area.operation("terminateVm", write=True, finds=Vm, effects="→ terminated")
def terminate_vm(call: Call, vm: Vm) -> dict[str, Any]:
    """At once and for good; the last session ends to the second."""
    return summary(call.world, move(call.world, vm, "terminate"))


@area.operation("resizeVmDisk", write=True, finds=Vm, effects="disk grows, stopped VM only")
def resize_vm_disk(call: Call, vm: Vm) -> None:
    """Grows only; the value is recorded [2026-07], and takes effect on the node with vms.beta_ops."""
    LIFECYCLE.step(vm.status, "resize_disk", label(vm))
    size = call.body["newSizeGb"]
    workload.check_disk(size)
    if size < vm.disk_gb:
        raise Refusal("bad_request", f"newSizeGb {size} is under the present {vm.disk_gb}; a disk only grows")
    shape = vm.shape
    if call.world.settings.word("vms.beta_ops") == "executed":
        if not capacity.resize_disk(call.world, vm.id, size):
            raise Refusal("INSUFFICIENT_HOST_CAPACITY", f"the node has no room for a disk of {size} GB")
        shape = msgspec.structs.replace(shape, disk_gb=size)
    call.world.change(vm, shape=shape, recorded_disk_gb=size, updated_at_ms=call.world.now_ms)


@area.operation("getVmSshKeys", finds=Vm)
def get_vm_ssh_keys(call: Call, vm: Vm) -> list[dict[str, Any]]:
    """Every key of the organization with `attached`, and keys of others left by a transfer [2026-07]."""
    world = call.world
    own = world.select(SshKey, "organization", vm.organization_id)
    kept = [world.find(SshKey, key_id) for key_id in vm.ssh_key_ids]
    foreign = [key for key in kept if key and key.organization_id != vm.organization_id]
    return [
        {
            "id": key.id,
            "name": key.name,
            "fingerprint": key.fingerprint,
            "attached": key.id in vm.ssh_key_ids,
            "crossOrg": key.organization_id != vm.organization_id,
            "orgName": world.get(Organization, key.organization_id).name,
        }
        for key in [*reversed(own), *foreign]
    ]


@area.operation("attachVmSshKey", write=True, finds=Vm, effects="key attached")
def attach_vm_ssh_key(call: Call, vm: Vm) -> None:
    """Attaching an attached key changes nothing [2026-10 sdk]."""
    LIFECYCLE.step(vm.status, "attach_ssh_key", label(vm))
    (key_id,) = known_ssh_keys(call.world, vm.organization_id, [call.body["sshKeyId"]])
    if key_id not in vm.ssh_key_ids:
        call.world.change(vm, ssh_key_ids=(*vm.ssh_key_ids, key_id), updated_at_ms=call.world.now_ms)


@area.operation("setVmVisibility", write=True, finds=Vm, effects="endpoint opened or closed")
def set_vm_visibility(call: Call, vm: Vm) -> dict[str, Any]:
    """Opens or closes the endpoint for those without a key."""
    LIFECYCLE.step(vm.status, "set_visibility", label(vm))
    if call.body["public"]:
        workload.check_feature(call.world, vm.organization_id, "public", "FEATURE_DISABLED")
    return summary(
        call.world, call.world.change(vm, public=call.body["public"], updated_at_ms=call.world.now_ms)
    )


@area.operation("getVmTelegramLink", finds=Vm)
def get_vm_telegram_link(call: Call, vm: Vm) -> dict[str, Any]:
    """Only `present` while nothing is linked; action telegram.link links it [choice]."""
    return {"present": bool(vm.telegram), **vm.telegram}


PREEMPTED = "spot_preempted_for_reservation_tenant"

# -- actions -----------------------------------------------------------------------------------------------


class Failure(Target):
    """Which VM, and what its statusReason will say."""

    reason: str = "container failed to start: image pull failed"


class Reclaim(Target, kw_only=True):
    """Which VM, and for whom: the owner of the capacity, or a tenant who has reserved it."""

    by: Literal["owner", "reservation"] = "owner"


class TelegramLink(Target):
    """Which VM, and who links it."""

    user_id: int = 777000
    username: str = "sim_user"


@area.action("vm.exit", Target)
def exit_vm(world: World, what: Target) -> dict[str, Any]:
    """The guest of a running VM ends by itself: failed, vm_exited."""
    return _told(move(world, _fitting(world, what, "exit"), "exit"))


@area.action("vm.fail", Failure)
def fail_vm(world: World, what: Failure) -> dict[str, Any]:
    """A deploying VM fails to start."""
    return _told(move(world, _fitting(world, what, "fail"), "fail", reason=what.reason))


@area.action("vm.reclaim", Reclaim)
def reclaim_vm(world: World, what: Reclaim) -> dict[str, Any]:
    """The owner of spot capacity takes it back, or who has reserved it takes it: terminated."""
    vm = _fitting(world, Target(id=what.id, name=what.name, select=what.select), "reclaim")
    if vm.shape.tier != "spot":
        raise Refusal("conflict", f"{label(vm)} is of tier {vm.shape.tier}; only spot VMs can be reclaimed")
    return _told(move(world, vm, "reclaim", reason=PREEMPTED if what.by == "reservation" else None))


@area.action("vm.proceed", Target)
def proceed_vm(world: World, what: Target) -> dict[str, Any]:
    """The present stage of a start is over now, however long it would have taken."""
    vm = _fitting(world, what, "started")
    end_stage(world, vm.id, vm.run, vm.stage)
    return _told(world.get(Vm, vm.id))


@area.action("telegram.link", TelegramLink)
def link_telegram(world: World, what: TelegramLink) -> dict[str, Any]:
    """A person links a VM to a Telegram account."""
    vm = pick(world, Vm, what)
    link = {
        "linkingCode": world.streams.text("telegram", 6).upper(),
        "telegramUserId": what.user_id,
        "telegramUsername": what.username,
        "linkedAt": iso(world.now_ms),
        "createdAt": iso(world.now_ms),
    }
    world.change(vm, telegram=link)
    return {"vm": vm.id, **link}


def _fitting(world: World, what: Target, trigger: str) -> Vm:
    """The VM an action names, if the trigger fits its status."""
    vm = pick(world, Vm, what)
    LIFECYCLE.step(vm.status, trigger, label(vm))
    return vm


def _told(vm: Vm) -> dict[str, Any]:
    return {"vm": vm.id, "name": vm.name, "status": vm.status, "reason": vm.reason}


# -- fixture -----------------------------------------------------------------------------------------------


class VmSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A VM that exists when the world begins."""

    name: str
    organization: str
    """Slug."""
    gpu_model: str | None = None
    gpu_count: int | None = None
    size: str | None = None
    tier: str = "community"
    status: Literal["deploying", "running", "stopped", "failed", "terminated"] = "running"
    running_for_s: int = 0


@area.seed("vms", list[VmSpec])
def seed_vms(world: World, specs: list[VmSpec]) -> None:
    for spec in specs:
        owner = organization_of_slug(world, spec.organization)
        _settle(world, owner.id, spec)


SETTLED = {
    "running": "",
    "stopped": "user_stopped",
    "failed": "vm_exited",
    "terminated": "user_terminated",
}
"""What brought a VM into the status in which it begins."""


def _settle(world: World, organization_id: str, spec: VmSpec) -> None:
    """A VM as if it had come this far before the world began; nothing is told to anybody."""
    wish = workload.Wish(
        gpu_model_id=spec.gpu_model, gpu_count=spec.gpu_count, resource_size=spec.size, tier=spec.tier
    )
    shape = workload.shape_of(world, wish)
    name = workload.check_name(spec.name)
    vm = new_vm(world, organization_id, name, shape, workload.choose_template(world, None, shape))
    began = workload.began_ms(world, spec.name, spec.running_for_s)
    vm = msgspec.structs.replace(vm, created_at_ms=began, resource_size=spec.size or vm.resource_size)
    if spec.status == "deploying":
        move(world, world.put(vm), "create", fit=capacity.place(world, shape))
        return
    vm = msgspec.structs.replace(
        vm, status=spec.status, reason=SETTLED[spec.status], run=1, started_at_ms=began
    )
    if spec.status == "terminated":
        world.put(msgspec.structs.replace(vm, terminated_at_ms=world.now_ms))
        return
    fit = capacity.place(world, shape)
    vm = msgspec.structs.replace(
        vm, node_id=fit.node.id, guest_ram_mb=fit.guest_ram_mb, guest_vcpu=fit.vcpu, cached=True
    )
    if spec.status == "running":
        capacity.claim(world, fit, vm.id)
        session = metering.new_session(world, **session_fields(world, vm), created_at_ms=began)
        metering.open_session(world, session)
        vm = msgspec.structs.replace(vm, ssh="ready")
    else:
        capacity.claim_disk(world, fit, vm.id)
    world.put(vm)
