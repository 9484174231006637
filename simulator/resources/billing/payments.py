"""Payments: charges of a saved card, from the bank's word to the credit in the ledger.

A charge that succeeds is credited a little later, when the processor calls back [seed]. One that asks for the
cardholder waits until somebody confirms or declines it; a declined one stays declined. Nothing is charged
twice under one idempotency key.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from simulator.domain import access, cards, metering, workload
from simulator.domain.access import Organization
from simulator.domain.cards import Card, Outcome
from simulator.domain.faults.payment import Decline, Delay, strike_payment
from simulator.domain.metering import Account, Transaction
from simulator.kernel.machine import NEW, Machine, row
from simulator.kernel.operation import Area
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Index, Row, World

STATES = ("succeeded", "requires_action", "requires_payment_method", "credited", "refunded")
UNDER_WAY = ("succeeded", "requires_action")

# fmt: off
PAYMENT = Machine("Payment", STATES, [
    # trigger        from                       to
    row("charge",    NEW,                       "succeeded"),
    row("challenge", NEW,                       "requires_action"),
    row("decline",   (NEW, "requires_action"),  "requires_payment_method"),
    row("confirm",   "requires_action",         "succeeded"),
    row("credit",    "succeeded",               "credited"),
    row("refund",    "credited",                "refunded"),
], refusals={
    "confirm": {"*": "conflict"},
    "decline": {"*": "conflict"},
    "refund":  {"*": "conflict"},
})
# fmt: on

LEAST_CHARGE_CENTS = 50
"""The processor charges no less [choice]."""
MOST_SPEND_CENTS = 10_000_000
"""The ceiling of the approved monthly spend [2026-10 sdk]."""

DECLINE_CODES = (
    "generic_decline",
    "authentication_required",
    "card_velocity_exceeded",
    "expired_card",
    "incorrect_cvc",
    "insufficient_funds",
    "processing_error",
)
SENSITIVE_CODES = ("fraudulent", "lost_card", "pickup_card", "stolen_card")
"""Shown as generic_decline [2026-10 sdk]."""

area = Area("Billing", scope="billing", machine=PAYMENT)


class Payment(Row, frozen=True, kw_only=True):
    """A charge of a card, what the API calls a PaymentIntent."""

    states: ClassVar = STATES
    secret: ClassVar = ("client_secret",)
    indexes: ClassVar = {
        "organization": Index(lambda payment: payment.organization_id),
        "key": Index(lambda payment: (payment.organization_id, payment.key) if payment.key else None),
        "under_way": Index(lambda payment: payment.organization_id if payment.status in UNDER_WAY else None),
        "promo": Index(lambda payment: payment.promo_code if payment.redeems else None),
    }

    organization_id: str
    card_id: str
    recharge: bool = False
    """Made by auto-recharge, with nobody there."""
    status: str = NEW
    amount_cents: int
    """What the card is charged."""
    granted_cents: int = 0
    """What a promo code adds to it, free of charge."""
    promo_code: str = ""
    key: str = ""
    """The client's idempotency key."""
    client_secret: str
    decline_code: str = ""
    late_ms: int = 0
    """By so much longer its credit takes."""
    line_ids: tuple[str, ...] = ()
    """Its lines in the ledger."""

    @property
    def credit_cents(self) -> int:
        """What the balance gets: the amount of the deposit."""
        return self.amount_cents + self.granted_cents

    @property
    def redeems(self) -> bool:
        """Whether it uses up its promo code: a declined payment gives it back [choice]."""
        return bool(self.promo_code) and self.status != "requires_payment_method"


class SetupIntent(Row, frozen=True, kw_only=True):
    """A card about to be saved; the outside world finishes it."""

    indexes: ClassVar = {"secret": Index(lambda intent: intent.client_secret)}
    secret: ClassVar = ("client_secret",)

    organization_id: str
    client_secret: str
    card_id: str = ""
    """The card it has saved."""


class PromoCode(Row, frozen=True, kw_only=True):
    """A discount on a first deposit; the id is the code. Either a percentage or an amount."""

    percent: int = 0
    cents: int = 0
    max_uses: int | None = None
    """By all organizations together; None: without end."""

    def discount_cents(self, amount_cents: int) -> int:
        return self.cents or amount_cents * self.percent // 100


