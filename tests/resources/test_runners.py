"""Runner pools: connecting them, their RAM and their jobs, what they save, and how they are paid."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.kernel.instant import DAY_MS
from simulator.kernel.refusal import Refusal
from simulator.kernel.settings import Settings, UnknownSetting
from simulator.resources.runners.lifecycle import RunnerJob
from tests.support.cloud import Cloud
from tests.support.invariants import check_world
from tests.support.people import refused
from tests.support.runners import (
    INSTALLATION,
    PERSONAL,
    POOLS,
    bring_pool_to,
    forget_cards,
    grant_of,
    item,
    jobs_of,
    pool_of,
    queue,
)

Open = Callable[..., Cloud]
PROFILES = ("2026-06", "2026-07", "2026-10")


# -- making a pool


@pytest.mark.parametrize("profile", PROFILES)
def test_name_and_ram_are_required_in_june_and_filled_in_later(open_cloud: Open, profile: str) -> None:
    cloud = open_cloud(profile=profile)
    if profile == "2026-06":
        assert "name" in refused(cloud.post(POOLS, {"installationId": 1, "poolRamGb": 32}), 400)
        assert "poolRamGb" in refused(cloud.post(POOLS, {"installationId": 1, "name": "ci"}), 400)
    else:
        pool = pool_of(cloud, name=None, poolRamGb=None)
        assert (pool["name"], pool["poolRamGb"], pool["diskSizeGb"]) == ("acme-robotics", 64, 100)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_grant_is_needed_where_oauth_is_on(open_cloud: Open, profile: str) -> None:
    cloud = open_cloud(profile=profile)
    body = {"name": "ci", "installationId": INSTALLATION, "poolRamGb": 32}
    answer = cloud.post(POOLS, body)
    if profile != "2026-10":
        assert answer.status == 200
        return
    assert "''" in refused(answer, 400, "GRANT_REQUIRED")
    of_another = grant_of(cloud, 4002)
    refused(cloud.post(POOLS, {**body, "grant": of_another}), 400, "GRANT_REQUIRED")
    too_old = grant_of(cloud)
    cloud.advance(2 * 3600)
    refused(cloud.post(POOLS, {**body, "grant": too_old}), 400, "GRANT_REQUIRED")
    assert cloud.post(POOLS, {**body, "grant": grant_of(cloud)}).status == 200


@pytest.mark.parametrize("profile", PROFILES)
def test_a_card_is_needed_later(open_cloud: Open, profile: str) -> None:
    cloud = open_cloud(profile=profile)
    forget_cards(cloud)
    body = {"name": "ci", "installationId": INSTALLATION, "poolRamGb": 32, "grant": grant_of(cloud)}
    answer = cloud.post(POOLS, body)
    if profile == "2026-10":
        refused(answer, 400, "CARD_REQUIRED")
        cloud.do("card.save", name="acme", last4="4242")
        answer = cloud.post(POOLS, body)
    assert answer.status == 200


@pytest.mark.parametrize("profile", PROFILES)
def test_the_state_of_the_connect_address_is_checked_where_oauth_is_on(
    open_cloud: Open, profile: str
) -> None:
    cloud = open_cloud(profile=profile)
    shown = cloud.get(f"{POOLS}/connect-url").body
    assert shown["oauth"] is (profile == "2026-10")
    assert (shown["url"] == shown["installUrl"]) is (profile != "2026-10")
    wrong = cloud.post(f"{POOLS}/installations", {"code": "c", "state": "mine"})
    if profile != "2026-10":
        assert wrong.status == 200
        return
    assert "'mine'" in refused(wrong, 400, "OAUTH_STATE_INVALID")
    state = shown["url"].rpartition("=")[2]
    cloud.advance(10 * 60)
    assert cloud.post(f"{POOLS}/installations", {"code": "c", "state": state}).status == 200
    cloud.advance(10 * 60)
    refused(cloud.post(f"{POOLS}/installations", {"code": "c", "state": state}), 400, "OAUTH_STATE_INVALID")


def test_a_look_at_the_connect_address_changes_nothing(cloud: Cloud) -> None:
    first = cloud.get(f"{POOLS}/connect-url")
    version = cloud.world.version
    assert cloud.get(f"{POOLS}/connect-url").body == first.body
    assert cloud.world.version == version


def test_installations_say_whether_they_are_connected(cloud: Cloud) -> None:
    pool_of(cloud)
    listed = cloud.post(f"{POOLS}/installations", {"code": "c"}).body["installations"]
    assert {row["installationId"]: row["alreadyConnected"] for row in listed} == {
        4001: True,
        4002: False,
        4003: False,
    }
    assert "code" in refused(cloud.post(f"{POOLS}/installations", {"code": " "}), 400)


def test_a_personal_account_is_refused(cloud: Cloud) -> None:
    body = {"name": "ci", "installationId": PERSONAL, "poolRamGb": 32}
    assert "ada-at-home" in refused(cloud.post(POOLS, body), 400, "USER_ACCOUNT_UNSUPPORTED")
    body = {"name": "ci", "installationId": 99, "poolRamGb": 32, "githubOwnerType": "User"}
    refused(cloud.post(POOLS, body), 400, "USER_ACCOUNT_UNSUPPORTED")


def test_the_owner_of_an_unknown_installation_is_who_the_request_says(cloud: Cloud) -> None:
    pool = pool_of(cloud, installationId=77, githubOwner="elsewhere", grant=None)
    assert (pool["githubOwner"], pool["githubOwnerType"]) == ("elsewhere", "Organization")
    assert pool_of(cloud, installationId=78, grant=None)["githubOwner"] == "github-78"


@pytest.mark.parametrize("status", ["active", "suspended", "draining", "deleted"])
def test_the_same_installation_again_returns_its_pool_while_active_or_suspended(
    cloud: Cloud, status: str
) -> None:
    pool = bring_pool_to(cloud, status)
    again = pool_of(cloud, name="another", poolRamGb=256)
    assert (again["id"] == pool["id"]) is (status in ("active", "suspended"))
    if again["id"] == pool["id"]:
        assert (again["name"], again["poolRamGb"]) == ("ci", 32)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("poolRamGb", 0),
        ("poolRamGb", 48),
        ("poolRamGb", -32),
        ("poolRamGb", 2**62),
        ("diskSizeGb", 9),
        ("diskSizeGb", 2001),
        ("installationId", 0),
        ("installationId", -1),
        ("name", ""),
        ("name", "x" * 64),
    ],
)
def test_a_pool_that_makes_no_sense_is_refused(cloud: Cloud, field: str, value: object) -> None:
    body = {"name": "ci", "installationId": 1, "poolRamGb": 32, field: value}
    version = cloud.world.version
    assert str(value)[:40] in refused(cloud.post(POOLS, body), 400)
    assert cloud.world.version == version


def test_sizes_and_prices_are_a_setting(open_cloud: Open) -> None:
    cloud = open_cloud(runners__tiers="16=1000 512=99900")
    assert "16, 512" in refused(cloud.post(POOLS, {"name": "a", "installationId": 1, "poolRamGb": 32}), 400)
    pool = pool_of(cloud, poolRamGb=512)
    cost = cloud.get(f"{POOLS}/{pool['id']}/metrics").body["cost"]
    assert cost == {"githubCostCents": 0, "vectorlayCostCents": 99900, "savedCents": 0}


@pytest.mark.parametrize("tiers", ["", "32", "32=", "32=1,64=2", "a=b", "32=1 "])
def test_sizes_that_cannot_be_read_are_refused_when_they_are_set(tiers: str) -> None:
    with pytest.raises(UnknownSetting, match="a text such as '32=4900"):
        Settings({"runners.tiers": tiers})


def test_deleted_pools_leave_the_list_and_can_still_be_read(cloud: Cloud) -> None:
    kept = pool_of(cloud, installationId=1, grant=None)
    gone = bring_pool_to(cloud, "deleted")
    assert [row["id"] for row in cloud.get(POOLS).body] == [kept["id"]]
    shown = item(cloud, gone)
    assert (shown["status"], shown["subscriptionStatus"]) == ("deleted", "canceled")


def test_a_fixture_brings_pools(open_cloud: Open, tmp_path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: default\nrunner_pools: [{organization: acme, installation: 4001, ram_gb: 128}]")
    (pool,) = open_cloud(str(file)).get(POOLS).body
    assert (pool["name"], pool["poolRamGb"], pool["status"]) == ("acme-robotics", 128, "active")


# -- jobs


def test_a_job_goes_through_its_states_on_the_clock(cloud: Cloud) -> None:
    pool = pool_of(cloud)
    queue(cloud, pool, seconds=90, repo="acme/app")
    seen = []
    for wait in (0, 20, 90):
        cloud.advance(wait)
        seen.append(jobs_of(cloud, pool)[0]["status"])
    assert seen == ["provisioning", "running", "completed"]
    (job,) = jobs_of(cloud, pool)
    moments = [job[name][11:19] for name in ("queuedAt", "provisioningAt", "runningAt", "completedAt")]
    assert moments == ["09:00:00", "09:00:00", "09:00:20", "09:01:50"]
    assert (job["githubRepo"], job["runnerSizeLabel"]) == ("acme/app", "openrelay-2cpu-8gb")


def test_a_job_without_a_length_runs_until_it_is_finished(cloud: Cloud) -> None:
    pool = pool_of(cloud)
    job_id = queue(cloud, pool)
    cloud.advance(10 * 86_400)
    assert jobs_of(cloud, pool)[0]["status"] == "running"
    cloud.do("runner.finish_job", id=job_id, conclusion="failed", reason="tests failed")
    assert jobs_of(cloud, pool)[0]["failureReason"] == "tests failed"


def test_no_young_job_overtakes_an_old_one_that_does_not_fit(cloud: Cloud) -> None:
    pool = pool_of(cloud)
    first, second, third = (queue(cloud, pool, ram_gb) for ram_gb in (20, 16, 4))
    assert item(cloud, pool)["usedRamMb"] == 20 * 1024
    assert (item(cloud, pool)["queuedRunners"], item(cloud, pool)["queuedRamMb"]) == (2, 20 * 1024)
    cloud.do("runner.finish_job", id=first, conclusion="cancelled")
    status = {job["id"]: job["status"] for job in jobs_of(cloud, pool)}
    assert status == {first: "cancelled", second: "provisioning", third: "provisioning"}


def test_a_suspended_pool_starts_nothing_until_it_is_paid(cloud: Cloud) -> None:
    pool = bring_pool_to(cloud, "suspended")
    queue(cloud, pool)
    assert item(cloud, pool)["queuedRunners"] == 1
    cloud.do("runner.set_subscription", id=pool["id"], status="active")
    assert (item(cloud, pool)["status"], item(cloud, pool)["activeRunners"]) == ("active", 1)


def test_a_draining_pool_works_off_its_queue_and_is_deleted_when_asked_again(cloud: Cloud) -> None:
    pool = pool_of(cloud)
    jobs = [queue(cloud, pool, 20), queue(cloud, pool, 20)]
    assert cloud.delete(f"{POOLS}/{pool['id']}").body == {"status": "draining"}
    with pytest.raises(Refusal, match="draining"):
        queue(cloud, pool)
    for job_id in jobs:
        cloud.advance(20)
        assert cloud.delete(f"{POOLS}/{pool['id']}").body == {"status": "draining"}
        cloud.do("runner.finish_job", id=job_id)
    assert item(cloud, pool)["status"] == "draining"
    assert cloud.delete(f"{POOLS}/{pool['id']}").body == {"status": "deleted"}


def test_a_resize_lets_waiting_jobs_start_but_never_goes_below_what_is_held(cloud: Cloud) -> None:
    pool = pool_of(cloud)
    for _ in range(3):
        queue(cloud, pool, 20)
    assert item(cloud, pool)["queuedRunners"] == 2
    assert "61440" in refused(cloud.post(f"{POOLS}/{pool['id']}/resize", {"poolRamGb": 32}), 400)
    assert "33" in refused(cloud.post(f"{POOLS}/{pool['id']}/resize", {"poolRamGb": 33}), 400)
    assert cloud.post(f"{POOLS}/{pool['id']}/resize", {"poolRamGb": 64}).body["poolRamGb"] == 64
    assert item(cloud, pool)["activeRunners"] == 3


def test_a_job_that_never_fits_is_refused(cloud: Cloud) -> None:
    pool = pool_of(cloud)
    with pytest.raises(Refusal, match="33 never fits into a pool of 32 GB"):
        queue(cloud, pool, 33)


def test_jobs_are_listed_newest_first_by_limit_and_offset(cloud: Cloud) -> None:
    pool = pool_of(cloud)
    ids = [queue(cloud, pool, 1) for _ in range(5)][::-1]
    for query, wanted in (
        ("", ids),
        ("?limit=2", ids[:2]),
        ("?limit=2&offset=1", ids[1:3]),
        ("?offset=4", ids[4:]),
        ("?offset=5", []),
        ("?offset=995395298", []),
    ):
        assert [job["id"] for job in jobs_of(cloud, pool, query)] == wanted
    for query in ("?limit=0", "?offset=-1", "?limit=x"):
        refused(cloud.get(f"{POOLS}/{pool['id']}/jobs{query}"), 400)


@given(
    ram=st.sampled_from((32, 64)),
    steps=st.lists(
        st.tuples(st.sampled_from(("queue", "end", "wait", "resize")), st.integers(1, 32)), max_size=40
    ),
)
def test_jobs_start_in_order_and_never_take_more_ram_than_there_is(
    ram: int, steps: list[tuple[str, int]]
) -> None:
    cloud = Cloud()
    pool = pool_of(cloud, poolRamGb=ram)
    for step, number in steps:
        if step == "queue":
            queue(cloud, pool, number, seconds=number * 3)
        elif step == "wait":
            cloud.advance(number)
        elif step == "resize":
            cloud.post(f"{POOLS}/{pool['id']}/resize", {"poolRamGb": 64 if number % 2 else 32})
        elif jobs := [row for row in cloud.rows(RunnerJob) if row.completed_at_ms is None]:
            cloud.do("runner.finish_job", id=jobs[number % len(jobs)].id, conclusion="cancelled")
        check_world(cloud.world)
    cloud.simulator.advance_until("idle")
    assert {row.status for row in cloud.rows(RunnerJob)} <= {"completed", "cancelled"}
    assert cloud.bugs() == []


# -- metrics


def test_metrics_cover_today_and_the_29_days_before(cloud: Cloud) -> None:
    pool = pool_of(cloud)
    queue(cloud, pool, seconds=60)
    cloud.advance(29 * 86_400)
    queue(cloud, pool, seconds=60, conclusion="failed")
    queue(cloud, pool, 32)
    cloud.advance(120)
    daily = cloud.get(f"{POOLS}/{pool['id']}/metrics").body["daily"]
    assert len(daily) == 30
    assert [row["date"] for row in daily] == sorted({row["date"] for row in daily})
    assert daily[0] == {"date": "2026-06-15", "completed": 1, "failed": 0, "cancelled": 0, "running": 0}
    assert daily[-1] == {"date": "2026-07-14", "completed": 0, "failed": 1, "cancelled": 0, "running": 1}
    cloud.advance(86_400)
    assert cloud.get(f"{POOLS}/{pool['id']}/metrics").body["summary"]["totalJobs"] == 2


def test_times_are_means_and_savings_are_never_negative(cloud: Cloud) -> None:
    pool = pool_of(cloud)
    queue(cloud, pool, 32, seconds=61, cpus=4)
    queue(cloud, pool, 32, seconds=20, cpus=1)
    cloud.advance(600)
    metrics = cloud.get(f"{POOLS}/{pool['id']}/metrics").body
    assert metrics["summary"] == {
        "totalJobs": 2,
        "completedJobs": 2,
        "failedJobs": 0,
        "avgDurationSec": (81 + 121) // 2,
        "avgQueueTimeSec": 81 // 2,
    }
    # two started minutes of 4 vCPU and one of 1: 2 x 2 x 0.8 + 0.8 = 4 cents
    assert metrics["cost"] == {"githubCostCents": 4, "vectorlayCostCents": 4900, "savedCents": 0}


def test_what_is_saved_is_github_less_the_pool(open_cloud: Open) -> None:
    cloud = open_cloud(runners__tiers="32=1")
    pool = pool_of(cloud)
    queue(cloud, pool, seconds=600)
    cloud.advance(700)
    cost = cloud.get(f"{POOLS}/{pool['id']}/metrics").body["cost"]
    assert cost == {"githubCostCents": 8, "vectorlayCostCents": 1, "savedCents": 7}


# -- the subscription


def test_the_trial_of_14_days_becomes_a_subscription_by_the_month(cloud: Cloud) -> None:
    pool = pool_of(cloud)
    assert (pool["subscriptionStatus"], pool["currentPeriodEnd"]) == ("trialing", pool["trialEndsAt"])
    cloud.advance(14 * 86_400)
    shown = item(cloud, pool)
    assert (shown["subscriptionStatus"], shown["status"]) == ("active", "active")
    assert shown["currentPeriodEnd"][:10] == "2026-07-29"
    cloud.advance(30 * 86_400)
    assert item(cloud, pool)["currentPeriodEnd"][:10] == "2026-08-28"
    assert cloud.get("/v1/orgs/{org}/billing/balance").body["balanceCents"] == 10_000


def test_past_due_suspends_and_payment_begins_a_new_month(cloud: Cloud) -> None:
    pool = bring_pool_to(cloud, "suspended")
    assert item(cloud, pool)["subscriptionStatus"] == "past_due"
    cloud.advance(20 * 86_400)
    assert item(cloud, pool)["subscriptionStatus"] == "past_due"
    cloud.do("runner.set_subscription", id=pool["id"], status="active")
    shown = item(cloud, pool)
    assert (shown["status"], shown["currentPeriodEnd"][:10]) == ("active", "2026-08-04")


@pytest.mark.parametrize(("last4", "status"), [("4242", "active"), ("0341", "suspended")])
def test_where_a_card_is_asked_for_it_has_to_pay_at_the_end_of_the_trial(
    open_cloud: Open, last4: str, status: str
) -> None:
    cloud = open_cloud(runners__require_card=True)
    forget_cards(cloud)
    cloud.do("card.save", name="acme", last4=last4)
    answer = cloud.post(POOLS, {"name": "ci", "installationId": 1, "poolRamGb": 32})
    cloud.advance(14 * DAY_MS // 1000)
    assert item(cloud, answer.body)["status"] == status


def test_a_deleted_pool_is_renewed_no_more(cloud: Cloud) -> None:
    pool = bring_pool_to(cloud, "deleted")
    cloud.advance(60 * 86_400)
    assert item(cloud, pool)["subscriptionStatus"] == "canceled"
    with pytest.raises(Refusal, match="deleted"):
        cloud.do("runner.set_subscription", id=pool["id"], status="active")
