"""Snapshots of VM disks, and forks: VMs booted off a snapshot.

A snapshot is captured on the node that holds the disk, and is ready after a while; as the service's beta
stands, capture is not switched on and the record stays `creating` [2026-07][2026-10 sdk]: settings
snapshots.capture and snapshots.capture_s. Deleting only marks it; it stays in the lists. It takes no disk
space from its node [choice], and belongs to whoever took it, wherever the VM goes.

A fork is a create whose values come from the snapshot unless it gives its own [2026-10 sdk]: the same checks,
the same gates, but no choice of node.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from simulator.domain import products, workload
from simulator.domain.capacity import Node
from simulator.domain.faults import lifecycle as faults
from simulator.domain.ssh import SshKey
from simulator.kernel.instant import iso
from simulator.kernel.machine import NEW, SAME, Machine, row
from simulator.kernel.operation import Area, Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.target import Target, pick
from simulator.kernel.world import Index, Row, World
from simulator.resources.vms.launch import launch
from simulator.resources.vms.lifecycle import LIFECYCLE, Vm, label

STATES = ("creating", "ready", "failed", "deleting")
GB = 10**9
LONGEST_NAME = 63
"""As for every name [choice]; a fork's default name is cut to it."""


class Snapshot(Row, frozen=True, kw_only=True):
    """The disk of a VM at one moment, and what the VM was made of."""

    states: ClassVar = STATES
    secret: ClassVar = ("env",)
    indexes: ClassVar = {
        "organization": Index(lambda snapshot: snapshot.organization_id),
        "vm": Index(lambda snapshot: (snapshot.organization_id, snapshot.vm_id)),
        "creating": Index(lambda snapshot: snapshot.vm_id if snapshot.status == "creating" else None),
    }

    organization_id: str
    name: str
    status: str = NEW
    error: str = ""
    vm_id: str
    node_id: str
    disk_gb: int
    chain_depth: int = 0
    tier: str = "community"
    gpu_model_id: str = ""
    gpus: int = 0
    resource_size: str
    image_url: str
    template_id: str
    container_port: int = 80
    env: dict[str, str] = {}
    ssh_key_ids: tuple[str, ...] = ()
    deleted_at_ms: int | None = None


# fmt: off
LIFE = Machine("Snapshot", STATES, [
    # trigger       from                              to
    row("create",   NEW,                              "creating"),
    row("captured", "creating",                       "ready"),
    row("fail",     "creating",                       "failed"),
    row("fork",     "ready",                          SAME),
    row("delete",   ("creating", "ready", "failed"), "deleting"),
], refusals={
    "fail":   {"*": "conflict"},
    "fork":   {"*": "conflict", "deleting": "not_found"},
    "delete": {"*": "conflict"},
})
# fmt: on

area = Area("Snapshots", scope="vms", machine=LIFE)


# -- operations --------------------------------------------------------------------------------------------


@area.operation("listOrgSnapshots")
def list_org_snapshots(call: Call) -> list[dict[str, Any]]:
    """Newest first, deleted ones included [2026-10 sdk]; `vmId` leaves those of one VM, none of an unknown
    one [choice]."""
    world, vm_id = call.world, call.query.get("vmId")
    where = ("vm", (call.organization_id, vm_id)) if vm_id else ("organization", call.organization_id)
    return [_view(world, snapshot) for snapshot in reversed(world.select(Snapshot, *where))]


@area.operation("forkVm", write=True, effects="a VM, deploying on the snapshot's node")
def fork_vm(call: Call) -> dict[str, Any]:
    """A snapshot that is unknown, another's or deleted is 404, one that is not ready 409 [choice]."""
    snapshot = call.world.find(Snapshot, call.body["snapshotId"])
    if snapshot is None or snapshot.organization_id != call.organization_id:
        raise Refusal(
            "not_found", f"snapshotId {call.body['snapshotId'][:80]!r} is unknown in this organization"
        )
    LIFE.step(snapshot.status, "fork", _label(snapshot))
    return _created(launch(call, _request(call.world, snapshot, call.body), forked_from=snapshot.id))


@area.operation("deleteSnapshot", write=True, finds=Snapshot, effects="→ deleting, for good")
def delete_snapshot(call: Call, snapshot: Snapshot) -> None:
    """Sets deletedAt; the record stays in lists, and deleting it again is 409 [2026-10 sdk]."""
    move(call.world, snapshot, "delete", deleted_at_ms=call.world.now_ms)


