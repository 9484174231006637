"""Starting a VM: every check of behaviour 4.2 in its order, all of them before the first change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from simulator.domain import capacity, products, workload
from simulator.domain.access import digest
from simulator.domain.capacity import Claim, Fit, Node, Shape
from simulator.domain.faults import placement
from simulator.domain.registries import known_credential
from simulator.domain.ssh import SshKey
from simulator.domain.workload import Wish
from simulator.kernel.instant import DAY_MS
from simulator.kernel.operation import Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Index, Row, World
from simulator.resources.vms.lifecycle import Vm, label, move


def launch(call: Call, body: dict[str, Any], forked_from: str = "") -> Vm:
    """Create a VM, from nothing or off a snapshot; it claims its place in the same step.

    A fork goes where the disk is, whoever's node that is [2026-10 sdk]; a create names a node that it has a
    right to.
    """
    world, organization_id = call.world, call.organization_id
    name = workload.check_name(body["name"])
    credential_id = known_credential(world, organization_id, body.get("registryCredentialId"))
    keys = known_ssh_keys(world, organization_id, body.get("sshKeyIds") or [])
    if not keys and world.settings.flag("vms.require_ssh_key"):
        raise Refusal("bad_request", "sshKeyIds is empty; a VM needs at least one key of the organization")
    shape = workload.shape_of(world, _wish(body))
    template = workload.choose_template(world, body.get("templateId"), shape)
    port = workload.check_port("containerPort", body.get("containerPort", 80))
    check_receiver(world, organization_id, name)
    for feature, wanted in (("spot", shape.tier == "spot"), ("public", body.get("public"))):
        if wanted:
            workload.check_feature(world, organization_id, feature, "FEATURE_DISABLED")
    if not forked_from:
        capacity.check_rights(world, organization_id, shape.node_id)
    fit = _place_or_queue(world, shape)
    vm = new_vm(world, organization_id, name, shape, template)
    vm = msgspec.structs.replace(
        vm,
        resource_size=body.get("resourceSize") or vm.resource_size,
        image_url=body.get("imageUrl") or vm.image_url,
        container_port=port,
        env=body.get("envVars") or {},
        public=body.get("public", False),
        service_type=body.get("serviceType") or vm.service_type,
        ssh_key_ids=keys,
        registry_credential_id=credential_id,
        forked_from=forked_from,
        guest={key: body[key] for key in GUEST_MEMBERS if key in body},
    )
    return move(world, world.put(vm), "create" if fit else "queue", fit=fit)


def check_receiver(world: World, organization_id: str, name: str) -> None:
    """Whether an organization may have one more VM of this name: the gates of create, fork and transfer."""
    if world.settings.flag("names.unique") and world.bucket(Vm, "name", (organization_id, name)):
        raise Refusal("NAME_TAKEN", f"a VM named {name!r} exists in this organization")
    workload.check_account(world, organization_id)
    workload.check_funds(world, organization_id)


GUEST_MEMBERS = (
    "healthChecks",
    "healthCheckPath",
    "healthCheckPort",
    "containerCommand",
    "privileged",
    "kernelModules",
    "cloudInit",
)
"""Members of the request that only the guest reads: kept as they came."""


def new_vm(world: World, organization_id: str, name: str, shape: Shape, template: products.Template) -> Vm:
    """A VM before its first transition, with the defaults of its template."""
    return Vm(
        id=workload.new_id(world, "vm"),
        created_at_ms=world.now_ms,
        updated_at_ms=world.now_ms,
        birth=world.journal.serial,
        organization_id=organization_id,
        name=name,
        shape=shape,
        resource_size=workload.DEFAULT_CPU_SIZE,
        image_url=template.image_url,
        template_id=template.id,
        endpoint_host=workload.endpoint_host(world, name),
    )


def _wish(body: dict[str, Any]) -> Wish:
    return Wish(
        gpu_model_id=body.get("gpuModelId"),
        gpu_count=body.get("gpuCount"),
        resource_size=body.get("resourceSize"),
        tier=body.get("tier", "community"),
        disk_gb=body.get("diskSizeGb"),
        regions=tuple(body.get("preferredRegions") or ()),
        fallback=body.get("allowFallback", False),
        node_id=body.get("nodeId", ""),
        guest_mem_mb=body.get("guestMemMb"),
    )


def known_ssh_keys(world: World, organization_id: str, key_ids: list[str]) -> tuple[str, ...]:
    """The keys, each live and of the organization, named once."""
    for key_id in key_ids:
        key = world.find(SshKey, key_id)
        if key is None or key.organization_id != organization_id:
            raise Refusal("bad_request", f"SSH key {key_id!r} is unknown in this organization")
    return tuple(dict.fromkeys(key_ids))


def _place_or_queue(world: World, shape: Shape) -> Fit | None:
    """A place, or None when all is busy and the queue is switched on."""
    try:
        return capacity.place(world, shape)
    except Refusal as refusal:
        if world.settings.flag("vms.queue") and refusal.code.startswith("INSUFFICIENT_"):
            return None
        raise


def own_place(world: World, vm: Vm) -> Fit:
    """Where a stopped VM starts again: on its own node only, or anywhere when its disk is gone."""
    if not vm.node_id:
        return capacity.place(world, msgspec.structs.replace(vm.shape, node_id=""))
    placement.check(world, vm.shape.product, vm.shape, "VM_NODE_BUSY")
    node = world.get(Node, vm.node_id)
    disk = world.get(Claim, vm.id).disk_gb
    without = msgspec.structs.replace(node, used_disk_gb=node.used_disk_gb - disk)
    fit = capacity.fit(without, vm.shape) if node.status == "online" else None
    if fit is None:
        lacking = node.status if node.status != "online" else _lacking(without, vm.shape)
        raise Refusal("VM_NODE_BUSY", f"{label(vm)} can only restart on its node {node.hostname}: {lacking}")
    return Fit(node, fit.units, fit.vcpu, fit.guest_ram_mb, disk)


def _lacking(node: Node, shape: Shape) -> str:
    """Which resource of the node is short, in a word for the message."""
    if shape.gpus and capacity.free_units(node, shape) is None:
        return f"GPU: {shape.gpus} wanted, free units {node.sizes(shape.kind, free=True)}"
    if node.used_disk_gb + shape.disk_gb > node.disk_gb:
        return "disk"
    vcpu = capacity.share(node, shape.gpus)[0] if shape.gpus else shape.vcpu
    return "CPU" if node.used_vcpu + vcpu > node.vcpu else "RAM"


# -- Idempotency-Key ---------------------------------------------------------------------------------------


class FirstAnswer(Row, frozen=True, kw_only=True):
    """What a create with an Idempotency-Key was answered; the id is `organization/key`."""

    indexes: ClassVar = {"all": Index(lambda answer: "all")}

    request: str
    answer: dict[str, Any]


def idempotent(call: Call, create: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Same key and body within 24 h: the first answer again; another body: 422 [2026-10 sdk name]."""
    world, key = call.world, call.headers.get("idempotency-key", "")
    if not key or not world.settings.flag("vms.idempotency_key"):
        return create()
    row_id = f"{call.organization_id}/{digest(key)}"
    request = digest(msgspec.json.encode(call.body, order="sorted").decode())
    first = world.find(FirstAnswer, row_id)
    if first is not None and world.now_ms - first.created_at_ms < DAY_MS:
        if first.request != request:
            raise Refusal("unprocessable", f"Idempotency-Key {key[:80]!r} was used with another body")
        return first.answer
    answer = create()
    world.put(FirstAnswer(id=row_id, created_at_ms=world.now_ms, request=request, answer=answer))
    _forget(world)
    return answer


def _forget(world: World) -> None:
    """Let answers older than a day go."""
    for answer in world.select(FirstAnswer, "all", "all"):
        if world.now_ms - answer.created_at_ms < DAY_MS:
            break
        world.delete(answer)
