"""A VM as the contract shows it: summary and detail."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from simulator.domain import metering, products
from simulator.domain.capacity import Node
from simulator.kernel.instant import iso
from simulator.kernel.streams import digest_number
from simulator.kernel.world import World
from simulator.resources.vms.lifecycle import Vm, endpoint_url, non_billable, rate_cents

GB = 10**9


def summary(world: World, vm: Vm) -> dict[str, Any]:
    """Every member that real clients need is there in every status [client]; a CPU VM's model reads `cpu`."""
    model = world.get(products.GpuModel, vm.shape.gpu_model_id) if vm.shape.gpus else None
    shown_id = products.shown_model_id(world.settings, model) if model else "cpu"
    return _summary(vm, current_rate_cents(world, vm), model, shown_id, _notice(world, vm)).copy()


@lru_cache(maxsize=256)
def _summary(
    vm: Vm, price_cents: int, model: products.GpuModel | None, model_id: str, notice: str
) -> dict[str, Any]:
    """The same VMs are listed again and again: to write each down anew would be an eighth of a page."""
    view: dict[str, Any] = {
        "id": vm.id,
        "organizationId": vm.organization_id,
        "name": vm.name,
        "status": vm.status,
        "gpuModelId": model_id,
        "gpuModelName": model.name if model else "CPU",
        "gpuCount": vm.shape.gpus,
        "resourceSize": vm.resource_size,
        "tier": vm.shape.tier,
        "diskSizeGb": vm.disk_gb,
        "endpointUrl": endpoint_url(vm),
        "pricePerHourCents": price_cents,
        "public": vm.public,
        "serviceType": vm.service_type,
        "createdAt": iso(vm.created_at_ms),
        "imageUrl": vm.image_url,
    }
    if model:
        view["gpuManufacturer"] = model.manufacturer
    if notice or vm.reason:
        view["statusReason"] = notice or vm.reason
    if vm.stage:
        view["provisioningStage"] = vm.stage
    return view


def _notice(world: World, vm: Vm) -> str:
    """What a running VM says while its node is about to leave [2026-10 sdk]; it is the node's to say."""
    if vm.status != "running":
        return ""
    leaving_at_ms = world.get(Node, vm.node_id).leaving_at_ms
    return "" if leaving_at_ms is None else f"node leaving at {iso(leaving_at_ms)}"


def current_rate_cents(world: World, vm: Vm) -> int:
    """The locked rate of the open session, else what the catalogue asks now [2026-07]."""
    session = metering.open_session_of(world, vm.id)
    return session.rate_cents if session else rate_cents(world, vm)


def detail(world: World, vm: Vm) -> dict[str, Any]:
    """The summary and all that is known beside it."""
    view = summary(world, vm)
    del view["gpuModelName"]
    view.pop("gpuManufacturer", None)
    view |= {
        "healthy": vm.status == "running",
        "updatedAt": iso(vm.updated_at_ms),
        "containerPort": vm.container_port,
        "persistentDiskPath": f"/var/lib/openrelay/vms/{vm.id}/disk.qcow2",
        "diskTotalBytes": vm.disk_gb * GB,
        "guestMemMb": vm.guest_ram_mb,
        "guestVcpu": vm.guest_vcpu,
        **_ssh(world, vm),
    }
    if vm.shape.gpus:
        model = world.get(products.GpuModel, vm.shape.gpu_model_id)
        view["gpuInfo"] = {
            "name": model.name,
            "vramGb": model.vram_gb,
            "pricePerHourCents": model.rate_cents(vm.shape.tier),
            "manufacturer": model.manufacturer,
        }
    else:
        del view["gpuModelId"]
    moments = {
        "startedAt": vm.started_at_ms,
        "interruptedAt": vm.interrupted_at_ms,
        "terminatedAt": vm.terminated_at_ms,
    }
    view |= {name: iso(moment) for name, moment in moments.items() if moment is not None}
    if non_billable(world, vm):
        view["nonBillable"] = True
    return view | _node(world, vm) | _template(world, vm)


def _node(world: World, vm: Vm) -> dict[str, Any]:
    node = world.find(Node, vm.node_id) if vm.node_id else None
    if node is None:
        return {}
    host = digest_number(vm.id)
    return {
        "nodeId": node.id,
        "nodeInfo": {"hostname": node.hostname, "location": node.location_id},
        "internalIp": f"10.{host % 256}.{host // 256 % 256}.{host // 65536 % 254 + 1}",
        "hostDiskTotalGb": node.disk_gb,
        "hostDiskFreeGb": node.disk_gb - node.used_disk_gb,
    }


def _template(world: World, vm: Vm) -> dict[str, Any]:
    template = world.get(products.Template, vm.template_id)
    info = {
        "osType": template.os_type,
        "templateInfo": {"name": template.name, "osType": template.os_type, "osVersion": template.os_version},
    }
    return info | ({"rdpPort": 3389} if template.os_type == "windows" else {})


def _ssh(world: World, vm: Vm) -> dict[str, Any]:
    """How to reach the guest: its handle is the first label of the endpoint [2026-07][2026-10 sdk]."""
    handle = vm.endpoint_host.partition(".")[0]
    host = f"ssh.{world.settings.word('vms.endpoint_domain')}"
    return {
        "sshHandle": handle,
        "sshHost": host,
        "sshPort": 22,
        "sshUser": world.get(products.Template, vm.template_id).ssh_user,
        "sshCommand": f"ssh {handle}@{host}",
        "sshReady": vm.ssh == "ready",
        "sshState": vm.ssh,
    }
