"""From the use of a model to the ledger: no nano-dollar is lost, none is paid twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.domain import inference, metering
from simulator.domain.inference import InferenceModel, InferenceUse
from simulator.domain.metering import Account, Transaction
from simulator.kernel.money import NANO_USD_PER_CENT
from tests.support.cloud import Cloud
from tests.support.webhooks import hook_of

BALANCE = "/v1/orgs/{org}/billing/balance"


def use(cloud: Cloud, nano_usd: int, model: str = "qwen3-32b", **more: Any) -> None:
    fields = {"source_id": "batch_x", "requests": 1, "input_tokens": 10, "output_tokens": 5, **more}
    inference.use(cloud.world, cloud.org, key_id="", model=model, nano_usd=nano_usd, **fields)


def test_a_use_is_pending_at_once_and_debited_a_minute_later(cloud: Cloud) -> None:
    use(cloud, 25_000_001)
    shown = cloud.get(BALANCE).body
    assert (shown["pendingInferenceCents"], shown["pendingInferenceReservedCents"]) == (2, 3)
    assert (shown["balanceCents"], shown["accruedUsageCents"], shown["availableCents"]) == (10_000, 3, 9_997)
    assert (shown["currentMonthInferenceCents"], shown["currentMonthUsageCents"]) == (2, 2)
    assert shown["priorUnsettledComputeCents"] == 0
    cloud.advance(60)
    shown = cloud.get(BALANCE).body
    assert (shown["pendingInferenceCents"], shown["pendingInferenceReservedCents"]) == (0, 1)
    assert (shown["balanceCents"], shown["availableCents"]) == (9_998, 9_997)
    line = shown["transactions"][0]
    assert (line["type"], line["source"], line["amountCents"]) == ("inference_debit", "inference", -2)


def test_a_debit_says_what_it_is_for(cloud: Cloud) -> None:
    use(cloud, 9_999_999)
    use(cloud, 2)
    use(cloud, 5_000_000, model="llama-3.3-70b-instruct", requests=4, input_tokens=100)
    cloud.advance(60)
    assert cloud.get(BALANCE).body["transactions"][0]["inferenceDetails"] == {
        "models": [
            {
                "model": "qwen3-32b",
                "requestCount": "2",
                "batch": True,
                "dimensions": {"input": "20", "output": "10"},
            },
            {
                "model": "llama-3.3-70b-instruct",
                "requestCount": "4",
                "batch": True,
                "dimensions": {"input": "100", "output": "5"},
            },
        ],
        "partial": False,
        "carriedNanoUSD": "5000001",
    }


def test_less_than_a_cent_waits_for_the_next_use(cloud: Cloud) -> None:
    use(cloud, 6_000_000)
    cloud.advance(3600)
    assert [line.type for line in cloud.rows(Transaction)].count("inference_debit") == 0
    assert cloud.get(BALANCE).body["pendingInferenceReservedCents"] == 1
    use(cloud, 6_000_000)
    cloud.advance(60)
    assert cloud.world.get(Account, cloud.org).inference_nano == 2_000_000


def test_the_delay_of_the_debit_is_a_setting(open_cloud: Callable[..., Cloud]) -> None:
    cloud = open_cloud(inference__settle_after_s=0)
    use(cloud, NANO_USD_PER_CENT)
    cloud.advance(0)
    assert cloud.get(BALANCE).body["balanceCents"] == 9_999


def test_inference_that_meets_the_floor_stops_vms_and_is_told(cloud: Cloud) -> None:
    vm = cloud.run_vm(gpuModelId=None)
    hook_of(cloud)
    use(cloud, 9_960 * NANO_USD_PER_CENT)
    cloud.advance(0)
    assert cloud.vm(vm["id"])["statusReason"] == "auto_stopped_insufficient_balance"
    assert cloud.mailbox.types() == ["balance.low", "balance.depleted", "vm.stopped"]


def test_a_month_counts_its_own_inference(cloud: Cloud) -> None:
    use(cloud, 3 * NANO_USD_PER_CENT)
    cloud.advance(31 * 86_400)
    use(cloud, 5 * NANO_USD_PER_CENT)
    assert cloud.get(BALANCE).body["currentMonthInferenceCents"] == 5


@pytest.mark.parametrize(("percent", "nano_usd"), [(100, 1501), (50, 750), (0, 0), (99, 1485)])
def test_a_price_is_rounded_down_to_a_whole_nano_dollar(percent: int, nano_usd: int) -> None:
    model = InferenceModel(
        id="m",
        owned_by="o",
        supported_apis=(),
        input_modalities=(),
        output_modalities=(),
        status="available",
        batch_eligible=True,
        input_nano=1,
        output_nano=500,
    )
    assert inference.price_nano(model, 1, 3, percent) == nano_usd


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * NANO_USD_PER_CENT) | st.integers(0, 10**12), st.sampled_from((0, 30, 60))
        ),
        max_size=20,
    )
)
def test_debits_and_what_is_pending_add_up_to_what_was_used(uses: list[tuple[int, int]]) -> None:
    cloud = Cloud()
    for nano_usd, seconds in uses:
        before = metering.available_cents(cloud.world, cloud.org)
        use(cloud, nano_usd)
        after = metering.available_cents(cloud.world, cloud.org)
        assert 0 <= before - after <= nano_usd // NANO_USD_PER_CENT + 1
        cloud.advance(seconds)
        assert metering.available_cents(cloud.world, cloud.org) == after, "a debit changes nothing of it"
    account = cloud.world.get(Account, cloud.org)
    debited = sum(line.amount_cents for line in cloud.rows(Transaction) if line.type == "inference_debit")
    total = sum(nano_usd for nano_usd, _ in uses)
    assert account.inference_nano - debited * NANO_USD_PER_CENT == total
    assert sum(row.nano_usd for row in cloud.rows(InferenceUse)) == total
