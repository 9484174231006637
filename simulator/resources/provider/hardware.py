"""What a machine that enrols says of its hardware, read into what a node offers.

A node needs 32 GB of RAM [docs page]. Its GPUs are known by their PCI ids and are all of one model [choice].
Under `qemu` they are passed through to VMs, one IOMMU group at a time; under `gvisor`, the default, they are
given to replicas of clusters one by one [choice].
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from simulator.domain import products
from simulator.domain.capacity import CLUSTER, Unit
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World
from simulator.resources.provider.nodes import MOST_GPUS

RUNTIMES = ("qemu", "gvisor")
DEFAULT_RUNTIME = "gvisor"
LEAST_RAM_GB = 32
MOST = 1_000_000

MODELS = {
    "10de:2204": "rtx-3090",
    "10de:2684": "rtx-4090",
    "10de:2b85": "rtx-5090",
    "10de:27b8": "l4",
    "10de:26b9": "l40s",
    "10de:2bb1": "rtx-pro-6000",
    "10de:2bb5": "rtx-pro-6000",
    "10de:20b5": "a100-pcie-80gb",
    "10de:20b2": "a100-sxm-80gb",
    "10de:2331": "h100-pcie",
    "10de:2330": "h100-sxm",
    "10de:2335": "h200-sxm",
    "10de:2901": "b200",
    "1002:75a3": "mi355x",
}
"""GPU models by PCI id, vendor:device."""


class Hardware(NamedTuple):
    """What a node offers."""

    vcpu: int
    ram_gb: int
    gpu_model_id: str
    units: tuple[Unit, ...]
    runtime: str


def read(world: World, body: dict[str, Any]) -> Hardware:
    """The hardware of an enrolment; refused with 422 where no node can be made of it."""
    runtime = body.get("runtime", DEFAULT_RUNTIME)
    if runtime not in RUNTIMES:
        raise _unfit(f"runtime {runtime[:80]!r} is unknown; known are {', '.join(RUNTIMES)}")
    vcpu = _amount(body, "cpuCores", 1)
    ram_gb = _amount(body, "ramGb", LEAST_RAM_GB)
    inventory = body.get("gpuInventory") or {}
    if inventory.get("source") == "none":
        raise Refusal(
            "conflict",
            "the GPUs of this machine are not detected yet (gpuInventory.source is none); "
            "reboot it and enrol again",
        )
    counts = _counts(inventory, body.get("gpus") or [])
    total = sum(counts.values())
    if total > MOST_GPUS:
        raise _unfit(f"{total} GPUs; a node has {MOST_GPUS} at most")
    units = _units(inventory, total) if runtime == "qemu" else (Unit(1, CLUSTER),) * total
    return Hardware(vcpu, ram_gb, _model(world, counts), units, runtime)


def _unfit(message: str) -> Refusal:
    return Refusal("unprocessable", message)


def _amount(body: dict[str, Any], member: str, least: int) -> int:
    given: int | None = body.get(member)
    if given is None:
        raise _unfit(f"{member} is missing; a node has at least {least}")
    if not least <= given <= MOST:
        raise _unfit(f"{member} {given} is out of bounds; a node has {least} to {MOST}")
    return given


def _counts(inventory: dict[str, Any], legacy: list[dict[str, Any]]) -> Counter[str]:
    """GPUs by PCI id: those of the inventory, or of the older list that names each one [2026-07]."""
    counts: Counter[str] = Counter()
    if not inventory:
        counts.update(gpu["pciId"].lower() for gpu in legacy)
    for device in inventory.get("devices", ()):
        if not 0 <= device["count"] <= MOST_GPUS:
            raise _unfit(f"{device['count']} GPUs {device['pciDeviceId'][:80]!r}; take 0 to {MOST_GPUS}")
        counts[device["pciDeviceId"].lower()] += device["count"]
    return +counts


def _model(world: World, counts: Counter[str]) -> str:
    """The one model there is, "" where there is no GPU."""
    found = set()
    for pci_id in counts:
        model = world.find(products.GpuModel, MODELS.get(pci_id, ""))
        if model is None or model.hidden:
            known = ", ".join(MODELS)
            raise _unfit(f"GPU {pci_id[:80]!r} is not one of the catalogue; PCI ids known are {known}")
        found.add(model.id)
    if len(found) > 1:
        raise _unfit(f"GPUs of several models, {', '.join(sorted(found))}; a node has those of one")
    return next(iter(found), "")


def _units(inventory: dict[str, Any], total: int) -> tuple[Unit, ...]:
    """What can only be given away together: IOMMU groups; without them, all that hang on an NVSwitch
    [choice]; else each GPU alone."""
    groups = [len(group["gpus"]) for group in inventory.get("iommuGroups", ()) if group["gpus"]]
    if groups and sum(groups) != total:
        raise _unfit(f"iommuGroups hold {sum(groups)} GPUs, devices are {total}")
    if not groups:
        groups = [total] if total and inventory.get("nvswitchCount") else [1] * total
    return tuple(map(Unit, groups))