@area.operation("createVmSnapshot", write=True, finds=Vm, effects="creating, then ready")
def create_vm_snapshot(call: Call, vm: Vm) -> dict[str, Any]:
    """One capture of a VM at a time [2026-10 sdk]; a VM without a disk has nothing to capture [choice]."""
    world = call.world
    name = workload.check_name(call.body["name"])
    LIFECYCLE.step(vm.status, "snapshot", label(vm))
    if not vm.node_id:
        raise Refusal("INVALID_VM_STATE", f"{label(vm)} has no disk; restart it to give it one")
    busy = world.first(Snapshot, "creating", vm.id)
    if busy:
        raise Refusal("conflict", f"{_label(busy)} of {label(vm)} is still creating; wait, or delete it")
    snapshot = move(world, world.put(_capture(world, vm, name)), "create")
    captures = world.settings.word("snapshots.capture") == "on"
    span_ms = workload.draw_span_ms(world, "snapshots.capture_s") if captures else None
    step = faults.Step("snapshot", "creating", "snapshot.captured", (snapshot.id,))
    faults.proceed(world, snapshot, step, span_ms)
    return _created(snapshot)


# -- transitions -------------------------------------------------------------------------------------------


def move(world: World, snapshot: Snapshot, trigger: str, **fields: Any) -> Snapshot:
    """Carry out one row of the table."""
    target = LIFE.step(snapshot.status, trigger, _label(snapshot)).target_from(snapshot.status)
    told = {"resource": snapshot.id, "name": snapshot.name, "from": snapshot.status, "to": target}
    world.note("transition", **told, trigger=trigger)
    return world.change(snapshot, status=target, **fields)


def _capture(world: World, vm: Vm, name: str) -> Snapshot:
    """What is kept of a VM. A snapshot of a fork stands one deeper than what the fork came from [choice]."""
    parent = world.find(Snapshot, vm.forked_from)
    return Snapshot(
        id=workload.new_id(world, "snap"),
        created_at_ms=world.now_ms,
        organization_id=vm.organization_id,
        name=name,
        vm_id=vm.id,
        node_id=vm.node_id,
        disk_gb=vm.disk_gb,
        chain_depth=parent.chain_depth + 1 if parent else 0,
        tier=vm.shape.tier,
        gpu_model_id=vm.shape.gpu_model_id,
        gpus=vm.shape.gpus,
        resource_size=vm.resource_size,
        image_url=vm.image_url,
        template_id=vm.template_id,
        container_port=vm.container_port,
        env=vm.env,
        ssh_key_ids=vm.ssh_key_ids,
    )


def _request(world: World, snapshot: Snapshot, body: dict[str, Any]) -> dict[str, Any]:
    """The create that a fork comes down to: the snapshot's values, and over them those of the request.

    The node is the one that holds the disk [2026-10 sdk hint]; SSH keys deleted meanwhile are left out, and
    those of a former owner.
    """
    if world.get(Node, snapshot.node_id).status == "removed":
        raise Refusal("conflict", f"the disk of {_label(snapshot)} went with its node")
    if body.get("diskSizeGb", snapshot.disk_gb) < snapshot.disk_gb:
        raise Refusal(
            "bad_request", f"diskSizeGb {body['diskSizeGb']} is under the snapshot's {snapshot.disk_gb}"
        )
    hardware: dict[str, Any] = {"resourceSize": snapshot.resource_size}
    if snapshot.gpus:
        hardware = {"gpuModelId": snapshot.gpu_model_id, "gpuCount": snapshot.gpus}
    kept = (world.find(SshKey, key_id) for key_id in snapshot.ssh_key_ids)
    keys = [key.id for key in kept if key and key.organization_id == snapshot.organization_id]
    return {
        "name": f"fork-{snapshot.name}"[:LONGEST_NAME],
        "tier": snapshot.tier,
        "diskSizeGb": snapshot.disk_gb,
        "imageUrl": snapshot.image_url,
        "templateId": snapshot.template_id,
        "containerPort": snapshot.container_port,
        "envVars": snapshot.env,
        "sshKeyIds": keys,
        **hardware,
        **{name: value for name, value in body.items() if name in OVERRIDES},
        "nodeId": snapshot.node_id,
    }


