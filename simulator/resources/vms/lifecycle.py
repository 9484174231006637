"""GPU and CPU virtual machines.

A VM claims its place when it is created, goes through the stages of a start, and is billed from the moment it
runs. Stopping gives back GPUs, RAM and vCPU, and keeps disk and node; so a restart needs room on that very
node. Terminating ends it for good. The table below is the whole of it; a verb that has no row for the present
status is refused.
"""

from __future__ import annotations

from typing import Any, ClassVar

from simulator.domain import capacity, events, metering, workload
from simulator.domain.capacity import Fit, Node, Shape
from simulator.domain.faults import lifecycle as faults
from simulator.kernel.clock import Grade
from simulator.kernel.instant import DAY_MS
from simulator.kernel.machine import NEW, SAME, Capacity, Machine, Step, row
from simulator.kernel.operation import Area
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Index, Row, World

STATES = ("pending", "deploying", "running", "interrupted", "stopped", "failed", "terminated")
ACTIVE = ("pending", "deploying", "running", "interrupted")
PLACED = ("deploying", "running", "interrupted")
LIVE = (*ACTIVE, "stopped", "failed")
AT_REST = ("running", "stopped", "failed")
RECLAIMED = "spot_reclaimed_by_capacity_owner"
STAGES = ("scheduling", "preparing_disk", "pulling_image", "booting")
"""What a start does, in order [choice]; a start from a cached image only boots."""


def by_birth(vm: Vm) -> tuple[int, int, str]:
    """Oldest first, also among VMs of one instant."""
    return vm.created_at_ms, vm.birth, vm.id


class Vm(Row, frozen=True, kw_only=True):
    """One VM. `run` counts its transitions: a timer set for an earlier run does nothing."""

    states: ClassVar = STATES
    secret: ClassVar = ("env", "guest")
    indexes: ClassVar = {
        "organization": Index(lambda vm: vm.organization_id),
        "live": Index(lambda vm: vm.organization_id if vm.status != "terminated" else None),
        "node": Index(lambda vm: vm.node_id if vm.node_id and vm.status != "terminated" else None),
        "queue": Index(lambda vm: vm.status if vm.status == "pending" else None, by_birth),
        "name": Index(lambda vm: (vm.organization_id, vm.name) if vm.status != "terminated" else None),
    }

    organization_id: str
    name: str
    birth: int = 0
    """The journal's serial when it was created: what came first within one instant."""
    status: str = NEW
    reason: str = ""
    stage: str = ""
    cached: bool = False
    """The image is on the node: the next start only boots."""
    run: int = 0
    updated_at_ms: int
    shape: Shape
    resource_size: str
    node_id: str = ""
    guest_ram_mb: int = 0
    guest_vcpu: int = 0
    image_url: str
    template_id: str
    container_port: int = 80
    env: dict[str, str] = {}
    guest: dict[str, Any] = {}
    """Members of the request that only the guest reads: health checks, command, cloud-init."""
    public: bool = False
    service_type: str = "http"
    endpoint_host: str
    ssh_key_ids: tuple[str, ...] = ()
    registry_credential_id: str = ""
    forked_from: str = ""
    """The snapshot it was booted off."""
    ssh: str = "offline"
    """booting, ready or offline [2026-10 sdk]."""
    started_at_ms: int | None = None
    interrupted_at_ms: int | None = None
    terminated_at_ms: int | None = None
    recorded_disk_gb: int = 0
    """The size that resize-disk recorded; 0 when it was never asked for [2026-07]."""
    telegram: dict[str, Any] = {}

    @property
    def disk_gb(self) -> int:
        return self.recorded_disk_gb or self.shape.disk_gb


