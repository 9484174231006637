"""Budgets of API keys: what is accepted, what counts, what happens once one is used up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.domain.budgets import MOST_NANO
from tests.support.batches import look, record
from tests.support.cloud import Answer, Cloud
from tests.support.people import KEYS, mint, refused, session_of

Open = Callable[..., Cloud]
CREATE = f"{KEYS}/create"
CHAT, TEXT, MESSAGES = "/v1/chat/completions", "/v1/completions", "/v1/messages"
HELLO = [{"role": "user", "content": "hello"}]
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "qwen3-32b", "messages": HELLO},
    TEXT: {"model": "qwen3-32b", "prompt": "hello"},
    MESSAGES: {"model": "qwen3-32b", "messages": HELLO, "max_tokens": 500},
}
INPUT_NANO, OUTPUT_NANO = 100, 300
"""What a token of qwen3-32b costs online."""


def budgeted(cloud: Cloud, limit: int, **budget: Any) -> str:
    """A new key with a budget."""
    key: str = mint(cloud, budget={"limitNanoUsd": limit, **budget})["key"]
    return key


def budget_of(cloud: Cloud, key: str) -> dict[str, Any]:
    found: dict[str, Any] = cloud.get("/v1/whoami", key=key).body["key"]["budget"]
    return found


def spent(cloud: Cloud, key: str) -> int:
    nano: int = budget_of(cloud, key)["spentNanoUsd"]
    return nano


def chat(cloud: Cloud, key: str, words: int = 1) -> Answer:
    messages = [{"role": "user", "content": "word " * words}]
    return cloud.post(CHAT, {**BODIES[CHAT], "messages": messages}, key=key)


def batch_by(cloud: Cloud, key: str) -> Answer:
    wanted = {"endpoint": CHAT, "completion_window": "24h", "requests": [record("a"), record("b")]}
    return cloud.post("/v1/batches", wanted, key=key)


def cost(answer: Answer) -> int:
    usage = answer.body["usage"]
    nano: int = usage["prompt_tokens"] * INPUT_NANO + usage["completion_tokens"] * OUTPUT_NANO
    return nano


# -- what is accepted and shown


@pytest.mark.parametrize(
    ("period", "shown"),
    [
        ("daily", {"period": "daily", "periodEndsAt": "2026-06-16T00:00:00.000Z"}),
        ("monthly", {"period": "monthly", "periodEndsAt": "2026-07-01T00:00:00.000Z"}),
        ("lifetime", {"period": "lifetime"}),
        (None, {"period": "lifetime"}),
    ],
)
def test_a_budget_is_shown_wherever_its_key_is(
    cloud: Cloud, period: str | None, shown: dict[str, str]
) -> None:
    wanted = {"limitNanoUsd": 5_000} | ({"period": period} if period else {})
    made = mint(cloud, budget=wanted)
    expected = {"limitNanoUsd": 5_000, "spentNanoUsd": 0, **shown}
    (row,) = [row for row in cloud.get(KEYS).body if row["id"] == made["id"]]
    assert made["budget"] == row["budget"] == budget_of(cloud, made["key"]) == expected


def test_a_key_without_a_budget_shows_none(cloud: Cloud) -> None:
    assert "budget" not in mint(cloud)
    assert not any("budget" in row for row in cloud.get(KEYS).body)
    assert "budget" not in cloud.get("/v1/whoami").body["key"]


@pytest.mark.parametrize(
    "budget",
    [
        *({"limitNanoUsd": limit} for limit in (0, -1, MOST_NANO + 1, 2**64, 1.5, "5", None, True)),
        {"limitNanoUsd": 5, "period": "weekly"},
        {"period": "daily"},
        {},
        None,
        5,
    ],
)
def test_a_budget_that_makes_no_sense_is_400(cloud: Cloud, budget: object) -> None:
    cloud.get(KEYS)
    version = cloud.world.version
    refused(cloud.post(CREATE, {"name": "x", "budget": budget}), 400, "bad_request")
    assert cloud.world.version == version


def test_the_bounds_are_told(cloud: Cloud) -> None:
    told = refused(cloud.post(CREATE, {"name": "x", "budget": {"limitNanoUsd": 0}}), 400, "bad_request")
    assert f"budget.limitNanoUsd 0 is out of bounds; take 1 to {MOST_NANO}" in told
    assert budget_of(cloud, budgeted(cloud, MOST_NANO))["limitNanoUsd"] == MOST_NANO


# -- a key with a budget makes no keys


def test_a_key_with_a_budget_makes_no_keys(cloud: Cloud) -> None:
    key = budgeted(cloud, 10**9)
    version = cloud.world.version
    answer = cloud.post(CREATE, {"name": "more"}, key=key)
    assert "has a budget" in refused(answer, 403, "forbidden")
    assert answer.body["deniedBy"] == "key"
    assert cloud.world.version == version
    assert mint(cloud, key=session_of(cloud, "owner"))["name"] == "full"


# -- what counts


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [False, True])
def test_every_completion_counts_against_its_key_alone(cloud: Cloud, path: str, stream: bool) -> None:
    key, other = budgeted(cloud, 10**9), budgeted(cloud, 10**9)
    assert cloud.post(path, {**BODIES[path], "stream": stream}, key=key).status == 200
    cloud.post(path, BODIES[path])
    usage = cloud.post(path, BODIES[path], key=other).body["usage"]
    tokens_in = usage.get("prompt_tokens", usage.get("input_tokens"))
    tokens_out = usage.get("completion_tokens", usage.get("output_tokens"))
    price = tokens_in * INPUT_NANO + tokens_out * OUTPUT_NANO
    assert spent(cloud, key) == spent(cloud, other) == price


def test_a_batch_counts_when_it_ends_against_the_key_that_made_it(cloud: Cloud) -> None:
    key = budgeted(cloud, 10**9)
    batch = batch_by(cloud, key).body
    assert spent(cloud, key) == 0
    cloud.advance(3600)
    ended = look(cloud, batch)
    assert ended["status"] == "completed"
    assert spent(cloud, key) == ended["usage"]["cost_nano_usd"] > 0


def test_what_is_refused_or_free_costs_no_budget(cloud: Cloud) -> None:
    key = budgeted(cloud, 10**9)
    assert cloud.get("/v1/models", key=key).status == 200
    assert cloud.post(CHAT, {"model": "gpt-1", "messages": HELLO}, key=key).status == 404
    assert (
        cloud.post("/v1/orgs/{org}/vms/create", {"name": "a", "gpuModelId": "rtx-3090"}, key=key).status
        == 200
    )
    cloud.advance(7200)
    assert spent(cloud, key) == 0


# -- once it is used up


def used_up(cloud: Cloud, period: str = "lifetime") -> str:
    """A key whose budget the first completion has used up, and overdrawn."""
    key = budgeted(cloud, 1, period=period)
    assert chat(cloud, key).status == 200
    assert spent(cloud, key) > 1
    return key


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [False, True])
def test_no_completion_is_answered_any_more(cloud: Cloud, path: str, stream: bool) -> None:
    key = used_up(cloud)
    before, version = budget_of(cloud, key), cloud.world.version
    answer = cloud.post(path, {**BODIES[path], "stream": stream}, key=key)
    assert (answer.status, answer.code) == (402, "key_budget_exceeded")
    assert f"{before['spentNanoUsd']} of 1 nanoUSD (lifetime) are spent" in answer.error["message"]
    assert (budget_of(cloud, key), cloud.world.version) == (before, version)
    assert cloud.post(path, BODIES[path]).status == 200


def test_no_batch_is_taken_on_any_more(cloud: Cloud) -> None:
    key = used_up(cloud)
    refused(batch_by(cloud, key), 402, "key_budget_exceeded")
    assert batch_by(cloud, cloud.key).status == 200


def test_the_rest_of_the_api_goes_on(cloud: Cloud) -> None:
    key = used_up(cloud)
    for path in ("/v1/models", "/v1/batches", "/v1/orgs/{org}/vms", KEYS):
        assert cloud.get(path, key=key).status == 200


def test_the_limit_itself_is_the_end(cloud: Cloud) -> None:
    price = cost(chat(cloud, cloud.key))
    exactly, a_nano_more = budgeted(cloud, price), budgeted(cloud, price + 1)
    for key in (exactly, a_nano_more):
        assert chat(cloud, key).status == 200
    assert (chat(cloud, exactly).status, chat(cloud, a_nano_more).status) == (402, 200)


def test_a_batch_under_way_is_finished_though_the_budget_ends(cloud: Cloud) -> None:
    key = budgeted(cloud, 1)
    batch = batch_by(cloud, key).body
    assert chat(cloud, key).status == 200
    before = spent(cloud, key)
    cloud.advance(3600)
    ended = look(cloud, batch)
    assert ended["status"] == "completed"
    assert spent(cloud, key) == before + ended["usage"]["cost_nano_usd"]


def test_the_budget_is_looked_at_before_the_balance(open_cloud: Open) -> None:
    cloud = open_cloud("broke")
    key = used_up(cloud)
    cloud.do("balance.debit", name="acme", cents=1000)
    assert chat(cloud, key).code == "key_budget_exceeded"
    assert chat(cloud, budgeted(cloud, 5)).code == "insufficient_balance"


# -- the next period


@pytest.mark.parametrize(("period", "begins"), [("daily", "2026-06-16"), ("monthly", "2026-07-01")])
def test_the_next_period_begins_anew_at_midnight(cloud: Cloud, period: str, begins: str) -> None:
    key = used_up(cloud, period)
    answer = chat(cloud, key)
    assert f"the next period begins at {begins}T00:00:00.000Z" in answer.error["message"]
    midnight = datetime.fromisoformat(f"{begins}T00:00:00Z")
    cloud.advance((midnight - datetime(2026, 6, 15, 9, tzinfo=UTC)).total_seconds() - 1)
    assert chat(cloud, key).status == 402
    cloud.advance(1)
    assert spent(cloud, key) == 0
    assert budget_of(cloud, key)["periodEndsAt"] > f"{begins}T00:00:00.000Z"
    assert chat(cloud, key).status == 200
    assert chat(cloud, key).status == 402


def test_a_lifetime_has_no_next_period(cloud: Cloud) -> None:
    key = used_up(cloud)
    cloud.advance(400 * 86_400)
    assert "next period" not in chat(cloud, key).error["message"]


# -- the invariant

CALENDAR = {"daily": "%Y-%m-%d", "monthly": "%Y-%m", "lifetime": "ever"}
STEPS = st.one_of(
    st.tuples(st.sampled_from(list(CALENDAR)), st.integers(1, 2000)),
    st.tuples(st.just(""), st.sampled_from([1, 3_600, 50_000, 86_400, 20 * 86_400])),
)


@given(st.lists(STEPS, max_size=30), st.integers(1, 10**6))
def test_no_key_spends_once_its_budget_is_used_up(steps: list[tuple[str, int]], limit: int) -> None:
    """Against a calendar of its own: what a key has spent is what its answers of the period cost."""
    cloud = Cloud()
    keys = {period: budgeted(cloud, limit, period=period) for period in CALENDAR}
    costs: Counter[tuple[str, str]] = Counter()
    for period, amount in steps:
        if not period:
            cloud.advance(amount)
            continue
        now = datetime.fromtimestamp(cloud.world.now_ms / 1000, UTC)
        present = (period, now.strftime(CALENDAR[period]))
        assert spent(cloud, keys[period]) == costs[present]
        answer = chat(cloud, keys[period], amount)
        if costs[present] >= limit:
            assert answer.code == "key_budget_exceeded"
        else:
            costs[present] += cost(answer)
