"""What a provider earns and is paid. A GPU of its costs 60 cents an hour, a cent a minute; it keeps 70 %."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain.capacity import Node
from simulator.kernel.instant import parse_iso
from simulator.kernel.refusal import Refusal
from tests.support.cloud import Cloud
from tests.support.earnings import EARNINGS, MODEL, add_node, books_add_up, customer, give, provider, rent
from tests.support.invariants import check_world
from tests.support.money import BALANCE
from tests.support.parties import Party, party

Open = Callable[..., Cloud]
HOUR = 3600
BANDS = ("totalHours", "freeCreditHours", "billableHours", "unpaidHours")
SETTLED = parse_iso("2026-07-01T00:05:00Z")


@pytest.fixture
def cloud(open_cloud: Open) -> Cloud:
    """Nothing is stopped for want of money, so that debt can be seen."""
    return open_cloud("empty", billing__floor_cents=-100_000, billing__min_deploy_cents=-100_000)


@pytest.fixture
def host(cloud: Cloud) -> Party:
    return provider(cloud)


def earnings(host: Party) -> dict[str, Any]:
    answer = host.get(EARNINGS)
    assert answer.status == 200, answer
    seen: dict[str, Any] = answer.body
    books_add_up(seen)
    check_world(host.cloud.world)
    return seen


def hours(seen: dict[str, Any]) -> tuple[float, ...]:
    return tuple(seen[band] for band in BANDS)


def cents(seen: dict[str, Any]) -> tuple[int, int, int]:
    return seen["grossEarningsCents"], seen["billableGrossCents"], seen["totalEarningsCents"]


def of_node(seen: dict[str, Any], hostname: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in seen["byNode"] if row["hostname"] == hostname)
    return found


# -- the bands ---------------------------------------------------------------------------------------------


def test_a_paid_hour_earns_the_share_of_its_price(cloud: Cloud, host: Party) -> None:
    rent(customer(cloud, "guest", paid=1000))
    cloud.advance(HOUR)
    seen = earnings(host)
    assert hours(seen) == (1.0, 0.0, 1.0, 0.0)
    assert cents(seen) == (60, 60, 42)
    assert seen["commissionPercent"] == 70
    assert (seen["compensationMode"], seen["earningHours"]) == ("revenue_share_legacy", 1.0)


def test_free_credit_comes_first_then_paid_balance_then_nobody_pays(cloud: Cloud, host: Party) -> None:
    rent(customer(cloud, "guest", free=30, paid=60))
    seen = []
    for _ in range(6):
        cloud.advance(HOUR / 2)
        seen.append((hours(earnings(host)), cents(earnings(host))))
    assert seen == [
        ((0.5, 0.5, 0.0, 0.0), (30, 0, 0)),
        ((1.0, 0.5, 0.5, 0.0), (60, 30, 21)),
        ((1.5, 0.5, 1.0, 0.0), (90, 60, 42)),
        ((2.0, 0.5, 1.0, 0.5), (120, 60, 42)),
        ((2.5, 0.5, 1.0, 1.0), (150, 60, 42)),
        ((3.0, 0.5, 1.0, 1.5), (180, 60, 42)),
    ]


def test_sessions_that_run_at_once_use_the_same_credit_each_at_its_rate(cloud: Cloud, host: Party) -> None:
    """60 and 180 cents an hour together use up 120 cents of credit in half an hour."""
    guest = customer(cloud, "guest", free=120, paid=1000)
    one, three = rent(guest), rent(guest, count=3)
    cloud.advance(HOUR)
    seen = earnings(host)
    assert hours(seen) == (4.0, 2.0, 2.0, 0.0)
    assert cents(seen) == (240, 120, 84)
    for vm_id in (one, three):
        guest.post(f"/v1/vms/{vm_id}/stop")
    assert earnings(host) == seen | {"activeRentals": 0}


def test_what_one_guest_has_left_funds_nobody_else(cloud: Cloud, host: Party) -> None:
    rent(customer(cloud, "rich", paid=1000))
    rent(customer(cloud, "poor", free=15))
    cloud.advance(HOUR)
    assert hours(earnings(host)) == (2.0, 0.25, 1.0, 0.75)


def test_credit_funds_what_is_used_after_it_and_not_what_was_used_before(cloud: Cloud, host: Party) -> None:
    guest = customer(cloud, "guest", paid=1000)
    rent(guest)
    cloud.advance(HOUR)
    give(guest, free=60)
    assert hours(earnings(host)) == (1.0, 0.0, 1.0, 0.0)
    cloud.advance(2 * HOUR)
    assert hours(earnings(host)) == (3.0, 1.0, 2.0, 0.0)


def test_a_deposit_pays_debt_back_to_the_cloud_and_not_to_the_provider(cloud: Cloud, host: Party) -> None:
    guest = customer(cloud, "guest")
    rent(guest)
    cloud.advance(HOUR)
    give(guest, paid=120)
    cloud.advance(2 * HOUR)
    assert hours(earnings(host)) == (3.0, 0.0, 1.0, 2.0)
    assert cents(earnings(host)) == (180, 60, 42)


def test_free_credit_that_comes_in_debt_pays_the_debt_first(cloud: Cloud, host: Party) -> None:
    guest = customer(cloud, "guest")
    rent(guest)
    cloud.advance(HOUR)
    give(guest, free=90)
    cloud.advance(HOUR)
    assert hours(earnings(host)) == (2.0, 0.5, 0.0, 1.5)


def test_what_is_read_in_between_changes_nothing(open_cloud: Open) -> None:
    seen = []
    for looks in (1, 40):
        cloud = open_cloud("empty", billing__floor_cents=-100_000, billing__min_deploy_cents=-100_000)
        host = provider(cloud)
        guest = customer(cloud, "guest", free=100, paid=100)
        vm_id = rent(guest, count=2)
        rent(guest)
        for _ in range(looks):
            cloud.advance(2 * HOUR / looks)
            version = cloud.world.version
            earnings(host)
            assert cloud.world.version - version <= 1, "when the key was used"
        guest.post(f"/v1/vms/{vm_id}/stop")
        give(guest, paid=300)
        cloud.advance(HOUR)
        seen.append(earnings(host))
    assert seen[0] == seen[1]
    assert hours(seen[0]) == (7.0, 1.66, 2.66, 2.66)


def test_earnings_are_rounded_down_per_session(cloud: Cloud, host: Party) -> None:
    """Two sessions of one cent come to no cent each, one of two cents to one."""
    guest = customer(cloud, "guest", paid=1000)
    for seconds, earned in ((60, 0), (60, 0), (120, 1)):
        vm_id = rent(guest)
        cloud.advance(seconds)
        guest.post(f"/v1/vms/{vm_id}/terminate")
        assert cents(earnings(host))[2] == earned


@pytest.mark.parametrize(("percent", "earned"), [(0, 0), (33, 19), (100, 60)])
def test_the_share_is_a_setting(open_cloud: Open, percent: int, earned: int) -> None:
    cloud = open_cloud("empty", provider__commission_percent=percent)
    host = provider(cloud)
    rent(customer(cloud, "guest", paid=1000))
    cloud.advance(HOUR)
    assert cents(earnings(host)) == (60, 60, earned)


def test_a_handed_over_vm_is_funded_by_whoever_has_it(cloud: Cloud, host: Party) -> None:
    before, after = customer(cloud, "before", paid=1000), customer(cloud, "after", free=1000)
    vm_id = rent(before)
    cloud.advance(HOUR)
    after.accept(before.offered(vm_id, after), after.ssh_key())
    cloud.advance(HOUR)
    assert hours(earnings(host)) == (2.0, 1.0, 1.0, 0.0)


# -- whose hours count -------------------------------------------------------------------------------------


def test_its_own_vms_and_tenants_outside_earn_nothing(cloud: Cloud, host: Party) -> None:
    give(host, paid=1000)
    rent(host)
    cloud.do("capacity.seize", name="rack-gpu", gpus=2)
    cloud.advance(HOUR)
    seen = earnings(host)
    assert (hours(seen), cents(seen), seen["activeRentals"]) == ((0.0,) * 4, (0, 0, 0), 0)


def test_hours_on_the_nodes_of_others_are_not_its_own(cloud: Cloud, host: Party) -> None:
    guest = customer(cloud, "guest", paid=1000)
    rent(guest, model="rtx-4090")
    cloud.advance(HOUR)
    assert hours(earnings(host)) == (0.0,) * 4


def test_replicas_are_hosted_like_vms(cloud: Cloud, host: Party) -> None:
    add_node(cloud, "pods", gpu_model=MODEL, cluster_gpus=2)
    guest = customer(cloud, "guest", paid=1000)
    body = {"name": "chat", "replicaCount": 2, "gpuModelId": MODEL}
    cluster = guest.post("/v1/orgs/{org}/clusters/create", body).body
    cloud.simulator.advance_until_status(cluster["id"], "running")
    before = earnings(host)["totalHours"]
    cloud.advance(HOUR)
    assert earnings(host)["totalHours"] == before + 2.0
    assert of_node(earnings(host), "pods")["rentedGpuHoursMonth"] == before + 2.0


# -- the report --------------------------------------------------------------------------------------------


def test_hours_and_cents_are_told_per_node_model_and_stream(cloud: Cloud, host: Party) -> None:
    add_node(cloud, "rack-cpu", vcpu=4, ram_gb=16)
    guest = customer(cloud, "guest", paid=1000)
    rent(guest, count=2)
    rent(guest, model=None, resourceSize="medium")  # 6 cents an hour; the tightest node has it
    cloud.advance(HOUR)
    seen = earnings(host)
    paid = {"billableHours": 2.0, "billableGrossCents": 120, "grossEarningsCents": 120, "earningHours": 2.0}
    row = of_node(seen, "rack-gpu")
    utilization = 2 * 100_00 * 3600 // (4 * ((14 * 24 + 10) * 3600)) / 100
    assert row == {
        "nodeId": row["nodeId"],
        "hostname": "rack-gpu",
        "earningsCents": 84,
        "hours": 2.0,
        **paid,
        "gpuCount": 4,
        "rentedGpuHoursMonth": 2.0,
        "utilizationPercent": utilization,
    }
    cpu = of_node(seen, "rack-cpu")
    assert (cpu["earningsCents"], cpu["hours"], cpu["gpuCount"]) == (4, 1.0, 0)
    assert (cpu["rentedGpuHoursMonth"], cpu["utilizationPercent"]) == (0.0, None)
    model = next(row for row in seen["byGpuModel"] if row["gpuModelId"] == MODEL)
    assert model == {"gpuModelId": MODEL, "name": "RTX PRO 6000", "earningsCents": 84, "hours": 2.0, **paid}
    assert [(row["stream"], row["earningsCents"], row["hours"]) for row in seen["byStream"]] == [
        ("gpu", 84, 2.0),
        ("cpu", 4, 1.0),
    ]


def test_utilization_is_of_this_month_and_null_at_its_start(cloud: Cloud, host: Party) -> None:
    rent(customer(cloud, "guest", paid=100_000), count=4)
    cloud.simulator.advance_to(parse_iso("2026-07-01T00:00:00Z"))
    row = of_node(earnings(host), "rack-gpu")
    assert (row["rentedGpuHoursMonth"], row["utilizationPercent"]) == (0.0, None)
    assert row["hours"] > 1000
    cloud.advance(HOUR)
    row = of_node(earnings(host), "rack-gpu")
    assert (row["rentedGpuHoursMonth"], row["utilizationPercent"]) == (4.0, 100.0)


def test_days_are_zero_filled_and_add_up(cloud: Cloud, host: Party) -> None:
    """From 9:00 on the 15th; the credit of a day and a half lasts until 21:00 on the 16th."""
    rent(customer(cloud, "guest", free=36 * 60, paid=12 * 60))
    cloud.advance(3 * 24 * HOUR)
    days = earnings(host)["daily"]
    assert [day["date"][-2:] for day in days] == ["12", "13", "14", "15", "16", "17", "18"]
    names = ("hostedHours", "freeHours", "billableHours", "unpaidHours", "earningsCents")
    assert [tuple(day[name] for name in names) for day in days[2:]] == [
        (0.0, 0.0, 0.0, 0.0, 0),
        (15.0, 15.0, 0.0, 0.0, 0),
        (24.0, 21.0, 3.0, 0.0, 126),
        (24.0, 0.0, 9.0, 15.0, 378),
        (9.0, 0.0, 0.0, 9.0, 0),
    ]
    assert sum(day["billableGrossCents"] for day in days) == earnings(host)["billableGrossCents"] == 720


def test_a_removed_node_keeps_what_it_earned_and_goes_when_it_earned_nothing(
    cloud: Cloud, host: Party
) -> None:
    add_node(cloud, "idle", vcpu=4, ram_gb=16)
    rent(customer(cloud, "guest", paid=1000))
    cloud.advance(HOUR)
    for hostname in ("rack-gpu", "idle"):
        cloud.do("node.set_status", name=hostname, status="removed")
    seen = earnings(host)
    assert of_node(seen, "rack-gpu")["earningsCents"] == seen["totalEarningsCents"] == 42
    assert "idle" not in [row["hostname"] for row in seen["byNode"]]


def test_an_organization_that_is_no_provider_has_no_earnings(cloud: Cloud) -> None:
    answer = party(cloud, "acme").get(EARNINGS)
    assert (answer.status, answer.code) == (403, "forbidden")


# -- settlement and payouts --------------------------------------------------------------------------------


def test_a_month_is_pending_until_it_is_settled_and_its_figures_stay(cloud: Cloud, host: Party) -> None:
    rent(customer(cloud, "guest", free=100, paid=50_000))
    cloud.simulator.advance_to(SETTLED - 1)
    before = earnings(host)
    june = (SETTLED // 1000 - 300 - parse_iso("2026-06-15T09:00:00Z") // 1000) // 60 - 100
    assert before["billableGrossCents"] == june + 4, "and of July four minutes"
    assert before["currentMonthEarningsCents"] == 4 * 70 // 100
    assert (before["pendingEarningsCents"], before["availableForPayoutCents"]) == (june * 70 // 100 + 2, 0)
    cloud.advance(0.001)
    after = earnings(host)
    assert after["availableForPayoutCents"] == june * 70 // 100
    assert after["pendingEarningsCents"] == after["currentMonthEarningsCents"] == 5 * 70 // 100
    assert after["freeCreditHours"] == before["freeCreditHours"] == 1.66


def settled_host(cloud: Cloud) -> Party:
    """15 days and 15 hours of one GPU: 22,500 cents, of which 15,750 are the provider's."""
    host = provider(cloud)
    guest = customer(cloud, "guest", paid=50_000)
    vm_id = rent(guest)
    cloud.simulator.advance_to(parse_iso("2026-07-01T00:00:00Z"))
    guest.post(f"/v1/vms/{vm_id}/terminate")
    cloud.simulator.advance_to(SETTLED)
    assert earnings(host)["availableForPayoutCents"] == 15_750
    return host