# fmt: off
LIFECYCLE = Machine("VM", STATES, [
    # trigger          from                   to            place on node  session  told           statusReason
    row("create",           NEW,                   "deploying",  "claim",   "begin"),
    row("queue",            NEW,                   "pending"),
    row("place",            "pending",             "deploying",  "claim",   "begin", None,             ""),
    row("started",          "deploying",           "running",    "keep",    "open",  "vm.running",     ""),
    row("fail",             "deploying",           "failed",     "release", "close"),
    row("stop",             ACTIVE,                "stopped",    "release", "close", "vm.stopped",     "user_stopped"),
    row("stop",             "stopped",             SAME),
    row("restart",          "running",             SAME,         "keep",    "keep",  None,             "user_restarted"),
    row("restart",          ("stopped", "failed"), "deploying",  "claim",   "begin", None,             "user_restarted"),
    row("reboot",           "running",             SAME),
    row("exit",             "running",             "failed",     "release", "close", "vm.stopped",     "vm_exited"),
    row("lose_node",        "running",             "interrupted", "keep",   "close", "vm.interrupted", "node_lost"),
    row("lose_node",        "deploying",           "failed",     "release", "close", None,             "node_lost"),
    row("lose_node_legacy", "running",             "failed",     "release", "close", "vm.stopped",     "node_lost"),
    row("lose_node_legacy", "deploying",           "failed",     "release", "close", None,             "node_lost"),
    row("node_back",        "interrupted",         "running",    "keep",    "open",  "vm.running",     ""),
    row("give_up",          "interrupted",         "stopped",    "release", "keep",  "vm.stopped",     "node_lost"),
    row("drain",            PLACED,                "terminated", "free",    "close", "vm.terminated",  "node_removed"),
    row("node_removed",     PLACED,                "terminated", "free",    "close", "vm.terminated",  "node_removed"),
    row("node_removed",     ("stopped", "failed"), SAME,         "free",    "keep",  None,             "node_removed"),
    row("reclaim",          PLACED,                "terminated", "free",    "close", "vm.terminated",  RECLAIMED),
    row("auto_stop",        ACTIVE,                "stopped",    "release", "close", "vm.stopped"),
    row("terminate",        LIVE,                  "terminated", "free",    "close", "vm.terminated",  "user_terminated"),
    row("terminate",        "terminated",          SAME),
    row("resize_disk",      "stopped",             SAME),
    row("attach_ssh_key",   LIVE,                  SAME),
    row("set_visibility",   LIVE,                  SAME),
    row("snapshot",         AT_REST,               SAME),
    row("transfer",         AT_REST,               SAME),
    row("transfer",         "interrupted",         SAME),
], refusals={
    "stop":           {"*": "INVALID_VM_STATE"},
    "restart":        {"*": "INVALID_VM_STATE"},
    "reboot":         {"*": "VM_STATE_UNFIT", "terminated": "VM_REBOOT_TERMINATED"},
    "terminate":      {},
    "resize_disk":    {"*": "VM_STATE_UNFIT"},
    "attach_ssh_key": {"*": "VM_STATE_UNFIT"},
    "set_visibility": {"*": "VM_STATE_UNFIT"},
    "snapshot":       {"*": "INVALID_VM_STATE", "terminated": "VM_STATE_UNFIT"},
    "transfer":       {"*": "INVALID_VM_STATE", "terminated": "VM_STATE_UNFIT"},
})
# fmt: on

area = Area("VMs", scope="vms", machine=LIFECYCLE)
workload.QUEUES[Vm] = "vm.admit"


# -- transitions -------------------------------------------------------------------------------------------


def move(world: World, vm: Vm, trigger: str, *, fit: Fit | None = None, reason: str | None = None) -> Vm:
    """Carry out one row of the table: capacity, meter, the row itself, timers, event."""
    step = LIFECYCLE.step(vm.status, trigger, label(vm))
    target = step.target_from(vm.status)
    if step.target == SAME and step.reason is None:
        return vm
    before = vm.status
    workload.hold_place(world, vm.id, step, fit)
    vm = world.change(
        vm,
        status=target,
        reason=next(word for word in (reason, step.reason, vm.reason) if word is not None),
        run=vm.run + 1,
        updated_at_ms=world.now_ms,
        **_place(vm, step, fit),
        **_consequences(world, vm, target),
    )
    told = {"resource": vm.id, "name": vm.name, "from": before, "to": target}
    cause = world.note("transition", **told, trigger=trigger, reason=vm.reason)
    outer, world.cause = world.cause, cause
    workload.run_meter(world, vm.id, step.meter, lambda: session_fields(world, vm))
    _plan(world, vm, before)
    if step.event:
        events.record(world, vm.organization_id, step.event, vm, event_data(vm))
    world.cause = outer
    return vm


def _place(vm: Vm, step: Step, fit: Fit | None) -> dict[str, Any]:
    """Fields that follow from what a step does to the place; one at rest that loses its disk has no node."""
    if fit is not None:
        return {"node_id": fit.node.id, "guest_ram_mb": fit.guest_ram_mb, "guest_vcpu": fit.vcpu}
    lost = step.capacity is Capacity.free and step.target == SAME
    return {"node_id": "", "cached": False, "forked_from": ""} if lost else {}


