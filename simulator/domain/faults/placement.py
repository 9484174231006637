"""Faults of placement: the cloud says no although there is room."""

from __future__ import annotations

import msgspec

from simulator.domain.faults.rules import Fault, strike
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World


class Refuse(Fault, frozen=True):
    """Refuses the place, with one of the codes for capacity."""

    code: str = ""
    """By default that of the shape: GPU or CPU capacity."""


EFFECTS: dict[str, type[Fault]] = {"refuse": Refuse}

CODES = (
    "INSUFFICIENT_GPU_CAPACITY",
    "INSUFFICIENT_HOST_CAPACITY",
    "INSUFFICIENT_CPU_CAPACITY",
    "NODE_AT_CAPACITY",
    "VM_NODE_BUSY",
    "VM_SHAPE_NOT_PLACEABLE",
    "GPU_COUNT_NOT_ALLOCATABLE",
)
"""What a refusal may say."""


def check(world: World, model: str, shape: msgspec.Struct, default_code: str) -> None:
    """Raise the refusal of the fault that strikes; `model` is a GPU model's id, or `cpu`."""
    hit = strike(world, "placement", EFFECTS, {"model": model}, shape)
    if hit is not None:
        text = f"no room, although there is: fault {hit.rule_id}"
        raise Refusal(hit.effect.code or default_code, text)
