"""The trainer in clouds that Hypothesis makes up."""

from __future__ import annotations

from typing import Any

from fleet.api import Api
from fleet.trainer import train
from hypothesis import HealthCheck, given, settings

from simulator import strategies
from simulator.testing import Server


@given(strategies.faults(seams=["webhook", "payment"]))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_happens_to_webhooks_and_cards_is_none_of_its_business(
    openrelay_server: Server, rule: dict[str, Any]
) -> None:
    with openrelay_server.open("chance") as openrelay, openrelay.time_travel():
        openrelay.fault(**rule)
        api = Api(openrelay.base_url, openrelay.api_key, openrelay.org_id)
        assert train(api, minutes=5) == 1
        openrelay.assert_no_leaks()