# -- the rules of amounts ----------------------------------------------------------------------------------


def check_payments(world: World) -> None:
    """503 where no payments are configured [2026-07]."""
    if not world.settings.flag("billing.payments"):
        raise Refusal("unavailable", "payments are not configured here (setting billing.payments)")


def check_funding(world: World, organization_id: str) -> None:
    """A pending account may not add funds yet [2026-10 sdk]."""
    if world.get(Organization, organization_id).account_status == "pending":
        raise Refusal(
            "ACCOUNT_PENDING_VERIFICATION", "the account is pending verification and may not add funds yet"
        )


def limit_cents(world: World, organization_id: str) -> int:
    """The approved monthly spend; it caps each charge [2026-10 sdk], not their sum [choice: as worded]."""
    own = world.get(Account, organization_id).monthly_spend_limit_cents
    return world.settings.whole("billing.monthly_limit_cents") if own is None else own


def bounds_cents(world: World, organization_id: str) -> tuple[int, int]:
    """The least and the largest charge, apart from the runway [seed][2026-10 sdk]."""
    most = world.settings.whole("billing.deposit_max_cents")
    least = world.settings.whole("billing.deposit_min_cents")
    return least, min(most, limit_cents(world, organization_id))


def runway_cents(world: World, organization_id: str) -> int:
    """What a deposit has to pay for: an hour of the present burn, at most the largest deposit [choice]."""
    if not world.settings.flag("billing.require_runway"):
        return 0
    burn = world.get(Account, organization_id).burn_cents
    return min(burn, bounds_cents(world, organization_id)[1])


def check_amount(world: World, organization_id: str, amount_cents: int) -> None:
    """Within the bounds; outside 400 [seed]."""
    least, most = bounds_cents(world, organization_id)
    if not least <= amount_cents <= most:
        limit = limit_cents(world, organization_id)
        raise Refusal(
            "bad_request",
            f"amountCents {amount_cents} is out of bounds; take {least} to {most}"
            f" (the approved monthly spend is {limit})",
        )


def check_runway(world: World, organization_id: str, amount_cents: int) -> None:
    """A deposit pays for an hour at the least [2026-10 sdk name; setting billing.require_runway]."""
    runway = runway_cents(world, organization_id)
    if amount_cents < runway:
        raise Refusal(
            "INSUFFICIENT_RUNWAY",
            f"amountCents {amount_cents} does not pay for an hour of what runs; take {runway} or more",
        )


def discount_cents(world: World, organization_id: str, code: str, amount_cents: int) -> int:
    """What a promo code takes off a deposit; 400 before any charge where it is not valid [2026-07]."""
    promo = world.find(PromoCode, code)
    if promo is None:
        raise Refusal("bad_request", f"promoCode {code[:80]!r} is unknown")
    earlier = world.bucket(Transaction, "deposits", organization_id)
    if earlier or world.bucket(Payment, "under_way", organization_id):
        raise Refusal("bad_request", f"promoCode {code!r} is for a first deposit, and this is a later one")
    if promo.max_uses is not None and len(world.bucket(Payment, "promo", code)) >= promo.max_uses:
        raise Refusal("bad_request", f"promoCode {code!r} has been used {promo.max_uses} times, which is all")
    discount = promo.discount_cents(amount_cents)
    if amount_cents - discount < LEAST_CHARGE_CENTS:
        least = f"the card is charged {LEAST_CHARGE_CENTS} cents at the least"
        raise Refusal("bad_request", f"promoCode {code!r} takes {discount} off {amount_cents}, but {least}")
    return discount


# -- charging ----------------------------------------------------------------------------------------------


def of_key(world: World, organization_id: str, key: str) -> Payment | None:
    """The payment that was made under an idempotency key. Keys never age [choice: never charge twice]."""
    return world.first(Payment, "key", (organization_id, key)) if key else None