def _consequences(world: World, vm: Vm, target: str) -> dict[str, Any]:
    """Fields that follow from the status a VM arrives in."""
    if target == "deploying":
        return {"stage": STAGES[-1] if vm.cached else STAGES[0], "ssh": "offline"}
    if target == "running":
        started = vm.started_at_ms if vm.status == "running" else world.now_ms
        ssh = "ready" if world.settings.word("vms.ssh_ready") == "running" else "booting"
        return {"stage": "", "ssh": ssh, "cached": True, "started_at_ms": started, "interrupted_at_ms": None}
    gone = {"stage": "", "ssh": "offline"}
    if target == "interrupted":
        return {**gone, "interrupted_at_ms": world.now_ms}
    return {**gone, "terminated_at_ms": world.now_ms} if target == "terminated" else gone


def session_fields(world: World, vm: Vm) -> dict[str, Any]:
    """What a billing session of the VM says: the rate is the catalogue's of this moment."""
    return {
        "organization_id": vm.organization_id,
        "resource_id": vm.id,
        "node_id": vm.node_id,
        "key": workload.usage_key(vm.shape, vm.resource_size),
        "count": vm.shape.gpus or 1,
        "rate_cents": rate_cents(world, vm),
    }


def rate_cents(world: World, vm: Vm) -> int:
    """What the VM would be billed from now on: the catalogue's price, or nothing."""
    return 0 if non_billable(world, vm) else workload.rate_cents(world, vm.shape, vm.resource_size)


def non_billable(world: World, vm: Vm) -> bool:
    """Whether a provider's VM is on its own reserved node [2026-10 sdk]: one that was asked for by its id
    [choice: a VM that only happens to land on a node of its owner is billed as everywhere]."""
    return (
        vm.shape.node_id == vm.node_id != ""
        and world.get(Node, vm.node_id).organization_id == vm.organization_id
    )


def _plan(world: World, vm: Vm, before: str) -> None:
    """The timers of the state a VM has arrived in, in place of those of the state it left."""
    world.clock.cancel_of(vm.id)
    kind = timing_kind(vm)
    if vm.status == "deploying":
        _plan_stage(world, vm)
        deadline = world.now_ms + world.settings.whole("vms.deadline_s") * 1000
        world.clock.at(deadline, "vm.deadline", (vm.id, vm.run), cause=world.cause, grade=Grade.watch)
    elif vm.status == "running":
        ready = workload.draw_ms(
            world, f"{kind}.{'restart_in_place' if before == 'running' else 'ssh_ready'}"
        )
        if vm.ssh == "booting":
            faults.proceed(world, vm, faults.Step("vm", "ssh_ready", "vm.ssh_ready", (vm.id, vm.run)), ready)
    elif vm.status == "interrupted":
        until = world.now_ms + world.settings.whole("vms.interrupted_days") * DAY_MS
        world.clock.at(until, "vm.give_up", (vm.id, vm.run), cause=world.cause, grade=Grade.watch)


def _plan_stage(world: World, vm: Vm) -> None:
    span = workload.draw_ms(world, f"{timing_kind(vm)}.{'restart' if vm.cached else vm.stage}")
    faults.proceed(world, vm, faults.Step("vm", vm.stage, "vm.stage", (vm.id, vm.run, vm.stage)), span)


# -- timers ------------------------------------------------------------------------------------------------


def _of_run(world: World, vm_id: str, run: int, status: str) -> Vm | None:
    """The VM of a timer, if it is still in the run and the status the timer was set for."""
    vm = world.find(Vm, vm_id)
    return vm if vm and vm.run == run and vm.status == status else None


@area.timer("vm.stage")
def end_stage(world: World, vm_id: str, run: int, stage: str) -> None:
    """A stage of a start is over: the next one begins, or the VM runs."""
    vm = _of_run(world, vm_id, run, "deploying")
    if vm is None or vm.stage != stage:
        return
    if stage == STAGES[-1]:
        move(world, vm, "started")
        return
    vm = world.change(vm, stage=STAGES[STAGES.index(stage) + 1], updated_at_ms=world.now_ms)
    world.note("transition", resource=vm.id, name=vm.name, stage=vm.stage)
    _plan_stage(world, vm)


@area.timer("vm.fails")
def fails(world: World, vm_id: str, reason: str) -> None:
    """A stage of a start came to nothing."""
    vm = world.get(Vm, vm_id)
    if vm.status == "deploying":
        move(world, vm, "fail", reason=reason)