def test_a_payout_leaves_the_rest_and_is_listed_newest_first(cloud: Cloud) -> None:
    host = settled_host(cloud)
    told = cloud.do("provider.payout", name="globex", amount_cents=5000)
    assert told == {
        "organization": host.org,
        "payout": told["payout"],
        "amountCents": 5000,
        "leftCents": 10_750,
    }
    cloud.advance(60)
    assert cloud.do("provider.payout", name="globex", description="July")["amountCents"] == 10_750
    seen = earnings(host)
    assert (seen["totalPaidOutCents"], seen["availableForPayoutCents"]) == (15_750, 0)
    assert [(row["amountCents"], row["description"], row["createdAt"]) for row in seen["recentPayouts"]] == [
        (10_750, "July", "2026-07-01T00:06:00.000Z"),
        (5000, "Provider payout", "2026-07-01T00:05:00.000Z"),
    ]
    assert {row["type"] for row in seen["recentPayouts"]} == {"provider_payout"}


def test_the_newest_25_payouts_are_shown(open_cloud: Open) -> None:
    cloud = open_cloud("empty", provider__payout_min_cents=1)
    host = settled_host(cloud)
    for number in range(1, 28):
        cloud.do("provider.payout", id=host.org, amount_cents=number)
    amounts = [row["amountCents"] for row in earnings(host)["recentPayouts"]]
    assert amounts == list(range(27, 2, -1))