def charge(world: World, card: Card, amount_cents: int, **fields: Any) -> Payment:
    """Charge a card; what its bank says is the payment's first status.

    Where the bank asks for the cardholder and nobody is there, it is a decline [choice].
    """
    outcome, late_ms = _bank_says(
        world, card, amount_cents, "recharge" if fields.get("recharge") else "deposit"
    )
    payment_id = f"pi_{world.streams.text('payment', 24)}"
    payment = Payment(
        id=payment_id,
        created_at_ms=world.now_ms,
        organization_id=card.organization_id,
        card_id=card.id,
        amount_cents=amount_cents,
        client_secret=new_secret(world, payment_id),
        late_ms=late_ms,
        **fields,
    )
    if outcome.trigger == "challenge" and payment.recharge:
        return move(world, payment, "decline", decline_code="authentication_required")
    return move(world, payment, outcome.trigger, decline_code=outcome.decline_code)


def _bank_says(world: World, card: Card, amount_cents: int, purpose: str) -> tuple[Outcome, int]:
    """What a charge comes to, and by how many milliseconds its credit is late: as the card stands for, unless
    a fault has it otherwise."""
    values = {"amount_cents": amount_cents, "last4": card.last4, "organization": card.organization_id}
    hit = strike_payment(world, purpose, values)
    if hit is None or isinstance(hit.effect, Delay):
        return cards.outcome_of(world, card), round(hit.effect.seconds * 1000) if hit else 0
    if isinstance(hit.effect, Decline):
        return Outcome("decline", hit.effect.decline_code), 0
    return Outcome("challenge"), 0


def move(world: World, payment: Payment, trigger: str, **fields: Any) -> Payment:
    """Carry out one row of the table. What has succeeded is credited later, by the processor's callback."""
    step = PAYMENT.step(payment.status, trigger, f"payment {payment.id}")
    told = {"resource": payment.id, "from": payment.status, "to": step.target, "trigger": trigger}
    more = {
        "organization": payment.organization_id,
        "cents": payment.amount_cents,
        "decline_code": fields.get("decline_code", ""),
    }
    cause = world.note("transition", **told, **more)
    payment = world.put(msgspec.structs.replace(payment, status=step.target, **fields))
    if step.target == "succeeded":
        delay_ms = workload.draw_span_ms(world, "billing.credit_delay_s")
        if delay_ms is not None:
            due_ms = world.now_ms + delay_ms + payment.late_ms
            args = (payment.organization_id, payment.id)
            world.clock.at(due_ms, "billing.credit", args, cause=cause)
    return payment


def book(world: World, payment: Payment) -> Payment:
    """Credit a payment: what was charged as a deposit, what a promo code added as free credit [2026-07]."""
    owner = payment.organization_id
    text = "Auto-recharge" if payment.recharge else "Card deposit"
    lines = [metering.post(world, owner, payment.amount_cents, ("stripe_deposit", "stripe"), text)]
    if payment.granted_cents:
        text = f"Promo code {payment.promo_code}"
        lines.append(metering.post(world, owner, payment.granted_cents, ("promo_credit", "promo"), text))
    return move(world, payment, "credit", line_ids=tuple(line.id for line in lines))


def repay(world: World, payment: Payment) -> Payment:
    """Pay back what a card was charged; credit that nobody paid for stays, and is never paid back [2026-07].

    No more than is left of the paid balance [choice: what was used is not paid back].
    """
    PAYMENT.step(payment.status, "refund", f"payment {payment.id}")
    left = metering.funds(world, payment.organization_id).paid_cents
    if payment.amount_cents > left:
        raise Refusal(
            "conflict",
            f"payment {payment.id} was {payment.amount_cents} cents; of paid money {left} are left",
        )
    kind, text = ("refund", "stripe"), f"Refund of {payment.id}"
    line = metering.post(world, payment.organization_id, -payment.amount_cents, kind, text)
    return move(world, payment, "refund", line_ids=(*payment.line_ids, line.id))


def new_secret(world: World, intent_id: str) -> str:
    """The client secret of a payment or setup intent, in the processor's form."""
    return f"{intent_id}_secret_{world.streams.text('client_secret', 24)}"


def publishable_key(world: World) -> str:
    """The processor's public key of this cloud; no secret."""
    return access.fixed_secret(world.name, "pk_test_", "publishable")
