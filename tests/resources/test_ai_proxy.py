"""The AI proxy: where it is, whose keys open it, and what went through it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.domain.access import Organization
from simulator.kernel.refusal import Refusal
from tests.support.cloud import Cloud
from tests.support.people import KEYS, mint, refused

PROXY = "/v1/orgs/{org}/ai/proxy"
USAGE = "/v1/orgs/{org}/ai/proxy-usage"


def test_the_proxy_names_its_address_and_the_short_id_as_user(cloud: Cloud) -> None:
    organization = cloud.world.get(Organization, cloud.org)
    body = cloud.get(PROXY).body
    assert (body["host"], body["port"]) == ("proxy.openrelay.inc", 3128)
    assert body["username"] == organization.short_id


def test_host_and_port_are_settings(open_cloud: Callable[..., Cloud]) -> None:
    body = open_cloud(ai_proxy__host="localhost", ai_proxy__port=8888).get(PROXY).body
    assert (body["host"], body["port"]) == ("localhost", 8888)


def test_usable_keys_with_the_scope_are_proxy_keys_newest_first(cloud: Cloud) -> None:
    mint(cloud, "vms:read", name="reader")
    mint(cloud, "inference", name="proxy")
    revoked = mint(cloud, "inference", name="revoked")
    mint(cloud, "inference", name="expired")
    cloud.delete(f"{KEYS}/{revoked['id']}")
    cloud.do("key.expire", name="expired")
    keys = cloud.get(PROXY).body["proxyKeys"]
    assert [key["name"] for key in keys] == ["proxy", "default"]
    assert set(keys[0]) == {
        *("id", "name", "keyPrefix", "lastUsedAt", "usageCount", "bandwidthBytes", "createdAt")
    }
    assert (keys[0]["lastUsedAt"], keys[0]["usageCount"], keys[0]["bandwidthBytes"]) == (None, 0, 0)


def test_use_is_counted_by_key_and_by_day(cloud: Cloud) -> None:
    mint(cloud, "inference", name="proxy")
    cloud.do("proxy.use", name="default", requests=3, bytes=1000, errors=1)
    cloud.advance(86_400)
    cloud.do("proxy.use", name="proxy", bytes=7)
    cloud.do("proxy.use", name="default", bytes=5)
    keys = {key["name"]: key for key in cloud.get(PROXY).body["proxyKeys"]}
    assert (keys["default"]["usageCount"], keys["default"]["bandwidthBytes"]) == (4, 1005)
    assert (keys["proxy"]["usageCount"], keys["proxy"]["bandwidthBytes"]) == (1, 7)
    assert keys["proxy"]["lastUsedAt"] == "2026-06-16T09:00:00.000Z"
    usage = cloud.get(f"{USAGE}?days=2").body
    assert usage["daily"] == [
        {"date": "2026-06-15", "requests": 3, "bytes": 1000, "success": 2, "errors": 1},
        {"date": "2026-06-16", "requests": 2, "bytes": 12, "success": 2, "errors": 0},
    ]
    assert usage["totals"] == {"requests": 5, "bytes": 1012, "success": 4, "errors": 1}


def test_days_without_use_are_there_oldest_first(cloud: Cloud) -> None:
    cloud.do("proxy.use", name="default")
    for query, count in (("", 30), ("?days=1", 1), ("?days=90", 90)):
        daily = cloud.get(USAGE + query).body["daily"]
        dates = [row["date"] for row in daily]
        assert len(dates) == count
        assert dates == sorted(set(dates))
        assert dates[-1] == "2026-06-15"
        assert sum(row["requests"] for row in daily) == 1


def test_use_before_the_window_is_left_out(cloud: Cloud) -> None:
    cloud.do("proxy.use", name="default", bytes=9)
    cloud.advance(86_400)
    assert cloud.get(f"{USAGE}?days=1").body["totals"]["bytes"] == 0
    assert cloud.get(f"{USAGE}?days=2").body["totals"]["bytes"] == 9


@pytest.mark.parametrize("days", [91, 995395298, 2**63 - 1])
def test_too_many_days_are_422_and_named(cloud: Cloud, days: int) -> None:
    assert str(days) in refused(cloud.get(f"{USAGE}?days={days}"), 422)


@pytest.mark.parametrize("days", ["0", "-1", "x", "1.5", "9" * 30])
def test_days_that_the_contract_does_not_know_are_422(cloud: Cloud, days: str) -> None:
    """The contract lists no 400 for this call."""
    assert "days" in refused(cloud.get(f"{USAGE}?days={days}"), 422)


def test_another_organization_sees_nothing_of_it(cloud: Cloud) -> None:
    cloud.do("proxy.use", name="globex", bytes=9)
    assert cloud.get(USAGE).body["totals"]["bytes"] == 0


def test_a_key_that_does_not_open_the_proxy_cannot_be_used(cloud: Cloud) -> None:
    mint(cloud, "vms:read", name="reader")
    version = cloud.world.version
    with pytest.raises(Refusal, match="lacks the scope"):
        cloud.do("proxy.use", name="reader")
    with pytest.raises(Refusal, match="errors 2 is more than requests 1"):
        cloud.do("proxy.use", name="default", errors=2)
    assert cloud.world.version == version
