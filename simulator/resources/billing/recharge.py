"""Auto-recharge: the card is charged by itself when little is available.

It fires when less than the threshold is available [seed]; a threshold under the floor acts as the floor, so
that the charge comes before the stop [2026-10 sdk]. One charge is in flight at the most. After a decline it
rests for an hour, and after three in a row until the card or the policy changes [choice].
"""

from __future__ import annotations

from simulator.domain import cards, metering
from simulator.domain.access import Organization
from simulator.domain.metering import Account
from simulator.kernel.clock import Grade
from simulator.kernel.instant import HOUR_MS
from simulator.kernel.world import Row, World
from simulator.resources.billing import payments
from simulator.resources.billing.payments import Payment

REST_MS = HOUR_MS
MOST_DECLINES = 3
MOST_THRESHOLD_CENTS = 10_000_000
"""As much as a month's spend can be [choice]."""


class RechargePolicy(Row, frozen=True, kw_only=True):
    """What an organization wants, and how its last charges went; the id is the organization's."""

    enabled: bool = False
    threshold_cents: int = 0
    amount_cents: int = 0
    payment_id: str = ""
    """The charge in flight: it has succeeded, and its credit is on the way."""
    declines: int = 0
    """In a row."""
    resumes_at_ms: int | None = None
    """Until when it rests after a decline."""


def policy_of(world: World, organization_id: str) -> RechargePolicy:
    """The policy, or the defaults when it was never set [2026-07]."""
    return world.find(RechargePolicy, organization_id) or RechargePolicy(id=organization_id)


def level_cents(world: World, organization_id: str) -> int | None:
    """The available amount at or under which the card is charged; None while it would not be."""
    policy = policy_of(world, organization_id)
    resting = policy.payment_id or policy.resumes_at_ms is not None or policy.declines >= MOST_DECLINES
    if not policy.enabled or resting or not world.settings.flag("billing.payments"):
        return None
    least, most = payments.bounds_cents(world, organization_id)
    standing = world.get(Organization, organization_id).account_status
    if least > most or standing not in ("active", "restricted"):
        return None
    if cards.default_card(world, organization_id) is None:
        return None
    return max(policy.threshold_cents - 1, world.settings.whole("billing.floor_cents"))


def arm(world: World, organization_id: str) -> None:
    """Tell the watch over the balance when the card is to be charged; called when that may have changed."""
    account, level = world.get(Account, organization_id), level_cents(world, organization_id)
    if account.recharge_at_cents != level:
        world.change(account, recharge_at_cents=level)
    metering.watch(world, organization_id)


def renew(world: World, organization_id: str) -> None:
    """The card or the policy has changed: earlier declines count no more."""
    policy = world.find(RechargePolicy, organization_id)
    if policy is not None:
        world.change(policy, declines=0, resumes_at_ms=None)
    arm(world, organization_id)


def fire_if_due(world: World, organization_id: str) -> None:
    """Charge the card if so little is available."""
    level = world.get(Account, organization_id).recharge_at_cents
    if level is None or metering.available_cents(world, organization_id) > level:
        return
    policy, card = policy_of(world, organization_id), cards.default_card(world, organization_id)
    assert card is not None, f"{organization_id} is armed without a card"
    amount = min(policy.amount_cents, payments.bounds_cents(world, organization_id)[1])
    payment = payments.charge(world, card, amount, recharge=True)
    if payment.status == "succeeded":
        world.change(policy, payment_id=payment.id, declines=0)
    else:
        _rest(world, policy)
    arm(world, organization_id)


def _rest(world: World, policy: RechargePolicy) -> None:
    """After a decline: wait, or give up."""
    declines = policy.declines + 1
    resumes_at = world.now_ms + REST_MS if declines < MOST_DECLINES else None
    world.change(policy, declines=declines, resumes_at_ms=resumes_at)
    if resumes_at is not None:
        args = (policy.id, resumes_at)
        world.clock.at(resumes_at, "billing.recharge", args, cause=world.cause, grade=Grade.watch)


def resume(world: World, organization_id: str, due_ms: int) -> bool:
    """End the rest after a decline; False for the timer of a rest that the card or the policy has ended."""
    policy = policy_of(world, organization_id)
    if policy.resumes_at_ms != due_ms:
        return False
    world.change(policy, resumes_at_ms=None)
    arm(world, organization_id)
    return True


def credited(world: World, payment: Payment) -> None:
    """The credit of a charge has come: the next one may be made."""
    policy = policy_of(world, payment.organization_id)
    if policy.payment_id == payment.id:
        world.change(policy, payment_id="")
        arm(world, payment.organization_id)


def incoming_cents(world: World, organization_id: str) -> int:
    """What is on its way from a charge that succeeded."""
    policy = policy_of(world, organization_id)
    return world.get(Payment, policy.payment_id).credit_cents if policy.payment_id else 0
