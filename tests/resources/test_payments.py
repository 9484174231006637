"""Deposits, saved cards, setup intents and promo codes: every card, every refusal, every profile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain import metering
from simulator.domain.cards import TEST_CARDS, Card
from simulator.kernel.refusal import Refusal
from simulator.resources.billing.payments import PAYMENT, STATES, Payment, SetupIntent
from tests.support.cloud import Cloud
from tests.support.invariants import check_world
from tests.support.money import BALANCE, CARDS, DEPOSIT, RECHARGE, SETUP, available, deposit, made, only_card
from tests.support.people import mint, refused, session_of

PROFILES = ("2026-06", "2026-07", "2026-10")
Open = Callable[..., Cloud]

OUTCOMES = {
    "4242": ("succeeded", None),
    "0002": ("requires_payment_method", "generic_decline"),
    "9995": ("requires_payment_method", "insufficient_funds"),
    "0069": ("requires_payment_method", "expired_card"),
    "3155": ("requires_action", None),
    "0341": ("requires_payment_method", "generic_decline"),
}


def beginner(cloud: Cloud, last4: str = "4242", name: str = "Beginners") -> Cloud:
    """The cloud as an organization sees it that has a card and has never paid."""
    made = cloud.do("org.create", name=name, owner="ada@acme.example")
    cloud.org, cloud.key = made["organization"], made["key"]
    cloud.do("card.save", id=cloud.org, last4=last4)
    return cloud


# -- deposits ----------------------------------------------------------------------------------------------


def test_every_card_has_an_outcome_here() -> None:
    assert set(OUTCOMES) == set(TEST_CARDS)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("last4", OUTCOMES)
def test_a_deposit_with_each_card(open_cloud: Open, profile: str, last4: str) -> None:
    cloud = open_cloud(profile=profile)
    only_card(cloud, last4)
    before = available(cloud)
    answer = deposit(cloud)
    status, decline_code = OUTCOMES[last4]
    assert answer.status == 200
    assert answer.body["status"] == status
    assert answer.body.get("declineCode") == decline_code
    assert ("clientSecret" in answer.body) == (status == "requires_action")
    assert available(cloud) == before, "nothing is credited at once"
    cloud.advance(3600)
    assert available(cloud) == before + (2500 if status == "succeeded" else 0)
    check_world(cloud.world)


def test_the_credit_comes_after_its_delay_as_one_line_of_the_ledger(cloud: Cloud) -> None:
    before = cloud.get(BALANCE).body
    deposit(cloud, 4000)
    cloud.advance(1.999)
    assert cloud.get(BALANCE).body == before
    cloud.advance(0.001)
    after = cloud.get(BALANCE).body
    assert after["balanceCents"] == before["balanceCents"] + 4000
    line = after["transactions"][0]
    shown = [line[member] for member in ("type", "source", "amountCents", "description")]
    assert shown == ["stripe_deposit", "stripe", 4000, "Card deposit"]
    assert len(after["transactions"]) == len(before["transactions"]) + 1


def test_the_delay_can_be_set_and_a_credit_can_stay_away(open_cloud: Open) -> None:
    at_once = open_cloud(billing__credit_delay_s=0)
    deposit(at_once)
    at_once.advance(0)
    assert available(at_once) == 12_500
    never = open_cloud(billing__credit_delay_s="never")
    deposit(never)
    never.advance(86_400)
    assert available(never) == 10_000


def test_waiting_until_idle_brings_the_credit(cloud: Cloud) -> None:
    deposit(cloud)
    cloud.simulator.advance_until("idle")
    assert available(cloud) == 12_500


@pytest.mark.parametrize(
    ("profile", "cents", "status"),
    [
        *((profile, cents, 400) for profile in PROFILES for cents in (0, 999, 50_001, -1000, 10**9)),
        *((profile, cents, 200) for profile in PROFILES for cents in (2500, 50_000)),
        *((profile, cents, 200) for profile in PROFILES[:2] for cents in (1000, 2499)),
        *(("2026-10", cents, 400) for cents in (1000, 2499)),
    ],
)
def test_a_deposit_is_within_the_bounds_of_its_profile(
    open_cloud: Open, profile: str, cents: int, status: int
) -> None:
    cloud = open_cloud(profile=profile)
    answer = deposit(cloud, cents)
    if status == 400:
        assert str(cents) in refused(answer, 400)
        assert made(cloud) == []
    assert answer.status == status


@pytest.mark.parametrize("profile", PROFILES)
def test_the_approved_monthly_spend_caps_a_deposit(open_cloud: Open, profile: str) -> None:
    cloud = open_cloud(profile=profile)
    cloud.do("account.set_spend_limit", id=cloud.org, cents=3000)
    assert "to 3000" in refused(deposit(cloud, 3001), 400)
    assert deposit(cloud, 3000).status == 200
    cloud.do("account.set_spend_limit", id=cloud.org, cents=80_000)
    larger = deposit(cloud, 60_000)
    assert larger.status == (200 if profile == "2026-10" else 400), "the limit alone is the later bound"
    assert cloud.get(BALANCE).body["monthlySpendLimitCents"] == 80_000
    cloud.do("account.set_spend_limit", id=cloud.org, cents=None)
    assert deposit(cloud, 60_000).status == 400


@pytest.mark.parametrize("profile", PROFILES)
def test_a_deposit_pays_for_an_hour_of_what_runs_in_the_later_profile(open_cloud: Open, profile: str) -> None:
    cloud = open_cloud(profile=profile, vms__require_ssh_key=False)
    cloud.do("balance.credit", id=cloud.org, cents=100_000)
    cloud.do("price.set", id="rtx-4090", tier="community", cents=3000)
    assert cloud.get(BALANCE).body["minDepositCents"] == (2500 if profile == "2026-10" else 1000)
    cloud.run_vm()
    answer = deposit(cloud, 2999)
    if profile == "2026-10":
        assert "3000" in refused(answer, 400, "INSUFFICIENT_RUNWAY")
        assert cloud.get(BALANCE).body["minDepositCents"] == 3000
        assert deposit(cloud, 3000).status == 200
    else:
        assert answer.status == 200


def test_an_hour_that_costs_more_than_may_be_charged_asks_for_the_largest_deposit(open_cloud: Open) -> None:
    cloud = open_cloud(billing__require_runway=True)
    cloud.do("balance.credit", id=cloud.org, cents=1_000_000)
    cloud.do("price.set", id="rtx-4090", tier="community", cents=70_000)
    cloud.run_vm()
    refused(deposit(cloud, 49_999), 400, "INSUFFICIENT_RUNWAY")
    assert deposit(cloud, 50_000).status == 200


def test_without_a_card_there_is_no_deposit(cloud: Cloud) -> None:
    only = cloud.get(CARDS).body["defaultPaymentMethodId"]
    cloud.delete(f"{CARDS}/{only}")
    refused(deposit(cloud), 400, "CARD_REQUIRED")


def test_another_card_is_not_charged_once_the_default_is_gone(cloud: Cloud) -> None:
    default = cloud.get(CARDS).body["defaultPaymentMethodId"]
    cloud.do("card.save", id=cloud.org)
    cloud.delete(f"{CARDS}/{default}")
    assert len(cloud.get(CARDS).body["paymentMethods"]) == 1
    refused(deposit(cloud), 400, "CARD_REQUIRED")


def test_a_pending_account_adds_no_funds_and_a_restricted_one_does(cloud: Cloud) -> None:
    cloud.do("account.set_status", id=cloud.org, status="pending")
    refused(deposit(cloud), 403, "ACCOUNT_PENDING_VERIFICATION")
    refused(deposit(cloud, 1), 400)
    cloud.do("account.set_status", id=cloud.org, status="restricted")
    assert deposit(cloud).status == 200


@pytest.mark.parametrize("profile", PROFILES)
def test_without_payments_every_write_answers_503_after_its_other_checks(
    open_cloud: Open, profile: str
) -> None:
    cloud = open_cloud(profile=profile, billing__payments=False)
    card = cloud.get(CARDS).body["defaultPaymentMethodId"]
    code = "unavailable" if profile == "2026-06" else "UNAVAILABLE"
    version = cloud.world.version
    policy = {"enabled": True, "thresholdCents": 100, "amountCents": 2500}
    for answer in (
        deposit(cloud),
        cloud.post(SETUP),
        cloud.delete(f"{CARDS}/{card}"),
        cloud.call("PUT", RECHARGE, policy),
    ):
        assert "billing.payments" in refused(answer, 503, code)
    refused(cloud.call("PUT", RECHARGE, {**policy, "thresholdCents": 10**9}), 400)
    assert cloud.world.version - version <= 1, "only when the key was last used"
    assert cloud.get(RECHARGE).status == cloud.get(CARDS).status == 200


def test_members_and_keys_without_the_scope_pay_nothing(cloud: Cloud) -> None:
    for role, status in (("viewer", 403), ("member", 403), ("admin", 200), ("owner", 200)):
        assert cloud.post(DEPOSIT, {"amountCents": 1000}, key=session_of(cloud, role)).status == status
    for scopes, status in ((("vms:write", "billing:read"), 403), (("billing:write",), 200)):
        key = mint(cloud, *scopes)["key"]
        assert cloud.post(DEPOSIT, {"amountCents": 1000}, key=key).status == status


# -- idempotency -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last4", OUTCOMES)
def test_the_same_key_answers_the_same_payment_and_charges_once(cloud: Cloud, last4: str) -> None:
    only_card(cloud, last4)
    first = deposit(cloud, idempotencyKey="k")
    cloud.advance(60)
    again = deposit(cloud, idempotencyKey="k")
    assert (again.status, again.body) == (first.status, first.body)
    assert len(made(cloud)) == 1
    check_world(cloud.world)


def test_without_a_key_a_retry_charges_again(cloud: Cloud) -> None:
    assert deposit(cloud).body["paymentIntentId"] != deposit(cloud).body["paymentIntentId"]
    deposit(cloud, idempotencyKey="")
    deposit(cloud, idempotencyKey="")
    cloud.advance(2)
    assert available(cloud) == 20_000


def test_a_key_stands_for_one_amount_and_one_promo_code(cloud: Cloud) -> None:
    deposit(cloud, 2500, idempotencyKey="k")
    message = refused(deposit(cloud, 2600, idempotencyKey="k"), 400)
    assert "2500" in message
    assert "2600" in message
    refused(deposit(cloud, 2500, idempotencyKey="k", promoCode="WELCOME"), 400)
    assert len(made(cloud)) == 1


def test_a_declined_key_stays_declined_after_the_card_has_changed(cloud: Cloud) -> None:
    card = only_card(cloud, "9995")
    declined = deposit(cloud, idempotencyKey="k").body
    cloud.delete(f"{CARDS}/{card}")
    cloud.do("card.save", id=cloud.org, last4="4242")
    assert deposit(cloud, idempotencyKey="k").body == declined
    assert deposit(cloud, idempotencyKey="other").body["status"] == "succeeded"


def test_a_known_key_is_answered_although_no_new_charge_could_be_made(cloud: Cloud) -> None:
    first = deposit(cloud, 30_000, idempotencyKey="k").body
    cloud.delete(f"{CARDS}/{cloud.get(CARDS).body['defaultPaymentMethodId']}")
    cloud.do("account.set_spend_limit", id=cloud.org, cents=0)
    assert deposit(cloud, 30_000, idempotencyKey="k").body == first


def test_the_keys_of_two_organizations_do_not_meet(cloud: Cloud) -> None:
    first = deposit(cloud, idempotencyKey="k").body
    globex = cloud.do("session.create", user="hedy@globex.example")["token"]
    cloud.do("card.save", name="globex")
    cloud.org = cloud.get("/v1/whoami", key=globex).body["organizationId"]
    other = cloud.post(DEPOSIT, {"amountCents": 3000, "idempotencyKey": "k"}, key=globex)
    assert other.status == 200
    assert other.body["paymentIntentId"] != first["paymentIntentId"]


def test_a_key_of_more_than_255_characters_is_refused(cloud: Cloud) -> None:
    assert deposit(cloud, idempotencyKey="k" * 255).status == 200
    assert "256" in refused(deposit(cloud, idempotencyKey="k" * 256), 400)


# -- what the outside world does to a payment --------------------------------------------------------------


def test_a_confirmed_payment_is_credited_and_its_key_answers_succeeded(cloud: Cloud) -> None:
    only_card(cloud, "3155")
    waiting = deposit(cloud, idempotencyKey="k").body
    cloud.do("payment.confirm", name="k")
    again = deposit(cloud, idempotencyKey="k").body
    assert again == {"paymentIntentId": waiting["paymentIntentId"], "status": "succeeded"}
    assert available(cloud) == 10_000
    cloud.advance(2)
    assert available(cloud) == 12_500
    check_world(cloud.world)


@pytest.mark.parametrize(
    ("why", "shown"),
    [
        ("card_velocity_exceeded", "card_velocity_exceeded"),
        ("incorrect_cvc", "incorrect_cvc"),
        ("stolen_card", "generic_decline"),
        ("fraudulent", "generic_decline"),
    ],
)
def test_a_declined_payment_says_why_unless_that_is_sensitive(cloud: Cloud, why: str, shown: str) -> None:
    only_card(cloud, "3155")
    deposit(cloud, idempotencyKey="k")
    cloud.do("payment.decline", select="first", decline_code=why)
    again = deposit(cloud, idempotencyKey="k").body
    assert (again["status"], again["declineCode"]) == ("requires_payment_method", shown)
    assert "clientSecret" not in again


def test_an_unknown_decline_code_is_refused_with_the_nearest(cloud: Cloud) -> None:
    only_card(cloud, "3155")
    deposit(cloud)
    with pytest.raises(Refusal, match="insufficient_funds"):
        cloud.do("payment.decline", select="first", decline_code="insuficient_funds")


def test_a_refund_takes_back_what_was_charged_and_no_more_than_is_left(cloud: Cloud) -> None:
    deposit(cloud, 2500, idempotencyKey="k")
    cloud.advance(2)
    cloud.do("payment.refund", name="k")
    line = cloud.get(BALANCE).body["transactions"][0]
    assert (line["type"], line["source"], line["amountCents"]) == ("refund", "stripe", -2500)
    assert available(cloud) == 10_000
    deposit(cloud, 5000, idempotencyKey="spent")
    cloud.advance(2)
    cloud.do("balance.debit", id=cloud.org, cents=10_001)
    with pytest.raises(Refusal, match="4999 are left"):
        cloud.do("payment.refund", name="spent")


def bring_to(cloud: Cloud, status: str) -> Payment:
    """A payment in this status, under the key `k`."""
    last4 = {"requires_action": "3155", "requires_payment_method": "9995"}.get(status, "4242")
    only_card(cloud, last4)
    deposit(cloud, idempotencyKey="k")
    if status in ("credited", "refunded"):
        cloud.advance(2)
    if status == "refunded":
        cloud.do("payment.refund", name="k")
    payment = made(cloud)[0]
    assert payment.status == status
    return payment


@pytest.mark.parametrize(("state", "verb"), [(state, verb) for state, verb, _ in PAYMENT.pairs()])
def test_an_action_on_a_payment_in_each_status(cloud: Cloud, state: str, verb: str) -> None:
    payment, version = bring_to(cloud, state), cloud.world.version
    step = PAYMENT.find(state, verb)
    if step is None:
        with pytest.raises(Refusal, match=state) as refusal:
            cloud.do(f"payment.{verb}", id=payment.id)
        assert refusal.value.code == "conflict"
        assert cloud.world.version == version
    else:
        cloud.do(f"payment.{verb}", id=payment.id)
        assert cloud.world.get(Payment, payment.id).status == step.target
    cloud.advance(60)
    check_world(cloud.world)


def test_the_table_of_payments_is_this_one() -> None:
    legal = {(state, verb) for state, verb, step in PAYMENT.pairs() if step}
    assert legal == {
        ("requires_action", "confirm"),
        ("requires_action", "decline"),
        ("credited", "refund"),
    }
    assert len(list(PAYMENT.pairs())) == 3 * len(STATES)


def test_a_selector_finds_no_payment_where_none_fits(cloud: Cloud) -> None:
    deposit(cloud)
    with pytest.raises(Refusal, match="no payment to confirm"):
        cloud.do("payment.confirm", select="random")


# -- promo codes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_a_promo_code_lowers_the_first_charge_and_the_difference_is_free_credit(
    open_cloud: Open, profile: str
) -> None:
    cloud = beginner(open_cloud(profile=profile))
    assert deposit(cloud, 5000, promoCode="WELCOME").body["status"] == "succeeded"
    cloud.advance(2)
    lines = [(row.type, row.source, row.amount_cents) for row in ledger(cloud)]
    assert lines == [("stripe_deposit", "stripe", 4000), ("promo_credit", "promo", 1000)]
    assert metering.funds(cloud.world, cloud.org) == (1000, 4000, 0)
    check_world(cloud.world)


def ledger(cloud: Cloud) -> list[metering.Transaction]:
    return cloud.world.select(metering.Transaction, "organization", cloud.org)


def test_a_promo_code_is_for_the_first_deposit_only(cloud: Cloud) -> None:
    beginner(cloud)
    deposit(cloud, 1000)
    assert "first deposit" in refused(deposit(cloud, 1000, promoCode="WELCOME"), 400), "on its way"
    cloud.advance(2)
    refused(deposit(cloud, 1000, promoCode="WELCOME"), 400)
    assert len(made(cloud)) == 1


def test_an_unknown_promo_code_is_refused_before_any_charge(cloud: Cloud) -> None:
    beginner(cloud)
    assert "'NOPE'" in refused(deposit(cloud, 1000, promoCode="NOPE"), 400)
    assert made(cloud) == []


def test_a_declined_deposit_leaves_its_promo_code_unused(cloud: Cloud) -> None:
    beginner(cloud, "3155")
    cloud.do("promo.create", code="ONCE", cents=500, max_uses=1)
    deposit(cloud, 2000, promoCode="ONCE")
    cloud.do("payment.decline", select="first")
    assert deposit(cloud, 2000, promoCode="ONCE").body["status"] == "requires_action"
    cloud.do("payment.confirm", select="first")
    cloud.advance(2)
    assert metering.funds(cloud.world, cloud.org) == (500, 1500, 0)


def test_a_promo_code_is_used_no_more_often_than_it_may(cloud: Cloud) -> None:
    cloud.do("promo.create", code="ONCE", percent=50, max_uses=1)
    deposit(beginner(cloud), 1000, promoCode="ONCE")
    beginner(cloud, name="Others")
    assert "used 1 times" in refused(deposit(cloud, 1000, promoCode="ONCE"), 400)


def test_a_promo_code_that_leaves_nothing_to_charge_is_refused(cloud: Cloud) -> None:
    beginner(cloud)
    cloud.do("promo.create", code="ALL", cents=951)
    assert "951" in refused(deposit(cloud, 1000, promoCode="ALL"), 400)
    assert deposit(cloud, 1001, promoCode="ALL").status == 200


@pytest.mark.parametrize(
    "spec",
    [
        {"code": "BOTH", "percent": 5, "cents": 5},
        {"code": "NEITHER"},
        {"code": "WELCOME", "percent": 5},
        {"code": "MUCH", "percent": 100},
        {"code": "", "percent": 5},
    ],
)
def test_a_promo_code_that_cannot_be_meant_is_refused(cloud: Cloud, spec: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        cloud.do("promo.create", **spec)


def test_a_refund_leaves_the_free_credit(cloud: Cloud) -> None:
    beginner(cloud)
    deposit(cloud, 5000, promoCode="WELCOME")
    cloud.advance(2)
    cloud.do("payment.refund", select="first")
    assert metering.funds(cloud.world, cloud.org) == (1000, 0, 0)


# -- the waterfall -----------------------------------------------------------------------------------------


def test_usage_takes_free_credit_first_then_paid_balance_then_it_is_debt(open_cloud: Open) -> None:
    cloud = open_cloud(billing__floor_cents=-10_000, billing__min_deploy_cents=-10_000)
    cloud.do("balance.credit", id=cloud.org, cents=100)
    cloud.do("balance.debit", id=cloud.org, cents=9950)
    assert metering.funds(cloud.world, cloud.org) == (100, 50, 0)
    cloud.run_vm()
    seen = []
    for _ in range(3):
        cloud.advance(3600)
        seen.append(metering.funds(cloud.world, cloud.org))
    assert seen == [(41, 50, 0), (0, 32, 0), (0, 0, 27)]
    check_world(cloud.world)


# -- cards -------------------------------------------------------------------------------------------------


def test_a_setup_intent_is_finished_once_and_saves_a_card(cloud: Cloud) -> None:
    intent = cloud.post(SETUP).body
    assert set(intent) == {"clientSecret", "publishableKey", "bankCheck"}
    assert cloud.post(SETUP).body["publishableKey"] == intent["publishableKey"]
    cloud.advance(1)
    saved = cloud.do("card.save", setup_intent=intent["clientSecret"], last4="3155")
    newest = cloud.get(CARDS).body["paymentMethods"][0]
    assert newest == {"id": saved["card"], "brand": "visa", "last4": "3155", "expMonth": 12, "expYear": 2034}
    assert saved["organization"] == cloud.org
    with pytest.raises(Refusal, match="already saved"):
        cloud.do("card.save", setup_intent=intent["clientSecret"])
    with pytest.raises(Refusal, match="no setup intent"):
        cloud.do("card.save", setup_intent="seti_none_secret_none")
    with pytest.raises(Refusal, match="leave out"):
        cloud.do("card.save", setup_intent=cloud.post(SETUP).body["clientSecret"], name="acme")


@pytest.mark.parametrize("profile", PROFILES)
def test_which_saved_card_is_the_default(open_cloud: Open, profile: str) -> None:
    cloud = open_cloud(profile=profile)
    first = cloud.get(CARDS).body["defaultPaymentMethodId"]
    cloud.advance(1)
    second = cloud.do("card.save", id=cloud.org, last4="0341")
    listed = cloud.get(CARDS).body
    assert second["default"] == (profile == "2026-10")
    assert listed["defaultPaymentMethodId"] == (second["card"] if profile == "2026-10" else first)
    assert [card["id"] for card in listed["paymentMethods"]] == [second["card"], first], "newest first"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("last4", TEST_CARDS)
def test_a_bank_vouches_for_a_card_before_it_is_saved_in_the_later_profile(
    open_cloud: Open, profile: str, last4: str
) -> None:
    cloud = open_cloud(profile=profile)
    intent = cloud.post(SETUP).body
    assert intent["bankCheck"] == (profile == "2026-10")
    saved = cloud.do("card.save", setup_intent=intent["clientSecret"], last4=last4)
    if profile == "2026-10" and last4 in ("0002", "9995", "0069"):
        assert (saved["saved"], saved["code"]) == (False, "CARD_NOT_VERIFIED")
        assert saved["declineCode"] == OUTCOMES[last4][1]
        assert cloud.rows(SetupIntent)[0].card_id == "", "another card can be tried"
    else:
        assert saved["saved"]
    assert len(cloud.get(CARDS).body["paymentMethods"]) == 1 + saved["saved"]


def test_an_expired_card_is_declined(cloud: Cloud) -> None:
    cloud.do("card.expire", name="4242")
    assert deposit(cloud).body["declineCode"] == "expired_card"
    listed = cloud.get(CARDS).body["paymentMethods"][0]
    assert (listed["expMonth"], listed["expYear"]) == (5, 2026)


def test_a_card_is_good_until_the_end_of_its_last_month(cloud: Cloud) -> None:
    only = cloud.get(CARDS).body["defaultPaymentMethodId"]
    cloud.delete(f"{CARDS}/{only}")
    cloud.do("card.save", id=cloud.org, exp_month=6, exp_year=2026)
    cloud.advance(15 * 86_400)
    assert deposit(cloud).body["status"] == "succeeded"
    cloud.advance(86_400)
    assert deposit(cloud).body["declineCode"] == "expired_card"


@pytest.mark.parametrize("profile", PROFILES)
def test_deleting_an_unknown_or_foreign_card(open_cloud: Open, profile: str) -> None:
    cloud = open_cloud(profile=profile)
    foreign = cloud.do("card.save", name="globex")["card"]
    own = cloud.get(CARDS).body["defaultPaymentMethodId"]
    assert cloud.delete(f"{CARDS}/{own}").status == 204
    for card in (foreign, own, "pm_none"):
        answer = cloud.delete(f"{CARDS}/{card}")
        if profile == "2026-10":
            assert card in refused(answer, 404)
        else:
            assert answer.status == 204
    assert cloud.world.find(Card, foreign)
    assert cloud.get(CARDS).body == {"paymentMethods": []}


def test_a_card_other_than_the_default_goes_alone(cloud: Cloud) -> None:
    default = cloud.get(CARDS).body["defaultPaymentMethodId"]
    other = cloud.do("card.save", id=cloud.org)["card"]
    assert cloud.delete(f"{CARDS}/{other}").status == 204
    assert cloud.get(CARDS).body["defaultPaymentMethodId"] == default


def test_the_next_card_after_the_default_is_gone_becomes_it(cloud: Cloud) -> None:
    cloud.delete(f"{CARDS}/{cloud.get(CARDS).body['defaultPaymentMethodId']}")
    saved = cloud.do("card.save", id=cloud.org)
    assert saved["default"]
    assert deposit(cloud).body["status"] == "succeeded"


@pytest.mark.parametrize("arguments", [{"last4": "1234"}, {"exp_month": 13}, {"exp_year": 1999}, {}])
def test_a_card_that_cannot_be_meant_is_refused(cloud: Cloud, arguments: dict[str, Any]) -> None:
    target = {"id": cloud.org} if arguments else {}
    with pytest.raises(Refusal):
        cloud.do("card.save", **target, **arguments)
