"""Deposits, saved cards and the auto-recharge policy: the operations.

A deposit charges the default card off-session; the credit comes later [seed]. Cards are saved in the
processor's form, which the outside world fills in (action card.save).
"""

from __future__ import annotations

from typing import Any

from simulator.domain import cards
from simulator.domain.cards import Card
from simulator.domain.metering import Account
from simulator.kernel.operation import Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World
from simulator.resources.billing import payments, recharge
from simulator.resources.billing.payments import Payment, SetupIntent, area
from simulator.resources.billing.recharge import RechargePolicy

LONGEST_KEY = 255

SHOWN_STATUS = {"credited": "succeeded", "refunded": "succeeded"}
"""What the API calls a payment that has gone on from succeeded."""


@area.operation(
    "createBillingDeposit", write=True, role="admin", effects="card charged; credited a little later"
)
def create_deposit(call: Call) -> dict[str, Any]:
    """Charge the default card. The same idempotency key answers the same payment, as it is now [seed]."""
    world, organization_id, body = call.world, call.organization_id, call.body
    amount, promo_code = body["amountCents"], body.get("promoCode") or ""
    payments.check_funding(world, organization_id)
    key = _check_key(body.get("idempotencyKey") or "")
    earlier = payments.of_key(world, organization_id, key)
    if earlier is not None:
        _check_same(earlier, amount, promo_code)
        return _deposit(world, earlier)
    payments.check_amount(world, organization_id, amount)
    payments.check_runway(world, organization_id, amount)
    granted = payments.discount_cents(world, organization_id, promo_code, amount) if promo_code else 0
    card = _needed_card(world, organization_id, "a deposit charges the default card")
    payments.check_payments(world)
    fields = {"granted_cents": granted, "promo_code": promo_code, "key": key}
    return _deposit(world, payments.charge(world, card, amount - granted, **fields))


@area.operation("listBillingPaymentMethods")
def list_payment_methods(call: Call) -> dict[str, Any]:
    """Saved cards, newest first [choice]; the default one is named while there is one [seed]."""
    saved = call.world.select(Card, "organization", call.organization_id)
    view: dict[str, Any] = {"paymentMethods": [_card(card) for card in reversed(saved)]}
    default = cards.default_card(call.world, call.organization_id)
    return view | ({"defaultPaymentMethodId": default.id} if default else {})


@area.operation("deleteBillingPaymentMethod", write=True, role="admin", effects="card forgotten")
def delete_payment_method(call: Call) -> None:
    """Deleting the default clears it, so no charge goes through [2026-10 sdk].

    An unknown or foreign card: 204, or 404 (setting billing.delete_unknown_card).
    """
    world, card_id = call.world, call.path["paymentMethodId"]
    card = world.find(Card, card_id)
    known = card is not None and card.organization_id == call.organization_id
    if not known and world.settings.word("billing.delete_unknown_card") == "404":
        raise Refusal("not_found", f"card {card_id[:80]!r} is unknown in this organization")
    payments.check_payments(world)
    if card is None or not known:
        return
    world.delete(card)
    account = world.get(Account, card.organization_id)
    if account.default_card_id == card.id:
        world.change(account, default_card_id="")
        recharge.renew(world, card.organization_id)


@area.operation("createBillingSetupIntent", write=True, role="admin", effects="a card can be saved with it")
def create_setup_intent(call: Call) -> dict[str, Any]:
    """Begin saving a card; action card.save finishes it [2026-07; choice of the finish].

    `bankCheck` where a card's bank has to vouch for it [choice: the field says a 3-D Secure step is needed].
    """
    world = call.world
    payments.check_payments(world)
    intent_id = f"seti_{world.streams.text('setup_intent', 24)}"
    intent = world.put(
        SetupIntent(
            id=intent_id,
            created_at_ms=world.now_ms,
            organization_id=call.organization_id,
            client_secret=payments.new_secret(world, intent_id),
        )
    )
    return {
        "clientSecret": intent.client_secret,
        "publishableKey": payments.publishable_key(world),
        "bankCheck": world.settings.flag("billing.check_cards"),
    }


@area.operation("getAutoRecharge")
def get_auto_recharge(call: Call) -> dict[str, Any]:
    """The policy; when it was never set: off, both amounts 0 [2026-07; choice of the figures]."""
    return _policy(recharge.policy_of(call.world, call.organization_id))


@area.operation(
    "updateAutoRecharge", write=True, role="admin", effects="policy; looked at from the next tick"
)
def update_auto_recharge(call: Call) -> dict[str, Any]:
    """Enabling needs a default card and an amount within the bounds of a deposit, else 400 [2026-10 sdk].

    A policy that is switched off is stored as it comes [choice].
    """
    world, organization_id, body = call.world, call.organization_id, call.body
    if body["thresholdCents"] > recharge.MOST_THRESHOLD_CENTS:
        most = recharge.MOST_THRESHOLD_CENTS
        raise Refusal(
            "bad_request", f"thresholdCents {body['thresholdCents']} is out of bounds; take 0 to {most}"
        )
    if body["enabled"]:
        payments.check_amount(world, organization_id, body["amountCents"])
        _needed_card(world, organization_id, "auto-recharge charges the default card")
    payments.check_payments(world)
    policy = world.put(recharge.policy_of(world, organization_id))
    policy = world.change(
        policy,
        enabled=body["enabled"],
        threshold_cents=body["thresholdCents"],
        amount_cents=body["amountCents"],
    )
    recharge.renew(world, organization_id)
    return _policy(policy)


# -- checks ------------------------------------------------------------------------------------------------


def _check_key(key: str) -> str:
    if len(key) > LONGEST_KEY:
        raise Refusal("bad_request", f"idempotencyKey has {len(key)} characters; {LONGEST_KEY} at the most")
    return key


def _check_same(earlier: Payment, amount_cents: int, promo_code: str) -> None:
    """The same key stands for the same deposit, else 400 [choice: as the card processor does]."""
    if (amount_cents, promo_code) != (earlier.credit_cents, earlier.promo_code):
        first = f"{earlier.credit_cents} cents, promo code {earlier.promo_code!r}"
        raise Refusal(
            "bad_request",
            f"idempotencyKey {earlier.key[:80]!r} was used for a deposit of {first};"
            f" this one is of {amount_cents} cents, promo code {promo_code[:80]!r}",
        )


def _needed_card(world: World, organization_id: str, why: str) -> Card:
    card = cards.default_card(world, organization_id)
    if card is None:
        raise Refusal("CARD_REQUIRED", f"{why}, and there is none; save one first")
    return card


# -- views -------------------------------------------------------------------------------------------------


def _deposit(world: World, payment: Payment) -> dict[str, Any]:
    """What became of the charge: with a secret while it waits for the cardholder, with the decline's code."""
    status = SHOWN_STATUS.get(payment.status, payment.status)
    view: dict[str, Any] = {"paymentIntentId": payment.id, "status": status}
    if status == "requires_action":
        view |= {
            "clientSecret": payment.client_secret,
            "publishableKey": payments.publishable_key(world),
        }
    if payment.decline_code:
        sensitive = payment.decline_code in payments.SENSITIVE_CODES
        view["declineCode"] = "generic_decline" if sensitive else payment.decline_code
    return view


def _card(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "brand": card.brand,
        "last4": card.last4,
        "expMonth": card.exp_month,
        "expYear": card.exp_year,
    }


def _policy(policy: RechargePolicy) -> dict[str, Any]:
    return {
        "enabled": policy.enabled,
        "thresholdCents": policy.threshold_cents,
        "amountCents": policy.amount_cents,
    }
