"""Rate limits: off by default, and where they are on, a bucket for each caller on the virtual clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.dispatch import CREDENTIAL_KINDS
from tests.support.cloud import Cloud
from tests.support.people import mint, refused, session_of
from tests.test_access_order import SPECS

Open = Callable[..., Cloud]
LISTING = [name for name, spec in SPECS.items() if spec.auth in CREDENTIAL_KINDS and "429" in spec.statuses]


def limited(open_cloud: Open, per_minute: int = 600, burst: int = 3) -> Cloud:
    return open_cloud(limits__per_minute=per_minute, limits__burst=burst)


def statuses(cloud: Cloud, calls: int, key: str | None = None) -> list[int]:
    return [cloud.get("/v1/pricing", key=key).status for _ in range(calls)]


def test_by_default_nobody_is_limited(cloud: Cloud) -> None:
    assert set(statuses(cloud, 1000)) == {200}


def test_a_burst_is_answered_and_what_is_over_it_is_429(open_cloud: Open) -> None:
    cloud = limited(open_cloud)
    assert statuses(cloud, 5) == [200, 200, 200, 429, 429]
    answer = cloud.get("/v1/pricing")
    assert "600" in refused(answer, 429, "rate_limited")
    assert answer.headers["Retry-After"] == "1"


def test_tokens_come_back_with_virtual_time_and_never_more_than_a_burst(open_cloud: Open) -> None:
    cloud = limited(open_cloud)
    assert statuses(cloud, 3) == [200] * 3
    cloud.advance(0.1)
    assert statuses(cloud, 2) == [200, 429]
    cloud.advance(3600)
    assert statuses(cloud, 4) == [200, 200, 200, 429]


@pytest.mark.parametrize(("per_minute", "seconds"), [(1, 60), (7, 9), (59, 2), (60, 1), (100_000, 1)])
def test_after_as_long_as_retry_after_says_the_call_is_answered(
    open_cloud: Open, per_minute: int, seconds: int
) -> None:
    cloud = limited(open_cloud, per_minute, burst=1)
    assert statuses(cloud, 1) == [200]
    answer = cloud.get("/v1/pricing")
    assert (answer.status, answer.headers["Retry-After"]) == (429, str(seconds))
    cloud.advance(seconds)
    assert statuses(cloud, 1) == [200]


def test_each_key_and_each_session_has_a_bucket_of_its_own(open_cloud: Open) -> None:
    cloud = limited(open_cloud, burst=2)
    other, session = mint(cloud)["key"], session_of(cloud, "owner")
    for key in (other, session):
        assert statuses(cloud, 3, key) == [200, 200, 429]
    assert statuses(cloud, 2) == [200, 429]


def test_who_has_no_credential_is_401_however_often(open_cloud: Open) -> None:
    assert set(statuses(limited(open_cloud), 10, key="")) == {401}


def test_a_limited_call_learns_and_changes_nothing_else(open_cloud: Open) -> None:
    cloud = limited(open_cloud, burst=1)
    statuses(cloud, 1)
    version = cloud.world.version
    for path in ("/v1/orgs/none", "/v1/vms/none", "/v1/pricing"):
        refused(cloud.get(path), 429)
    assert cloud.world.version == version


@pytest.mark.parametrize("name", LISTING)
def test_every_operation_can_be_limited(open_cloud: Open, name: str) -> None:
    cloud = limited(open_cloud, burst=1)
    session = session_of(cloud, "owner")
    for key in (None, session):
        statuses(cloud, 1, key)
        refused(cloud.call(SPECS[name].method, SPECS[name].path, key=key), 429)