OVERRIDES = (
    "name",
    "gpuModelId",
    "gpuCount",
    "resourceSize",
    "diskSizeGb",
    "imageUrl",
    "envVars",
    "containerPort",
    "sshKeyIds",
)
"""Members of the request that win over the snapshot's values."""


# -- timers and actions ------------------------------------------------------------------------------------


@area.timer("snapshot.fails")
def fails(world: World, snapshot_id: str, reason: str) -> None:
    """The capture came to nothing."""
    snapshot = world.get(Snapshot, snapshot_id)
    if snapshot.status == "creating":
        move(world, snapshot, "fail", error=reason)


@area.timer("snapshot.captured")
def end_capture(world: World, snapshot_id: str) -> None:
    """The capture is over. It has failed when its VM or its node did not last until then [choice]."""
    snapshot = world.get(Snapshot, snapshot_id)
    if snapshot.status != "creating":
        return
    node, vm = world.get(Node, snapshot.node_id), world.get(Vm, snapshot.vm_id)
    if node.status in ("offline", "removed"):
        move(
            world, snapshot, "fail", error=f"node {node.hostname} was {node.status} before the capture ended"
        )
    elif vm.status == "terminated":
        move(world, snapshot, "fail", error=f"{label(vm)} was terminated before the capture ended")
    else:
        move(world, snapshot, "captured")


class Failure(Target):
    """Which snapshot, and what its errorMessage will say."""

    message: str = "capture failed: disk image could not be read"


@area.action("snapshot.fail", Failure)
def fail_snapshot(world: World, what: Failure) -> dict[str, Any]:
    """The capture of a snapshot fails: failed, with an errorMessage."""
    snapshot = move(world, pick(world, Snapshot, what), "fail", error=what.message)
    return {"snapshot": snapshot.id, "name": snapshot.name, "status": snapshot.status}


# -- views -------------------------------------------------------------------------------------------------


def _label(snapshot: Snapshot) -> str:
    return f"snapshot {snapshot.name!r}"


def _created(made: Snapshot | Vm) -> dict[str, Any]:
    return {"id": made.id, "name": made.name, "status": made.status}


def _view(world: World, snapshot: Snapshot) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": snapshot.id,
        "organizationId": snapshot.organization_id,
        "name": snapshot.name,
        "status": snapshot.status,
        "diskSizeGb": snapshot.disk_gb,
        "chainDepth": snapshot.chain_depth,
        "createdAt": iso(snapshot.created_at_ms),
        "sourceVmId": snapshot.vm_id,
        "nodeId": snapshot.node_id,
        "gpuCount": snapshot.gpus,
        "imageUrl": snapshot.image_url,
        "containerPort": snapshot.container_port,
        "envVars": snapshot.env,
        "resourceSize": snapshot.resource_size,
        "templateId": snapshot.template_id,
    }
    if snapshot.gpus:
        view["gpuModelId"] = products.shown_id(world, snapshot.gpu_model_id)
    if snapshot.status == "ready":
        view["diskPath"] = f"/var/lib/openrelay/snapshots/{snapshot.id}.qcow2"
        view["sizeBytes"] = snapshot.disk_gb * GB
    if snapshot.error:
        view["errorMessage"] = snapshot.error
    if snapshot.deleted_at_ms is not None:
        view["deletedAt"] = iso(snapshot.deleted_at_ms)
    return view


# -- fixture -----------------------------------------------------------------------------------------------


class SnapshotSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A snapshot that exists when the world begins."""

    name: str
    vm: str
    """The name of a VM of the fixture."""
    status: Literal["ready", "failed"] = "ready"


@area.seed("snapshots", list[SnapshotSpec])
def seed_snapshots(world: World, specs: list[SnapshotSpec]) -> None:
    for spec in specs:
        vm = pick(world, Vm, Target(name=spec.vm))
        assert vm.node_id, f"VM {spec.vm!r} is {vm.status} and has no disk"
        snapshot = _capture(world, vm, workload.check_name(spec.name))
        error = "capture failed" if spec.status == "failed" else ""
        world.put(msgspec.structs.replace(snapshot, status=spec.status, error=error))
