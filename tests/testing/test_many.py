"""A suite of a thousand tests: a cloud each, in one process, and memory stays where it is."""

from __future__ import annotations

import gc
import tracemalloc

from simulator.testing import Server

TESTS, WARM = 1000, 200
MOST_GROWTH = 400_000
"""Bytes that eight hundred tests may leave behind: what interpreters and caches keep."""


def test_a_thousand_clouds_leave_nothing_behind() -> None:
    kept = 0
    with Server() as server:
        tracemalloc.start()
        for number in range(TESTS):
            with server.open(f"test-{number}", seed=number % 7) as openrelay:
                path = f"/v1/orgs/{openrelay.org_id}/vms/create"
                openrelay.ask("POST", path, {"name": "trainer", "gpuModelId": "rtx-3090"})
                openrelay.advance(120)
            if number == WARM:
                gc.collect()
                kept = tracemalloc.get_traced_memory()[0]
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - kept
        tracemalloc.stop()
        assert len(server.worlds) == 1
    assert grown < MOST_GROWTH, f"{grown} bytes"