def test_a_payout_is_no_line_of_the_ledger(cloud: Cloud) -> None:
    host = settled_host(cloud)
    before = host.get(BALANCE).body
    cloud.do("provider.payout", name="globex")
    assert host.get(BALANCE).body == before
    check_world(cloud.world)


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (4999, "payout of 4999 cents is under the minimum of 5000: 15750 cents are available"),
        (0, "under the minimum of 5000"),
        (-1, "under the minimum of 5000"),
        (15_751, "payout of 15751 cents is more than there is: 15750 cents are available and 0 pending"),
    ],
)
def test_a_payout_that_does_not_fit_is_refused(cloud: Cloud, amount: int, said: str) -> None:
    settled_host(cloud)
    version = cloud.world.version
    with pytest.raises(Refusal, match=said) as refused:
        cloud.do("provider.payout", name="globex", amount_cents=amount)
    assert (refused.value.code, cloud.world.version) == ("conflict", version)


def test_nothing_is_paid_out_while_all_is_pending(cloud: Cloud, host: Party) -> None:
    rent(customer(cloud, "guest", paid=50_000))
    cloud.advance(200 * HOUR)
    with pytest.raises(Refusal, match=r"payout of 0 cents is under the minimum .* and 8400 pending"):
        cloud.do("provider.payout", name="globex")


def test_only_a_provider_is_paid(cloud: Cloud) -> None:
    with pytest.raises(Refusal, match="acme is no provider"):
        cloud.do("provider.payout", name="acme", amount_cents=5000)


def test_usage_before_the_world_began_was_funded_as_at_its_beginning(open_cloud: Open) -> None:
    cloud = open_cloud("default")
    host, guest = provider(cloud), party(cloud, "acme")
    node = next(row for row in cloud.rows(Node) if row.hostname == "rack-gpu")
    assert node.organization_id == host.org
    rent(guest)
    cloud.advance(HOUR)
    assert of_node(earnings(host), "rack-gpu")["billableHours"] == 1.0
