"""Auto-recharge: when it fires, what a decline does, and the order against the stop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.domain.cards import TEST_CARDS, Card
from simulator.resources.billing.payments import Payment
from tests.support.cloud import Cloud
from tests.support.invariants import check_world
from tests.support.money import (
    BALANCE,
    CARDS,
    DEPOSIT,
    RECHARGE,
    available,
    deposit,
    leave,
    made,
    only_card,
    set_policy,
)
from tests.support.people import refused, session_of

PROFILES = ("2026-06", "2026-07", "2026-10")
Open = Callable[..., Cloud]
HOUR = 3600


def recharges(cloud: Cloud) -> list[Payment]:
    return [payment for payment in made(cloud) if payment.recharge]


# -- the policy --------------------------------------------------------------------------------------------


def test_a_policy_that_was_never_set_is_off_with_both_amounts_0(cloud: Cloud) -> None:
    assert cloud.get(RECHARGE).body == {"enabled": False, "thresholdCents": 0, "amountCents": 0}


def test_a_stored_policy_is_shown(cloud: Cloud) -> None:
    answer = set_policy(cloud, 500, 5000)
    assert answer.body == {"enabled": True, "thresholdCents": 500, "amountCents": 5000}
    assert cloud.get(RECHARGE).body == answer.body
    assert set_policy(cloud, 0, 1000, enabled=False).body["enabled"] is False


@pytest.mark.parametrize(
    ("profile", "amount", "status"),
    [
        *((profile, amount, 400) for profile in PROFILES for amount in (999, 50_001)),
        *((profile, amount, 200) for profile in PROFILES for amount in (2500, 50_000)),
        ("2026-06", 1000, 200),
        ("2026-07", 1000, 200),
        ("2026-10", 1000, 400),
    ],
)
def test_the_amount_is_within_the_bounds_of_a_deposit(
    open_cloud: Open, profile: str, amount: int, status: int
) -> None:
    cloud = open_cloud(profile=profile)
    answer = set_policy(cloud, 500, amount)
    assert answer.status == status
    if status == 400:
        assert str(amount) in refused(answer, 400)
        assert cloud.get(RECHARGE).body["enabled"] is False


@pytest.mark.parametrize("threshold", [-1, 10_000_001])
def test_a_threshold_out_of_bounds_is_refused(cloud: Cloud, threshold: int) -> None:
    assert str(threshold) in refused(set_policy(cloud, threshold), 400)


def test_enabling_needs_a_card_and_switching_off_does_not(cloud: Cloud) -> None:
    cloud.delete(f"{CARDS}/{cloud.get(CARDS).body['defaultPaymentMethodId']}")
    refused(set_policy(cloud, 500), 400, "CARD_REQUIRED")
    assert set_policy(cloud, 500, enabled=False).status == 200


def test_only_admins_set_the_policy_and_everybody_reads_it(cloud: Cloud) -> None:
    body = {"enabled": False, "thresholdCents": 0, "amountCents": 1000}
    for role, status in (("viewer", 403), ("member", 403), ("admin", 200), ("owner", 200)):
        token = session_of(cloud, role)
        assert cloud.call("PUT", RECHARGE, body, key=token).status == status
        assert cloud.get(RECHARGE, key=token).status == 200


# -- when it fires -----------------------------------------------------------------------------------------


def test_it_fires_under_the_threshold_and_not_at_it(cloud: Cloud) -> None:
    set_policy(cloud, 5000)
    leave(cloud, 5000)
    cloud.advance(HOUR)
    assert recharges(cloud) == []
    leave(cloud, 4999)
    assert len(recharges(cloud)) == 1
    cloud.advance(2)
    assert available(cloud) == 4999 + 2500
    line = cloud.get(BALANCE).body["transactions"][0]
    assert (line["type"], line["description"]) == ("stripe_deposit", "Auto-recharge")


def test_a_policy_set_under_its_threshold_fires_on_the_next_tick_although_nothing_runs(cloud: Cloud) -> None:
    cloud.advance(1)
    set_policy(cloud, 20_000, 50_000)
    cloud.advance(58)
    assert recharges(cloud) == []
    cloud.advance(1)
    assert len(recharges(cloud)) == 1
    cloud.advance(HOUR)
    assert available(cloud) == 60_000
    assert len(recharges(cloud)) == 1


def test_usage_makes_it_fire_on_the_first_tick_under_the_threshold(cloud: Cloud) -> None:
    set_policy(cloud, 5000)
    cloud.run_vm()
    leave(cloud, 5010)
    before = cloud.world.now_ms
    while not recharges(cloud):
        assert available(cloud) >= 4999
        cloud.advance(1)
    assert available(cloud) == 4999
    assert (cloud.world.now_ms - cloud.world.clock.start_ms) % 60_000 == 0
    assert cloud.world.now_ms - before > 600_000


def test_it_fires_again_each_time_and_keeps_what_runs_alive(cloud: Cloud) -> None:
    set_policy(cloud, 500, 1000)
    vm = cloud.run_vm(gpuCount=4)
    cloud.advance(20 * 86_400)
    assert cloud.vm(vm["id"])["status"] == "running"
    used = cloud.get(BALANCE).body["accruedUsageCents"] + sum(
        -line["amountCents"]
        for line in cloud.get(BALANCE).body["transactions"]
        if line["type"] == "usage_debit"
    )
    assert available(cloud) == 10_000 + 1000 * len(recharges(cloud)) - used
    assert len(recharges(cloud)) > 50
    check_world(cloud.world)


def test_what_is_far_under_the_threshold_is_charged_one_by_one(cloud: Cloud) -> None:
    leave(cloud, 1000)
    set_policy(cloud, 10_000, 2500)
    cloud.advance(61)
    assert [payment.status for payment in recharges(cloud)] == ["succeeded"]
    cloud.do("balance.debit", id=cloud.org, cents=1)
    assert len(recharges(cloud)) == 1, "one charge in flight at the most"
    cloud.advance(60)
    assert [payment.status for payment in recharges(cloud)] == ["credited"] * 4
    assert available(cloud) == 999 + 4 * 2500


@pytest.mark.parametrize("threshold", [0, 20, 50, 51])
def test_a_threshold_under_the_floor_acts_as_the_floor_and_the_charge_comes_before_the_stop(
    cloud: Cloud, threshold: int
) -> None:
    set_policy(cloud, threshold)
    vm = cloud.run_vm()
    leave(cloud, 60)
    cloud.advance(2 * HOUR)
    assert len(recharges(cloud)) == 1
    assert cloud.vm(vm["id"])["status"] == "running"
    check_world(cloud.world)


def test_a_debit_to_the_floor_is_met_by_a_charge_in_the_same_moment(cloud: Cloud) -> None:
    set_policy(cloud, 0)
    vm = cloud.run_vm()
    leave(cloud, 50)
    assert cloud.vm(vm["id"])["status"] == "running"
    cloud.advance(2)
    assert available(cloud) == 2550


def test_a_recharge_too_small_to_lift_the_balance_over_the_floor_saves_nothing(cloud: Cloud) -> None:
    set_policy(cloud, 0, 1000)
    vm = cloud.run_vm()
    leave(cloud, -950)
    assert len(recharges(cloud)) == 1
    assert cloud.vm(vm["id"])["status"] == "stopped"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("last4", TEST_CARDS)
def test_a_recharge_with_each_card(open_cloud: Open, profile: str, last4: str) -> None:
    cloud = open_cloud(profile=profile, vms__require_ssh_key=False)
    only_card(cloud, last4)
    set_policy(cloud, 0)
    vm = cloud.run_vm()
    leave(cloud, 50)
    cloud.advance(60)
    succeeds = last4 == "4242"
    assert [payment.status for payment in recharges(cloud)] == [
        "credited" if succeeds else "requires_payment_method"
    ]
    assert available(cloud) == (2550 if succeeds else 50)
    assert cloud.vm(vm["id"])["status"] == ("running" if succeeds else "stopped")
    check_world(cloud.world)


# -- declines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last4", ["9995", "0341", "3155"])
def test_after_a_decline_it_rests_an_hour_and_after_three_in_a_row_for_good(cloud: Cloud, last4: str) -> None:
    only_card(cloud, last4)
    set_policy(cloud, 5000)
    leave(cloud, 1000)
    counts = []
    for seconds in (0, HOUR - 1, 1, HOUR - 1, 1, 30 * 86_400):
        cloud.advance(seconds)
        cloud.do("balance.credit", id=cloud.org, cents=1)
        counts.append(len(recharges(cloud)))
    assert counts == [1, 1, 2, 2, 3, 3]
    check_world(cloud.world)


def test_a_card_that_asks_for_its_holder_is_declined_when_nobody_is_there(cloud: Cloud) -> None:
    only_card(cloud, "3155")
    set_policy(cloud, 20_000)
    cloud.advance(60)
    assert recharges(cloud)[0].decline_code == "authentication_required"


def paused(cloud: Cloud) -> Cloud:
    """A cloud whose recharges were declined three times."""
    only_card(cloud, "9995")
    set_policy(cloud, 20_000)
    cloud.advance(4 * HOUR)
    assert len(recharges(cloud)) == 3
    return cloud


def test_a_new_policy_ends_the_pause(cloud: Cloud) -> None:
    set_policy(paused(cloud), 19_000)
    cloud.advance(60)
    assert len(recharges(cloud)) == 4


@pytest.mark.parametrize("profile", PROFILES)
def test_a_new_default_card_ends_the_pause(open_cloud: Open, profile: str) -> None:
    cloud = paused(open_cloud(profile=profile))
    cloud.do("card.save", id=cloud.org)
    cloud.advance(62)
    if profile != "2026-10":
        assert len(recharges(cloud)) == 3, "the old card is still the default one"
        cloud.delete(f"{CARDS}/{cloud.get(CARDS).body['defaultPaymentMethodId']}")
        cloud.do("card.save", id=cloud.org)
        cloud.advance(62)
    assert recharges(cloud)[3].status == "credited"


def test_a_new_card_ends_the_rest_and_its_timer_finds_nothing_to_do(cloud: Cloud) -> None:
    card = only_card(cloud, "9995")
    set_policy(cloud, 11_000, 1000)
    cloud.advance(60)
    cloud.delete(f"{CARDS}/{card}")
    cloud.do("card.save", id=cloud.org)
    cloud.advance(62)
    assert [payment.status for payment in recharges(cloud)] == ["requires_payment_method", "credited"]
    cloud.advance(2 * HOUR)
    assert len(recharges(cloud)) == 2


def test_the_end_of_a_rest_that_was_cut_short_does_not_end_the_next_one(cloud: Cloud) -> None:
    only_card(cloud, "9995")
    set_policy(cloud, 20_000)
    cloud.advance(60)
    set_policy(cloud, 19_000)
    cloud.advance(60)
    assert len(recharges(cloud)) == 2, "the new policy ended the first rest"
    cloud.advance(HOUR - 1)
    assert len(recharges(cloud)) == 2, "the first rest would have ended by now"
    cloud.advance(1)
    assert len(recharges(cloud)) == 3


def test_a_success_between_declines_starts_the_count_again(cloud: Cloud) -> None:
    card = only_card(cloud, "9995")
    set_policy(cloud, 9000, 5000)
    leave(cloud, 8000)
    cloud.advance(HOUR)
    assert len(recharges(cloud)) == 2, "two declines"
    cloud.world.change(cloud.world.get(Card, card), last4="4242")
    cloud.advance(HOUR + 2)
    assert (len(recharges(cloud)), available(cloud)) == (3, 13_000)
    cloud.world.change(cloud.world.get(Card, card), last4="9995")
    leave(cloud, 8000)
    cloud.advance(10 * HOUR)
    assert len(recharges(cloud)) == 6, "three more"


def test_without_a_default_card_nothing_is_charged_and_the_next_card_is(cloud: Cloud) -> None:
    set_policy(cloud, 11_000, 1000)
    cloud.delete(f"{CARDS}/{cloud.get(CARDS).body['defaultPaymentMethodId']}")
    cloud.advance(HOUR)
    assert recharges(cloud) == []
    assert cloud.get(RECHARGE).body["enabled"] is True
    cloud.do("card.save", id=cloud.org)
    cloud.advance(62)
    assert len(recharges(cloud)) == 1


def test_a_policy_switched_off_charges_nothing_more(cloud: Cloud) -> None:
    set_policy(cloud, 20_000, 1000)
    set_policy(cloud, 20_000, 1000, enabled=False)
    cloud.advance(HOUR)
    leave(cloud, 40)
    assert recharges(cloud) == []


# -- standing and limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "charges"), [("pending", 0), ("suspended", 0), ("restricted", 1)])
def test_an_account_in_bad_standing_is_not_charged_until_it_is_good_again(
    cloud: Cloud, status: str, charges: int
) -> None:
    set_policy(cloud, 11_000, 1000)
    cloud.do("account.set_status", id=cloud.org, status=status)
    cloud.advance(HOUR)
    assert len(recharges(cloud)) == charges
    cloud.do("account.set_status", id=cloud.org, status="active")
    cloud.advance(62)
    assert len(recharges(cloud)) == 1


def test_the_approved_monthly_spend_caps_a_recharge(cloud: Cloud) -> None:
    set_policy(cloud, 11_000, 5000)
    cloud.do("account.set_spend_limit", id=cloud.org, cents=3000)
    cloud.advance(60)
    assert recharges(cloud)[0].amount_cents == 3000


def test_a_monthly_spend_under_the_least_charge_stops_recharges_until_it_is_raised(cloud: Cloud) -> None:
    set_policy(cloud, 11_000, 1000)
    cloud.do("account.set_spend_limit", id=cloud.org, cents=999)
    cloud.advance(HOUR)
    assert recharges(cloud) == []
    cloud.do("account.set_spend_limit", id=cloud.org, cents=1000)
    cloud.advance(60)
    assert len(recharges(cloud)) == 1


def test_the_monthly_limit_stops_no_workloads(cloud: Cloud) -> None:
    cloud.do("account.set_spend_limit", id=cloud.org, cents=1)
    vm = cloud.run_vm()
    cloud.advance(10 * HOUR)
    assert cloud.vm(vm["id"])["status"] == "running"


def test_a_deposit_counts_before_a_recharge_is_needed(cloud: Cloud) -> None:
    leave(cloud, 1000)
    assert deposit(cloud, 5000).status == 200
    cloud.advance(2)
    set_policy(cloud, 5000)
    cloud.advance(HOUR)
    assert recharges(cloud) == []
    assert cloud.post(DEPOSIT, {"amountCents": 1000}).status == 200


def test_a_recharge_charges_twice_under_no_circumstances_in_a_fork(cloud: Cloud) -> None:
    set_policy(cloud, 11_000, 1000)
    cloud.advance(60)
    twin = cloud.world.fork("twin")
    cloud.advance(HOUR)
    assert len(recharges(cloud)) == 1
    assert [payment.status for payment in twin.rows(Payment)] == ["succeeded"]