@area.timer("vm.deadline")
def miss_deadline(world: World, vm_id: str, run: int) -> None:
    """A start that did not end in time fails."""
    vm = _of_run(world, vm_id, run, "deploying")
    if vm:
        seconds = world.settings.whole("vms.deadline_s")
        move(world, vm, "fail", reason=f"not running within {seconds} s; the start hung in stage {vm.stage}")


@area.timer("vm.ssh_ready")
def answer_ssh(world: World, vm_id: str, run: int) -> None:
    """A probe sees the guest answer."""
    vm = _of_run(world, vm_id, run, "running")
    if vm:
        world.change(vm, ssh="ready", updated_at_ms=world.now_ms)


@area.timer("vm.give_up")
def give_up(world: World, vm_id: str, run: int) -> None:
    """The node of an interrupted VM has stayed away too long."""
    vm = _of_run(world, vm_id, run, "interrupted")
    if vm:
        move(world, vm, "give_up")


@area.timer(workload.TORN_DOWN)
def free_place(world: World, claim_id: str) -> None:
    """What a VM or a replica ran on is torn down."""
    capacity.free(world, claim_id)
    workload.admit_later(world)


@area.timer("vm.admit")
def admit(world: World) -> None:
    """Queued VMs, oldest first, take what has become free."""
    for vm in world.select(Vm, "queue", "pending"):
        try:
            fit = capacity.place(world, vm.shape)
        except Refusal:
            continue
        move(world, vm, "place", fit=fit)


# -- what happens to a node --------------------------------------------------------------------------------


def node_changed(world: World, node: Node) -> None:
    """Let the VMs of a node bear what its new status means for them."""
    trigger = _trigger_of(world, node.status)
    for vm in sorted(world.select(Vm, "node", node.id), key=by_birth):
        if trigger and LIFECYCLE.find(vm.status, trigger):
            move(world, vm, trigger)
    if node.status == "online":
        workload.admit_later(world)


def _trigger_of(world: World, status: str) -> str | None:
    if status == "offline":
        return "lose_node_legacy" if world.settings.flag("vms.legacy_node_loss") else "lose_node"
    if status == "removed":
        return "node_removed"
    if status == "draining" and world.settings.flag("nodes.drain_ends_workloads"):
        return "drain"
    return "node_back" if status == "online" else None


def stoppable(world: World, organization_id: str) -> list[Vm]:
    """What an organization runs, oldest first."""
    vms = sorted(world.select(Vm, "live", organization_id), key=by_birth)
    return [vm for vm in vms if LIFECYCLE.find(vm.status, "auto_stop")]


def scrub_ssh_key(world: World, organization_id: str, key_id: str) -> None:
    """Take a deleted key from the VMs that have it."""
    for vm in world.select(Vm, "live", organization_id):
        if key_id in vm.ssh_key_ids:
            world.change(vm, ssh_key_ids=tuple(key for key in vm.ssh_key_ids if key != key_id))


def hand_over(world: World, vm: Vm, organization_id: str, ssh_key_ids: tuple[str, ...]) -> Vm:
    """Give a VM to another organization. Id, disk, node, endpoint and status stay.

    Two payers need two sessions [choice]: the former owner's closes, the new one's opens at the catalogue's
    rate of now. Registry login and Telegram link are the former owner's and are dropped [choice].
    """
    told = {"resource": vm.id, "name": vm.name, "from": vm.status, "to": vm.status}
    outer = world.cause
    world.cause = world.note("transition", **told, trigger="transfer", organization=organization_id)
    billed = metering.close_session(world, vm.id) is not None
    vm = world.change(
        vm,
        organization_id=organization_id,
        ssh_key_ids=ssh_key_ids,
        registry_credential_id="",
        telegram={},
        updated_at_ms=world.now_ms,
    )
    if billed:
        metering.open_session(world, metering.new_session(world, **session_fields(world, vm)))
    world.cause = outer
    return vm


# -- words -------------------------------------------------------------------------------------------------


def label(vm: Vm) -> str:
    return f"VM {vm.name!r}"


def timing_kind(vm: Vm) -> str:
    return "gpu_vm" if vm.shape.gpus else "cpu_vm"


def event_data(vm: Vm) -> dict[str, Any]:
    """Both spellings of the id: the seed's camel case and the later one [2026-10 sdk]."""
    return {"vmId": vm.id, "vm_id": vm.id, "endpoint": endpoint_url(vm), "status": vm.status}


def endpoint_url(vm: Vm) -> str:
    return f"https://{vm.endpoint_host}"
