"""What the outside world does to money and cards: OpenRelay, banks, cardholders, and the fixture."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from simulator.domain import cards, metering
from simulator.domain.access import DELETED, Organization, organization_of_slug
from simulator.domain.cards import Card
from simulator.domain.metering import Account
from simulator.kernel.instant import month_of
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.target import Target, pick
from simulator.kernel.world import World
from simulator.resources.billing import payments, recharge
from simulator.resources.billing.balance import check_balance, stop_workloads
from simulator.resources.billing.payments import PAYMENT, Payment, PromoCode, SetupIntent, area

ACCOUNT_STATES = ("active", "pending", "restricted", "suspended", "banned")
Last4 = Literal["4242", "0002", "9995", "0069", "3155", "0341"]
Cents = Annotated[int, msgspec.Meta(ge=0, le=payments.MOST_SPEND_CENTS)]


# -- the balance -------------------------------------------------------------------------------------------


class Amount(Target, kw_only=True):
    """Which organization, and how much."""

    cents: int
    description: str = ""


class Standing(Target, kw_only=True):
    """Which organization, and its new account status."""

    status: str


class SpendLimit(Target, kw_only=True):
    """Which organization, and what it may spend in a month; null: what is usual."""

    cents: Cents | None


@area.action("balance.credit", Amount)
def credit(world: World, what: Amount) -> dict[str, Any]:
    """Somebody at OpenRelay grants credit to an organization."""
    return _book(world, what, 1, ("credit_grant", "admin"))


@area.action("balance.debit", Amount)
def debit(world: World, what: Amount) -> dict[str, Any]:
    """Money leaves the balance of an organization."""
    return _book(world, what, -1, ("refund", "stripe"))


def _book(world: World, what: Amount, sign: int, kind: tuple[str, str]) -> dict[str, Any]:
    organization = pick(world, Organization, what, "slug", "name")
    if not 1 <= what.cents <= 10**11:
        raise Refusal("bad_request", f"cents {what.cents} is out of bounds; take 1 to {10**11}")
    text = what.description or kind[0].replace("_", " ").capitalize()
    line = metering.post(world, organization.id, sign * what.cents, kind, text)
    check_balance(world, organization.id)
    return {"organization": organization.id, "transaction": line.id, "amountCents": line.amount_cents}


@area.action("account.set_status", Standing)
def set_status(world: World, what: Standing) -> dict[str, Any]:
    """OpenRelay changes the standing of an account; suspension stops its workloads."""
    organization = _pick(world, what)
    if what.status not in ACCOUNT_STATES:
        raise Refusal(
            "bad_request", f"status {what.status!r} is unknown; known are {', '.join(ACCOUNT_STATES)}"
        )
    world.change(organization, account_status=what.status)
    if what.status in ("suspended", "banned"):
        stop_workloads(world, organization.id, "auto_stopped_account_suspended")
    recharge.arm(world, organization.id)
    return {"organization": organization.id, "status": what.status}


@area.action("org.delete", Target)
def delete_organization(world: World, what: Target) -> dict[str, Any]:
    """An organization is deleted: its workloads stop, and nobody can act in it any more."""
    organization = _pick(world, what)
    world.change(organization, account_status=DELETED)
    stop_workloads(world, organization.id, "auto_stopped_organization_deleted")
    recharge.arm(world, organization.id)
    return {"organization": organization.id}


def _pick(world: World, what: Target) -> Organization:
    """An organization that is there."""
    organization = pick(world, Organization, what, "slug", "name")
    if organization.account_status == DELETED:
        raise Refusal("conflict", f"{organization.slug} has been deleted")
    return organization


@area.action("account.set_spend_limit", SpendLimit)
def set_spend_limit(world: World, what: SpendLimit) -> dict[str, Any]:
    """OpenRelay approves another monthly spend, which caps each deposit and each recharge."""
    organization = pick(world, Organization, what, "slug", "name")
    world.change(world.get(Account, organization.id), monthly_spend_limit_cents=what.cents)
    recharge.arm(world, organization.id)
    return {"organization": organization.id, "monthlySpendLimitCents": what.cents}


# -- cards -------------------------------------------------------------------------------------------------


class NewCard(Target, kw_only=True):
    """A card, and whose it becomes: an organization's, or that of a setup intent."""

    last4: Last4 = "4242"
    exp_month: Annotated[int, msgspec.Meta(ge=1, le=12)] = 12
    exp_year: Annotated[int, msgspec.Meta(ge=2000, le=9998)] = 2034
    setup_intent: str = ""
    """The clientSecret of the setup intent that this finishes; then no organization is named."""


