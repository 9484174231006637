"""What holds of money in every world at every moment, and a client that pays."""

from __future__ import annotations

from typing import Any

from simulator.domain import funding, metering
from simulator.domain.cards import Card
from simulator.domain.funding import Bands
from simulator.domain.metering import GRANTS, USAGE, Account, Transaction, UsageSession
from simulator.kernel.world import World
from simulator.resources.billing import recharge
from simulator.resources.billing.payments import Payment, PromoCode
from simulator.resources.billing.recharge import RechargePolicy
from tests.support.cloud import Answer, Cloud

BALANCE = "/v1/orgs/{org}/billing/balance"
DEPOSIT = "/v1/orgs/{org}/billing/deposit"
CARDS = "/v1/orgs/{org}/billing/payment-methods"
SETUP = "/v1/orgs/{org}/billing/setup-intent"
RECHARGE = "/v1/orgs/{org}/billing/auto-recharge"


def funds_follow_the_waterfall(world: World) -> None:
    """The ledger falls into grants, paid money and usage; what is available is free, then paid, then debt."""
    for account in world.rows(Account):
        lines = world.select(Transaction, "organization", account.id)
        granted = sum(line.amount_cents for line in lines if line.type in GRANTS)
        used = -sum(line.amount_cents for line in lines if line.type in USAGE)
        assert (account.granted_cents, account.paid_cents) == (
            granted,
            account.balance_cents - granted + used,
        ), account
        free, paid, debt = metering.funds(world, account.id)
        available = metering.available_cents(world, account.id)
        assert free + paid - debt == available, account
        assert not (paid and debt), account
        sessions = [row for row in world.rows(UsageSession) if row.organization_id == account.id]
        bands = [cents_are_funded_once(world, session) for session in sessions]
        begun_otherwise = len(bands)  # so many cents at the most became full by free credit, and only that
        assert free + sum(cents.free for cents in bands) <= granted + begun_otherwise, account


def cents_are_funded_once(world: World, session: UsageSession) -> Bands:
    """All the time and every cent of a session are in one band."""
    cut = metering.funded(world, session)
    assert sum(funding.time_by_band(cut)) == session.span_ms(world.now_ms), session
    cents = funding.cents_by_band(cut, session.rate_cents, session.cents(world))
    assert sum(cents) == session.cents(world), session
    assert min(cents) >= 0, session
    return cents


def payments_are_booked_once(world: World) -> None:
    """Each payment's lines say what was charged and granted; no key has two; a code is not used too often."""
    booked: list[str] = []
    keys: list[tuple[str, str]] = []
    for payment in world.rows(Payment):
        lines = [world.get(Transaction, line_id) for line_id in payment.line_ids]
        kinds = [(line.type, line.amount_cents) for line in lines]
        expected = [("stripe_deposit", payment.amount_cents)]
        expected += [("promo_credit", payment.granted_cents)] if payment.granted_cents else []
        expected += [("refund", -payment.amount_cents)] if payment.status == "refunded" else []
        assert kinds == (expected if payment.status in ("credited", "refunded") else []), payment
        assert all(line.organization_id == payment.organization_id for line in lines), payment
        assert (payment.status == "requires_payment_method") == bool(payment.decline_code), payment
        booked += payment.line_ids
        keys += [(payment.organization_id, payment.key)] if payment.key else []
    assert len(booked) == len(set(booked))
    assert len(keys) == len(set(keys))
    for promo in world.rows(PromoCode):
        uses = len(world.bucket(Payment, "promo", promo.id))
        assert promo.max_uses is None or uses <= promo.max_uses, promo


def recharges_are_in_order(world: World) -> None:
    """The watch knows when to charge and is near; one charge is in flight, with its credit on the way."""
    credits = {timer.args[1] for timer in world.clock.pending() if timer.name == "billing.credit"}
    assert credits == {payment.id for payment in world.rows(Payment) if payment.status == "succeeded"}
    tick_ms = world.settings.whole("billing.tick_s") * 1000
    for account in world.rows(Account):
        level = account.recharge_at_cents
        assert level == recharge.level_cents(world, account.id), account
        if level is not None and metering.available_cents(world, account.id) <= level:
            assert account.check_at_ms is not None, account
            assert account.check_at_ms - world.now_ms <= tick_ms, account
        in_flight = [
            row.id
            for row in world.select(Payment, "under_way", account.id)
            if row.recharge and row.status == "succeeded"
        ]
        policy = world.find(RechargePolicy, account.id)
        assert in_flight == ([policy.payment_id] if policy and policy.payment_id else []), account
        if account.default_card_id:
            assert world.get(Card, account.default_card_id).organization_id == account.id, account


def available(cloud: Cloud) -> int:
    cents: int = cloud.get(BALANCE).body["availableCents"]
    return cents


def leave(cloud: Cloud, cents: int) -> None:
    """Take or give money until so much is available."""
    spare = available(cloud) - cents
    if spare:
        action = "balance.debit" if spare > 0 else "balance.credit"
        cloud.do(action, id=cloud.org, cents=abs(spare))


def deposit(cloud: Cloud, cents: int = 2500, **body: Any) -> Answer:
    return cloud.post(DEPOSIT, {"amountCents": cents, **body})


def only_card(cloud: Cloud, last4: str) -> str:
    """The organization's only card, as it would be had it been saved before its bank turned against it."""
    for card in cloud.rows(Card):
        if card.organization_id == cloud.org:
            cloud.delete(f"{CARDS}/{card.id}")
    saved = cloud.do("card.save", id=cloud.org)
    card = cloud.world.get(Card, saved["card"])
    cloud.world.change(card, last4=last4)
    return card.id


def set_policy(cloud: Cloud, threshold: int, amount: int = 2500, *, enabled: bool = True) -> Answer:
    body = {"enabled": enabled, "thresholdCents": threshold, "amountCents": amount}
    return cloud.call("PUT", RECHARGE, body)


def made(cloud: Cloud) -> list[Payment]:
    """The organization's payments, oldest first."""
    return cloud.world.select(Payment, "organization", cloud.org)
