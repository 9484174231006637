"""The autoscaler: an asynchronous loop for ever, run for half an hour of the cloud's time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from fleet.autoscaler import Autoscaler

from simulator.testing import OpenRelay


async def run(openrelay: OpenRelay, jobs: list[int], minutes: float = 30) -> list[str]:
    """What it did while the queue had these lengths, one every five minutes."""
    path = f"/v1/orgs/{openrelay.org_id}/clusters/create"
    cluster = openrelay.ask("POST", path, {"name": "chat", "gpuModelId": "l40s"})["id"]
    openrelay.run_until(cluster, "running")
    began = openrelay.now

    def queue() -> int:
        passed = (openrelay.now - began).total_seconds() // 300
        return jobs[min(int(passed), len(jobs) - 1)]

    with openrelay.time_travel():
        async with openrelay.client("httpx-async") as http:
            scaler = Autoscaler(http, cluster, queue)
            with suppress(TimeoutError):
                await asyncio.wait_for(scaler.run(), minutes * 60)
    return scaler.log


@pytest.mark.asyncio
async def test_it_follows_the_queue_up_and_down(openrelay: OpenRelay) -> None:
    assert await run(openrelay, [5, 25, 25, 5]) == ["1 to 3", "3 to 1"]


@pytest.mark.asyncio
async def test_no_room_is_tried_again_and_nothing_breaks(openrelay: OpenRelay) -> None:
    openrelay.do("capacity.seize", gpu_model="l40s", gpus=4)
    log = await run(openrelay, [25], minutes=3)
    assert set(log) == {"no room for 3"}
    assert len(log) > 2


@pytest.mark.asyncio
@pytest.mark.openrelay(settings={"limits.per_minute": 1, "limits.burst": 4})
async def test_a_rate_limit_is_waited_out(openrelay: OpenRelay) -> None:
    assert await run(openrelay, [25], minutes=10) == ["1 to 3"]
    openrelay.assert_no_findings()