@area.action("card.save", NewCard)
def save(world: World, what: NewCard) -> dict[str, Any]:
    """A card is saved, through a setup intent or without; with billing.check_cards its bank may refuse."""
    intent = _intent(world, what) if what.setup_intent else None
    owner = intent.organization_id if intent else pick(world, Organization, _plain(what), "slug").id
    card = new_card(world, owner, last4=what.last4, exp_month=what.exp_month, exp_year=what.exp_year)
    outcome = cards.outcome_of(world, card)
    if world.settings.flag("billing.check_cards") and not outcome.passes_check:
        refused = {"code": "CARD_NOT_VERIFIED", "declineCode": outcome.decline_code}
        return {"organization": owner, "saved": False, **refused}
    world.put(card)
    if intent:
        world.change(intent, card_id=card.id)
    default = _maybe_default(world, card)
    return {"organization": owner, "saved": True, "card": card.id, "last4": card.last4, "default": default}


def _plain(what: Target) -> Target:
    return Target(id=what.id, name=what.name, select=what.select)


def _intent(world: World, what: NewCard) -> SetupIntent:
    """The setup intent that a card finishes, which is finished once only."""
    if _plain(what) != Target():
        raise Refusal("bad_request", "a setup intent names the organization; leave out id, name and select")
    intent = world.first(SetupIntent, "secret", what.setup_intent)
    if intent is None:
        raise Refusal("not_found", f"no setup intent has the clientSecret {what.setup_intent[:80]!r}")
    if intent.card_id:
        raise Refusal("conflict", f"setup intent {intent.id} has already saved card {intent.card_id}")
    return intent


def new_card(world: World, organization_id: str, **fields: Any) -> Card:
    card_id = f"pm_{world.streams.text('card', 24)}"
    return Card(id=card_id, created_at_ms=world.now_ms, organization_id=organization_id, **fields)


def _maybe_default(world: World, card: Card) -> bool:
    """The first card becomes the default one [choice]; later every settled card does [2026-10 sdk]."""
    account = world.get(Account, card.organization_id)
    if account.default_card_id and world.settings.word("billing.default_card") == "first":
        return False
    world.change(account, default_card_id=card.id)
    recharge.renew(world, card.organization_id)
    return True


class CardTarget(Target):
    """A card; its name is its last four digits."""


@area.action("card.expire", CardTarget)
def expire(world: World, what: CardTarget) -> dict[str, Any]:
    """The last month of a card is over: from now on it is declined as expired."""
    card = pick(world, Card, what, "last4")
    year, month = (int(part) for part in month_of(world.now_ms).split("-"))
    year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    card = world.change(card, exp_year=year, exp_month=month)
    return {"card": card.id, "last4": card.last4, "expMonth": card.exp_month, "expYear": card.exp_year}


# -- payments ----------------------------------------------------------------------------------------------


class PaymentTarget(Target):
    """A payment; its name is its idempotency key. A selector chooses among those that this can happen to."""


class DeclinedPayment(PaymentTarget, kw_only=True):
    """Which payment, and why."""

    decline_code: str = "generic_decline"


@area.action("payment.confirm", PaymentTarget)
def confirm(world: World, what: PaymentTarget) -> dict[str, Any]:
    """The cardholder confirms a payment that requires action; the credit follows."""
    return _told(payments.move(world, _payment(world, what, "confirm"), "confirm"))


@area.action("payment.decline", DeclinedPayment)
def decline(world: World, what: DeclinedPayment) -> dict[str, Any]:
    """The bank declines a payment that requires action."""
    known = [*payments.DECLINE_CODES, *payments.SENSITIVE_CODES]
    if what.decline_code not in known:
        raise Refusal(
            "bad_request", f"no decline_code {what.decline_code!r}{nearest(what.decline_code, known)}"
        )
    payment = _payment(world, what, "decline")
    return _told(payments.move(world, payment, "decline", decline_code=what.decline_code))


