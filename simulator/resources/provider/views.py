"""A node as its provider sees it."""

from __future__ import annotations

from typing import Any

from simulator.domain import products
from simulator.domain.capacity import Node
from simulator.kernel.instant import iso
from simulator.kernel.world import World
from simulator.resources.provider.enrolment import Enrolment

MB_PER_GB = 1024


def node_view(world: World, node: Node) -> dict[str, Any]:
    """The contract's members; those that only an enrolment tells are absent where there was none."""
    enrolment = world.find(Enrolment, node.id)
    place = world.get(products.Location, node.location_id)
    view = {
        "id": node.id,
        "hostname": node.hostname,
        "nodeType": (enrolment and enrolment.node_type) or ("gpu" if node.units else "cpu"),
        "tdxEnabled": False,
        "status": node.status,
        "createdAt": iso(node.created_at_ms),
        "gpus": _gpus(world, node),
        "cpuCores": node.vcpu,
        "ramGb": node.ram_mb // MB_PER_GB,
        "locationCity": place.city,
        "locationCountry": place.country,
        "diskTotalGb": node.disk_gb,
        "diskFreeGb": node.disk_gb - node.used_disk_gb,
    }
    if enrolment is not None or node.notice_seconds is not None:
        view["noticeSeconds"] = node.notice_seconds
    if enrolment is None:
        return view
    return view | {"cpuModel": enrolment.cpu_model or None, "runtime": enrolment.runtime}


def _gpus(world: World, node: Node) -> list[dict[str, Any]]:
    """All GPUs of a node are of one model."""
    if not node.units:
        return []
    model = world.get(products.GpuModel, node.gpu_model_id)
    return [{"gpuName": model.name, "vramGb": model.vram_gb, "quantity": node.gpus}]
