"""Faults of a payment: what the card's bank says in place of what the card stands for."""

from __future__ import annotations

from typing import Any

from simulator.domain.faults.rules import Fault, Hit, Seconds, strike
from simulator.kernel.world import World


class Decline(Fault, frozen=True):
    """The bank declines."""

    decline_code: str = "generic_decline"


class RequiresAction(Fault, frozen=True):
    """The bank asks for the cardholder."""


class Delay(Fault, frozen=True):
    """The payment succeeds, and its credit arrives so many seconds later."""

    seconds: Seconds


EFFECTS: dict[str, type[Fault]] = {"decline": Decline, "requires_action": RequiresAction, "delay": Delay}


def strike_payment(world: World, purpose: str, values: dict[str, Any]) -> Hit | None:
    """The fault that strikes a charge; `purpose` is deposit or recharge."""
    return strike(world, "payment", EFFECTS, {"purpose": purpose}, values)
