"""The trainer on good days and bad ones. It knows nothing of a simulator, and its sleeps cost nothing."""

from __future__ import annotations

import pytest
from fleet.api import Api
from fleet.trainer import DidNotStart, train

from simulator.testing import OpenRelay


def test_it_trains_and_leaves_nothing_behind(openrelay: OpenRelay, api: Api) -> None:
    assert train(api, minutes=60) == 1
    openrelay.assert_called("createVm", times=1, status=200)
    openrelay.assert_no_leaks()
    openrelay.assert_spend(min_cents=17, max_cents=19)
    openrelay.assert_no_findings()


@pytest.mark.openrelay(scenario="answers-lost")
def test_a_lost_answer_is_no_second_machine(openrelay: OpenRelay, api: Api) -> None:
    train(api, minutes=10)
    openrelay.assert_expectations()


@pytest.mark.openrelay(scenario="node-lost")
def test_it_waits_for_a_node_that_comes_back(openrelay: OpenRelay, api: Api) -> None:
    assert train(api, minutes=30) == 1
    openrelay.assert_no_leaks()


def test_it_goes_on_with_another_machine(openrelay: OpenRelay, api: Api) -> None:
    openrelay.scenario(
        {
            "scenario": 1,
            "title": "The guest ends by itself",
            "timeline": [
                {
                    "when": {"event": "vm.running", "times": 1},
                    "after": "5m",
                    "do": {"vm.exit": {"name": "trainer"}},
                }
            ],
            "expect": [{"leaks": 0}],
        }
    )
    assert train(api, minutes=20) == 2
    openrelay.assert_expectations()


@pytest.mark.openrelay(world="full")
def test_no_room_is_told_at_once(openrelay: OpenRelay, api: Api) -> None:
    with pytest.raises(DidNotStart, match="no rtx-3090 is free"):
        train(api, minutes=10)
    openrelay.assert_spend(max_cents=0)


def test_a_start_that_hangs_ends_at_the_clients_own_timeout(openrelay: OpenRelay, api: Api) -> None:
    openrelay.fault(on="lifecycle", resource="vm", stage="booting", do={"stall": True})
    began = openrelay.now
    with pytest.raises(DidNotStart, match="not within 600 s"):
        train(api, minutes=10)
    assert 600 <= (openrelay.now - began).total_seconds() < 700
    openrelay.assert_no_leaks()


def test_without_a_base_url_it_calls_the_real_address(
    openrelay: OpenRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENRELAY_BASE_URL", raising=False)
    with openrelay.intercept(), openrelay.time_travel():
        train(Api(key=openrelay.api_key, org=openrelay.org_id), minutes=5)
    openrelay.assert_called("createVm", times=1, status=200)
