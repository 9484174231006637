"""Saved cards, as the card processor knows them: what each does when it is charged.

The cards are the processor's well-known test cards, told apart by their last four digits [choice].
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from simulator.domain.metering import Account
from simulator.kernel.instant import month_of
from simulator.kernel.world import Index, Row, World


class Outcome(msgspec.Struct, frozen=True):
    """What becomes of a charge: a trigger of the payment's table, and why it was declined."""

    trigger: str
    decline_code: str = ""
    passes_check: bool = True
    """Whether the card's bank vouches for it when it is saved."""


TEST_CARDS = {
    "4242": Outcome("charge"),
    "0002": Outcome("decline", "generic_decline", passes_check=False),
    "9995": Outcome("decline", "insufficient_funds", passes_check=False),
    "0069": Outcome("decline", "expired_card", passes_check=False),
    "3155": Outcome("challenge"),
    "0341": Outcome("decline", "generic_decline"),
}
"""By their last four digits; 0341 is vouched for and declines every charge later [choice]."""

EXPIRED = Outcome("decline", "expired_card", passes_check=False)


class Card(Row, frozen=True, kw_only=True):
    """A saved card of an organization; good until the end of its last month (UTC)."""

    indexes: ClassVar = {"organization": Index(lambda card: card.organization_id)}

    organization_id: str
    brand: str = "visa"
    last4: str
    exp_month: int
    exp_year: int


def default_card(world: World, organization_id: str) -> Card | None:
    """The card that is charged, None when there is none."""
    return world.find(Card, world.get(Account, organization_id).default_card_id)


def outcome_of(world: World, card: Card) -> Outcome:
    """What a charge of the card comes to now."""
    if month_of(world.now_ms) > f"{card.exp_year:04d}-{card.exp_month:02d}":
        return EXPIRED
    return TEST_CARDS[card.last4]
