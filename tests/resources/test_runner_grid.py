"""Every verb on a runner pool and on a runner job in every state, held against their tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.kernel.refusal import Refusal
from simulator.resources.runners.lifecycle import JOB_LIFE, JOB_STATES, POOL_LIFE, POOL_STATES
from tests.support.cloud import Cloud
from tests.support.people import refused
from tests.support.runners import POOLS, bring_job_to, bring_pool_to, item, queue

PROFILES = ("2026-06", "2026-07", "2026-10")

# Status after the verb; "=": the one it had; a number: refused so over HTTP, a word: refused as an action.
POOL_GRID: dict[str, dict[str, str | int]] = {
    "suspend": {"active": "suspended", "suspended": "=", "draining": "=", "deleted": "conflict"},
    "resume": {"active": "=", "suspended": "active", "draining": "=", "deleted": "conflict"},
    "resize": {"active": "=", "suspended": "=", "draining": 400, "deleted": 400},
    "queue_job": {"active": "=", "suspended": "=", "draining": "conflict", "deleted": "conflict"},
    "delete": {"active": "deleted", "suspended": "deleted", "draining": "=", "deleted": "="},
}
JOB_GRID: dict[str, dict[str, str]] = {
    "complete": {**dict.fromkeys(JOB_STATES, "conflict"), "running": "completed"},
    "fail": {**dict.fromkeys(JOB_STATES, "conflict"), "provisioning": "failed", "running": "failed"},
    "cancel": {
        **dict.fromkeys(JOB_STATES, "conflict"),
        **dict.fromkeys(("queued", "provisioning", "running"), "cancelled"),
    },
}
CONCLUSIONS = {"complete": "completed", "fail": "failed", "cancel": "cancelled"}


def test_the_grids_and_the_tables_know_the_same_pairs() -> None:
    """Draining is what a delete comes to while jobs are open; it is no verb of its own."""
    pairs = {(state, verb) for state, verb, _ in POOL_LIFE.pairs() if verb != "drain"}
    assert pairs == {(state, verb) for verb in POOL_GRID for state in POOL_STATES}
    pairs = {(state, verb) for state, verb, _ in JOB_LIFE.pairs()}
    assert pairs == {(state, verb) for verb in JOB_GRID for state in JOB_STATES}


def on_pool(cloud: Cloud, pool: dict[str, Any], verb: str) -> str | int:
    """What a verb comes to: "" or the status or code of its refusal."""
    if verb == "delete":
        assert cloud.delete(f"{POOLS}/{pool['id']}").status == 200
    elif verb == "resize":
        answer = cloud.post(f"{POOLS}/{pool['id']}/resize", {"poolRamGb": 64})
        return "" if answer.status == 200 else answer.status
    try:
        if verb == "queue_job":
            queue(cloud, pool)
        elif verb in ("suspend", "resume"):
            paid = "past_due" if verb == "suspend" else "active"
            cloud.do("runner.set_subscription", id=pool["id"], status=paid)
    except Refusal as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("state", POOL_STATES)
@pytest.mark.parametrize("verb", POOL_GRID)
def test_a_verb_on_a_pool(open_cloud: Callable[..., Cloud], profile: str, state: str, verb: str) -> None:
    cloud = open_cloud(profile=profile)
    pool = bring_pool_to(cloud, state)
    version, wanted = cloud.world.version, POOL_GRID[verb][state]

    came_to = on_pool(cloud, pool, verb)

    assert (POOL_LIFE.find(state, verb) is None) == (came_to != "")
    if came_to:
        assert (came_to, cloud.world.version) == (wanted, version)
    else:
        assert item(cloud, pool)["status"] == (state if wanted == "=" else wanted)


@pytest.mark.parametrize("state", JOB_STATES)
@pytest.mark.parametrize("verb", JOB_GRID)
def test_a_verb_on_a_job(cloud: Cloud, state: str, verb: str) -> None:
    job_id = bring_job_to(cloud, state)
    version, wanted = cloud.world.version, JOB_GRID[verb][state]
    assert cloud.world.status_of(job_id) == state
    finish = {"id": job_id, "conclusion": CONCLUSIONS[verb]}
    if wanted == "conflict":
        with pytest.raises(Refusal, match=f"is {state}; {verb} needs") as caught:
            cloud.do("runner.finish_job", **finish)
        assert (caught.value.code, cloud.world.version) == (wanted, version)
    else:
        assert cloud.do("runner.finish_job", **finish)["status"] == wanted == cloud.world.status_of(job_id)


def test_a_refused_resize_names_state_and_code(open_cloud: Callable[..., Cloud]) -> None:
    for profile, code in (("2026-06", "bad_request"), ("2026-10", "BAD_REQUEST")):
        cloud = open_cloud(profile=profile)
        pool = bring_pool_to(cloud, "draining")
        answer = cloud.post(f"{POOLS}/{pool['id']}/resize", {"poolRamGb": 64})
        assert "draining" in refused(answer, 400, code)
