"""Faults of placement: the cloud says no although there is room."""

from __future__ import annotations

import msgspec

from simulator.domain.faults.rules import Fault, strike
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World


class Refuse(Fault, frozen=True):
    """Refuses the place, with one of the codes for capacity, or as the hold for it could not be recorded."""

    code: str = ""
    """By default that of the shape: GPU or CPU capacity."""


EFFECTS: dict[str, type[Fault]] = {"refuse": Refuse}

NO_HOLD = "VERIFICATION_UNAVAILABLE"
"""There is room and money, but the hold that comes before a start fails [2026-10 sdk: the code; choice of
the place]."""

CODES = (
    "INSUFFICIENT_GPU_CAPACITY",
    "INSUFFICIENT_HOST_CAPACITY",
    "INSUFFICIENT_CPU_CAPACITY",
    "NODE_AT_CAPACITY",
    "VM_NODE_BUSY",
    "VM_SHAPE_NOT_PLACEABLE",
    "GPU_COUNT_NOT_ALLOCATABLE",
    NO_HOLD,
)
"""What a refusal may say."""


def check(world: World, model: str, shape: msgspec.Struct, default_code: str) -> None:
    """Raise the refusal of the fault that strikes; `model` is a GPU model's id, or `cpu`."""
    hit = strike(world, "placement", EFFECTS, {"model": model}, shape)
    if hit is not None:
        code = hit.effect.code or default_code
        why = "the hold could not be recorded" if code == NO_HOLD else "no room, although there is"
        raise Refusal(code, f"{why}: fault {hit.rule_id}")
