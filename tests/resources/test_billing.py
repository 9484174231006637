"""The prepaid balance: accrual to the cent, alerts, auto-stop, settlement of a month."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.domain.metering import UsageSession
from simulator.kernel.instant import iso, parse_iso
from tests.support.cloud import Cloud

BALANCE = "/v1/orgs/{org}/billing/balance"
USAGE = "/v1/orgs/{org}/usage/current"
Open = Callable[..., Cloud]


def available(cloud: Cloud) -> int:
    cents: int = cloud.get(BALANCE).body["availableCents"]
    return cents


def leave(cloud: Cloud, cents: int) -> None:
    """Take money until so much is available."""
    cloud.do("balance.debit", name="acme", cents=available(cloud) - cents)


def test_the_balance_stands_still_while_vms_run_and_the_available_amount_falls(cloud: Cloud) -> None:
    before = cloud.get(BALANCE).body
    vm = cloud.run_vm()
    assert cloud.get(BALANCE).body == before, "deploying is not billed"
    cloud.advance(3600)
    after = cloud.get(BALANCE).body
    assert after["balanceCents"] == before["balanceCents"]
    assert after["accruedUsageCents"] == 59
    assert after["availableCents"] == before["availableCents"] - 59
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    cloud.advance(3600)
    assert available(cloud) == after["availableCents"]


def test_a_session_is_billed_by_the_second_and_rounded_down(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    for seconds, cents in ((60, 0), (1, 0), (1, 1), (60, 1), (3477, 58), (1, 59)):
        cloud.advance(seconds)
        assert cloud.get(f"/v1/vms/{vm['id']}/burn").body["accruedSessionCents"] == cents


@pytest.mark.parametrize(("rounding", "cents"), [("floor", 59), ("nearest", 59), ("up", 60)])
def test_a_session_is_rounded_as_the_setting_says_in_every_figure_and_in_its_settlement(
    open_cloud: Open, rounding: str, cents: int
) -> None:
    """An hour and 20 seconds at 59 cents an hour are 59.3 cents."""
    cloud = open_cloud(billing__rounding=rounding)
    vm = cloud.run_vm()
    cloud.advance(3620)
    assert cloud.get(f"/v1/vms/{vm['id']}/burn").body["accruedSessionCents"] == cents
    assert cloud.get(USAGE).body["usageCents"] == cents
    assert cloud.get(BALANCE).body["accruedUsageCents"] == cents
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    cloud.simulator.advance_to(parse_iso("2026-07-01T00:05:00Z"))
    settled = cloud.get(BALANCE).body
    assert (settled["transactions"][0]["amountCents"], settled["accruedUsageCents"]) == (-cents, 0)


def test_billing_can_begin_at_deploying(open_cloud: Open) -> None:
    cloud = open_cloud(billing__open_at="deploying")
    vm = cloud.launch()
    cloud.advance(3600)
    assert cloud.get(BALANCE).body["accruedUsageCents"] == 59
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    assert len(cloud.rows(UsageSession)) == 1


def test_one_look_at_the_balance_is_pending_however_many_vms_run(cloud: Cloud) -> None:
    for name in ("one", "two", "three"):
        cloud.run_vm(name, gpuModelId="rtx-3090")
    looks = [timer for timer in cloud.world.clock.pending() if timer.name == "billing.check"]
    assert len(looks) == 1


def test_a_price_change_spares_open_sessions_and_meets_the_next(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    cloud.do("price.set", id="rtx-4090", tier="community", cents=100)
    burn = cloud.get(f"/v1/vms/{vm['id']}/burn").body
    assert (burn["pricePerHourCents"], burn["rateSource"]) == (59, "locked")
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    burn = cloud.get(f"/v1/vms/{vm['id']}/burn").body
    assert (burn["pricePerHourCents"], burn["rateSource"]) == (100, "catalog")
    cloud.post(f"/v1/vms/{vm['id']}/restart")
    cloud.simulator.advance_until_status(vm["id"], "running")
    assert cloud.get(f"/v1/vms/{vm['id']}/burn").body["pricePerHourCents"] == 100


def test_the_burn_report_adds_up(cloud: Cloud) -> None:
    vm = cloud.run_vm(gpuCount=4)
    cloud.run_vm("worker", gpuModelId=None)
    cloud.advance(3600)
    burn = cloud.get(f"/v1/vms/{vm['id']}/burn").body
    assert (burn["pricePerHourCents"], burn["perGpuCents"], burn["gpuCount"]) == (236, 59, 4)
    assert burn["rateBasis"] == "gpu"
    assert burn["diskBilled"] is False
    assert burn["orgBurnPerHourCents"] == 236 + 12
    assert burn["projectedRunwayHours"] == (burn["orgAvailableCents"] - 50) * 100 // 248 / 100
    worker = cloud.get("/v1/orgs/{org}/vms").body["items"][0]
    assert cloud.get(f"/v1/vms/{worker['id']}/burn").body["rateBasis"] == "cpu"


def test_usage_names_a_model_as_other_answers_do(open_cloud: Open) -> None:
    cloud = open_cloud(ids__gpu_models="uuid")
    vm = cloud.run_vm()
    cloud.run_vm("worker", gpuModelId=None)
    rows = cloud.get("/v1/orgs/{org}/usage/current").body["breakdown"]
    assert {row["key"] for row in rows} == {f"{vm['gpuModelId']}:community", "cpu:large"}


def test_usage_is_grouped_by_hardware_and_tier(cloud: Cloud) -> None:
    cloud.run_vm(gpuCount=4)
    cloud.advance(1800)
    usage = cloud.get(USAGE).body
    assert usage["breakdown"] == [{"key": "rtx-4090:community", "hours": 2.0, "cents": 118}]
    assert (usage["usageCents"], usage["usageHours"]) == (118, 2.0)
    assert (usage["burnPerHourCents"], usage["autoStopFloorCents"]) == (236, 50)


def test_runway_is_null_without_burn_and_zero_at_the_floor(open_cloud: Open) -> None:
    assert open_cloud().get(USAGE).body["projectedRunwayHours"] is None
    cloud = open_cloud()
    cloud.run_vm()
    leave(cloud, 51)
    assert cloud.get(USAGE).body["projectedRunwayHours"] == 0.01


@pytest.mark.parametrize(("cents", "status"), [(50, 403), (51, 200)])
def test_deploying_needs_more_than_the_minimum(cloud: Cloud, cents: int, status: int) -> None:
    leave(cloud, cents)
    answer = cloud.post("/v1/orgs/{org}/vms/create", {"name": "t", "gpuModelId": "rtx-4090"})
    assert answer.status == status
    if status == 403:
        assert answer.code == "INSUFFICIENT_BALANCE"
        assert str(cents) in answer.body["error"]


def test_at_the_floor_everything_is_stopped_on_the_tick_and_told_oldest_first(cloud: Cloud) -> None:
    first = cloud.run_vm("first")
    second = cloud.run_vm("second", gpuModelId="rtx-3090")
    leave(cloud, 80)
    start = cloud.world.now_ms
    cloud.simulator.advance_until_status(first["id"], "stopped")
    assert available(cloud) <= 50
    assert (cloud.world.now_ms - cloud.world.clock.start_ms) % 60_000 == 0, (
        "ticks count from the first moment"
    )
    seconds = (cloud.world.now_ms - start) // 1000
    assert 30 * 3600 // 77 <= seconds <= 30 * 3600 // 77 + 120
    for vm in (first, second):
        found = cloud.vm(vm["id"])
        assert (found["status"], found["statusReason"]) == ("stopped", "auto_stopped_insufficient_balance")
    stops = [event["resource"] for event in cloud.entries("event") if event["type"] == "vm.stopped"]
    assert stops == [first["id"], second["id"]]


def test_oldest_first_holds_within_one_instant_too(open_cloud: Open) -> None:
    for seed in range(6):
        cloud = open_cloud(seed=seed)
        names = [f"vm-{number}" for number in range(4)]
        made = [cloud.launch(name, gpuModelId="rtx-3090")["id"] for name in names]
        cloud.advance(90)
        leave(cloud, 50)
        stops = [event["resource"] for event in cloud.entries("event") if event["type"] == "vm.stopped"]
        assert stops == made


def test_a_debit_to_the_floor_stops_at_once(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    leave(cloud, 50)
    assert cloud.vm(vm["id"])["status"] == "stopped"


def test_nothing_restarts_by_itself_after_a_credit(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    leave(cloud, 50)
    cloud.do("balance.credit", name="acme", cents=10_000)
    cloud.advance(3600)
    assert cloud.vm(vm["id"])["status"] == "stopped"


def test_each_threshold_is_told_once_per_crossing(cloud: Cloud) -> None:
    def told() -> list[str]:
        return [e["type"] for e in cloud.entries("event") if e["type"].startswith("balance.")]

    cloud.run_vm()
    leave(cloud, 102)
    cloud.advance(3 * 3600)
    assert told() == ["balance.low", "balance.depleted"]
    cloud.do("balance.credit", name="acme", cents=1000)
    leave(cloud, 40)
    assert told() == ["balance.low", "balance.depleted"] * 2
    leave(cloud, 30)
    assert len(told()) == 4


def test_a_month_is_settled_after_its_end_in_one_debit(cloud: Cloud) -> None:
    cloud.do("balance.credit", name="acme", cents=100_000)
    vm = cloud.run_vm()
    before = cloud.get(BALANCE).body["balanceCents"]
    began = parse_iso(cloud.get(f"/v1/vms/{vm['id']}/detail").body["startedAt"])
    end = parse_iso("2026-07-01T00:00:00Z")
    june = (end - began) // 1000 * 59 // 3600
    cloud.simulator.advance_to(end + 299_999)
    open_month = cloud.get(BALANCE).body
    assert (open_month["balanceCents"], open_month["priorUnsettledComputeCents"]) == (before, june)
    cloud.advance(0.001)
    settled = cloud.get(BALANCE).body
    assert settled["balanceCents"] == before - june
    assert settled["accruedUsageCents"] == settled["currentMonthComputeCents"] == 300 * 59 // 3600
    line = settled["transactions"][0]
    assert (line["type"], line["source"], line["amountCents"]) == ("usage_debit", "usage", -june)
    assert line["createdAt"] == iso(end + 300_000)
    assert cloud.get(USAGE).body["usageCents"] == 300 * 59 // 3600


def test_a_month_without_usage_writes_no_line(cloud: Cloud) -> None:
    lines = cloud.get(BALANCE).body["transactions"]
    cloud.advance(40 * 86_400)
    assert cloud.get(BALANCE).body["transactions"] == lines


def test_the_newest_25_transactions_are_shown(cloud: Cloud) -> None:
    for cents in range(1, 31):
        cloud.do("balance.credit", name="acme", cents=cents)
        cloud.advance(1)
    lines = cloud.get(BALANCE).body["transactions"]
    assert [line["amountCents"] for line in lines] == list(range(30, 5, -1))


def test_suspension_stops_workloads_and_makes_the_account_read_only(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    cloud.do("account.set_status", name="acme", status="suspended")
    found = cloud.vm(vm["id"])
    assert (found["status"], found["statusReason"]) == ("stopped", "auto_stopped_account_suspended")
    answer = cloud.post(f"/v1/vms/{vm['id']}/terminate")
    assert (answer.status, answer.code) == (403, "ACCOUNT_RESTRICTED")
    cloud.do("account.set_status", name="acme", status="active")
    assert cloud.post(f"/v1/vms/{vm['id']}/terminate").status == 200


@pytest.mark.parametrize("cents", [0, -5, 10**12])
def test_an_absurd_amount_is_refused(cloud: Cloud, cents: int) -> None:
    with pytest.raises(Exception, match=str(cents)):
        cloud.do("balance.credit", name="acme", cents=cents)