@area.action("payment.refund", PaymentTarget)
def refund(world: World, what: PaymentTarget) -> dict[str, Any]:
    """What a card was charged is paid back to it, as far as it has not been used."""
    payment = payments.repay(world, _payment(world, what, "refund"))
    check_balance(world, payment.organization_id)
    return _told(payment)


def _payment(world: World, what: PaymentTarget, trigger: str) -> Payment:
    """The payment that a target names; a selector leaves out those without such a step."""
    if what.select is None or what.id is not None or what.name is not None:
        return pick(world, Payment, _plain(what), "key")
    fitting = [row for row in world.rows(Payment) if PAYMENT.find(row.status, trigger)]
    if not fitting:
        raise Refusal("not_found", f"there is no payment to {trigger}")
    return fitting[0] if what.select == "first" else fitting[world.streams.below("select", len(fitting))]


def _told(payment: Payment) -> dict[str, Any]:
    return {"payment": payment.id, "organization": payment.organization_id, "status": payment.status}


# -- promo codes -------------------------------------------------------------------------------------------


class PromoSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A promo code: `percent` or `cents` off a first deposit."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    percent: Annotated[int, msgspec.Meta(ge=1, le=99)] | None = None
    cents: Annotated[int, msgspec.Meta(ge=1, le=payments.MOST_SPEND_CENTS)] | None = None
    max_uses: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """By all organizations together; absent: without end."""


@area.action("promo.create", PromoSpec)
def create_promo(world: World, what: PromoSpec) -> dict[str, Any]:
    """OpenRelay gives out a promo code for first deposits."""
    if (what.percent is None) == (what.cents is None):
        raise Refusal("bad_request", f"promo code {what.code!r} takes off either percent or cents")
    if world.find(PromoCode, what.code):
        raise Refusal("conflict", f"promo code {what.code!r} exists")
    off = {"percent": what.percent or 0, "cents": what.cents or 0}
    promo = world.put(PromoCode(id=what.code, created_at_ms=world.now_ms, max_uses=what.max_uses, **off))
    return {"code": promo.id, "percent": what.percent, "cents": what.cents, "maxUses": promo.max_uses}


# -- fixture -----------------------------------------------------------------------------------------------


class AccountSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The money an organization begins with, as one deposit, and its saved cards."""

    organization: str
    balance_cents: int
    monthly_spend_limit_cents: Cents | None = None
    cards: list[Last4] = []
    """Saved cards by their last four digits; the first one is the default."""


@area.seed("accounts", list[AccountSpec])
def seed_accounts(world: World, specs: list[AccountSpec]) -> None:
    for spec in specs:
        organization = organization_of_slug(world, spec.organization)
        account = world.get(Account, organization.id)
        saved = [_seed_card(world, organization.id, last4) for last4 in spec.cards]
        world.change(
            account,
            monthly_spend_limit_cents=spec.monthly_spend_limit_cents,
            default_card_id=saved[0] if saved else "",
        )
        if spec.balance_cents:
            metering.post(
                world, organization.id, spec.balance_cents, ("stripe_deposit", "stripe"), "Card deposit"
            )
        _settle_alert(world, organization.id)


def _seed_card(world: World, organization_id: str, last4: str) -> str:
    """A card that was saved before the world began, whatever its bank says of it now."""
    return world.put(new_card(world, organization_id, last4=last4, exp_month=12, exp_year=2034)).id


def _settle_alert(world: World, organization_id: str) -> None:
    """A world that begins at the floor has been told so before."""
    account = world.get(Account, organization_id)
    low, floor = world.settings.whole("billing.low_cents"), world.settings.whole("billing.floor_cents")
    level = "depleted" if account.balance_cents <= floor else "low" if account.balance_cents <= low else ""
    world.change(account, alert=level)


@area.seed("promo_codes", list[PromoSpec])
def seed_promo_codes(world: World, specs: list[PromoSpec]) -> None:
    for spec in specs:
        create_promo(world, spec)
