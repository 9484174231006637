"""Random deposits, confirmations, recharges and usage: no cent comes from nowhere, and none is paid twice."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simulator.domain import metering
from simulator.domain.cards import TEST_CARDS, Card
from simulator.domain.metering import Account, UsageSession
from simulator.resources.billing.payments import Payment
from tests.support.cloud import Answer, Cloud
from tests.support.effort import walks
from tests.support.invariants import check_world
from tests.support.money import CARDS, DEPOSIT, set_policy

AMOUNTS = (999, 1000, 2499, 2500, 7777, 50_000, 50_001)
KEYS = (None, "a", "b", "c")
PROMOS = (None, "WELCOME", "ONCE", "UNKNOWN")


class PayingClient(RuleBasedStateMachine):
    """An organization that has never paid, its cards and its bank."""

    @initialize(
        profile=st.sampled_from(("2026-06", "2026-10")),
        delay=st.sampled_from((0, 2, 90)),
        last4=st.sampled_from(("4242", "3155", "0341")),
    )
    def open(self, profile: str, delay: int, last4: str) -> None:
        self.cloud = Cloud(profile=profile, billing__credit_delay_s=delay, vms__require_ssh_key=False)
        made = self.cloud.do("org.create", name="Payer", owner="ada@acme.example")
        self.cloud.org, self.cloud.key = made["organization"], made["key"]
        self.cloud.do("promo.create", code="ONCE", cents=500, max_uses=1)
        self.cloud.do("card.save", id=self.cloud.org, last4=last4)
        self.moved = 0
        """What the actions wrote into the ledger, beside all payments."""
        self.charged: dict[str, tuple[str, int, str | None]] = {}
        """By idempotency key: the payment, its amount and its promo code."""

    @rule(amount=st.sampled_from(AMOUNTS), key=st.sampled_from(KEYS), promo=st.sampled_from(PROMOS))
    def pay(self, amount: int, key: str | None, promo: str | None) -> None:
        body = {"amountCents": amount, "idempotencyKey": key, "promoCode": promo}
        before = len(list(self.cloud.world.rows(Payment)))
        answer = self.cloud.post(DEPOSIT, {name: value for name, value in body.items() if value is not None})
        assert answer.status in (200, 400, 403), answer
        charges = len(list(self.cloud.world.rows(Payment))) - before
        if key is not None and key in self.charged:
            assert charges == 0
            self.repeat(answer, self.charged[key], (amount, promo))
        elif answer.status == 200:
            assert charges == 1
            if key is not None:
                self.charged[key] = (answer.body["paymentIntentId"], amount, promo)
        else:
            assert charges == 0

    def repeat(
        self, answer: Answer, first: tuple[str, int, str | None], again: tuple[int, str | None]
    ) -> None:
        """The same deposit gets the same payment, another one 400; unless a 403 comes first."""
        if answer.status != 403:
            assert answer.status == (200 if again == first[1:] else 400), answer
        if answer.status == 200:
            assert answer.body["paymentIntentId"] == first[0]

    @rule(last4=st.sampled_from(tuple(TEST_CARDS)))
    def save_a_card(self, last4: str) -> None:
        self.cloud.attempt("card.save", id=self.cloud.org, last4=last4)

    @rule(which=st.integers(0, 9), expire=st.booleans())
    def lose_a_card(self, which: int, expire: bool) -> None:
        cards = self.cloud.world.select(Card, "organization", self.cloud.org)
        if not cards:
            return
        card = cards[which % len(cards)].id
        if expire:
            self.cloud.attempt("card.expire", id=card)
        else:
            assert self.cloud.delete(f"{CARDS}/{card}").status == 204

    @rule(what=st.sampled_from(("confirm", "decline", "refund")), select=st.sampled_from(("first", "random")))
    def hear_from_the_bank(self, what: str, select: str) -> None:
        self.cloud.attempt(f"payment.{what}", select=select)

    @rule(
        threshold=st.sampled_from((0, 60, 3000, 20_000)),
        amount=st.sampled_from((1000, 2500, 9000)),
        enabled=st.sampled_from((True, True, False)),
    )
    def change_the_policy(self, threshold: int, amount: int, enabled: bool) -> None:
        assert set_policy(self.cloud, threshold, amount, enabled=enabled).status in (200, 400)

    @rule(cents=st.integers(-3000, 3000))
    def move_money(self, cents: int) -> None:
        if cents:
            action = "balance.credit" if cents > 0 else "balance.debit"
            self.moved += self.cloud.attempt(action, id=self.cloud.org, cents=abs(cents))["amountCents"]

    @rule(cents=st.sampled_from((0, 1500, 50_000, 100_000, None)))
    def approve_another_spend(self, cents: int | None) -> None:
        self.cloud.attempt("account.set_spend_limit", id=self.cloud.org, cents=cents)

    @rule(status=st.sampled_from(("active", "active", "pending", "restricted")))
    def change_the_standing(self, status: str) -> None:
        self.cloud.attempt("account.set_status", id=self.cloud.org, status=status)

    @rule(count=st.sampled_from((1, 4)), model=st.sampled_from(("rtx-4090", "rtx-3090")))
    def launch(self, count: int, model: str) -> None:
        body = {"name": "any", "gpuModelId": model, "gpuCount": count}
        self.cloud.post("/v1/orgs/{org}/vms/create", body)
        self.cloud.advance(120)

    @rule(seconds=st.sampled_from((0, 1, 2, 59, 60, 3600, 86_400, 10 * 86_400)))
    def wait(self, seconds: int) -> None:
        self.cloud.advance(seconds)

    @invariant()
    def everything_holds(self) -> None:
        if not hasattr(self, "cloud"):
            return
        check_world(self.cloud.world)
        assert self.cloud.bugs() == []

    @invariant()
    def cents_are_conserved(self) -> None:
        """The balance is what came in and was granted, less what was paid back, and used and settled."""
        if not hasattr(self, "cloud"):
            return
        world, owner = self.cloud.world, self.cloud.org
        payments = world.select(Payment, "organization", owner)
        came_in = sum(payment.credit_cents for payment in payments if payment.status == "credited")
        kept = sum(payment.granted_cents for payment in payments if payment.status == "refunded")
        sessions = [row for row in world.rows(UsageSession) if row.organization_id == owner]
        settled = sum(row.cents(world) for row in sessions) - metering.accrued_cents(world, owner)
        assert world.get(Account, owner).balance_cents == self.moved + came_in + kept - settled

    @invariant()
    def a_key_has_one_payment(self) -> None:
        if not hasattr(self, "cloud"):
            return
        payments = self.cloud.world.select(Payment, "organization", self.cloud.org)
        keyed = {payment.key: payment for payment in payments if payment.key}
        assert set(keyed) == set(self.charged)
        for key, (payment_id, amount, _) in self.charged.items():
            assert (keyed[key].id, keyed[key].credit_cents) == (payment_id, amount)


TestMoney = PayingClient.TestCase
TestMoney.settings = walks(50, 40)
