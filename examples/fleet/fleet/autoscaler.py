"""Keeps a cluster as large as its queue needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

EVERY_S = 30
JOBS_PER_REPLICA = 10


class Autoscaler:
    """Looks at the queue every half minute. `log` says what it did, a line for each change."""

    most = 4

    def __init__(self, http: httpx.AsyncClient, cluster: str, queue: Callable[[], int]) -> None:
        self.http, self.cluster, self.queue = http, cluster, queue
        self.log: list[str] = []

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Scale where the wanted number is not the present one; no room now means: try again next time."""
        cluster = (await self._get(f"/v1/clusters/{self.cluster}")).json()
        wanted = min(self.most, max(1, -(-self.queue() // JOBS_PER_REPLICA)))
        present = cluster["replicaCount"]
        if wanted == present or cluster["status"] not in ("running", "degraded"):
            return
        answer = await self.http.post(f"/v1/clusters/{self.cluster}/scale", json={"replicaCount": wanted})
        if answer.status_code == 200:
            self.log.append(f"{present} to {wanted}")
        elif answer.status_code in (409, 503):
            self.log.append(f"no room for {wanted}")
        else:
            answer.raise_for_status()

    async def _get(self, path: str) -> Any:
        answer = await self.http.get(path)
        while answer.status_code == 429 or answer.status_code >= 500:
            await asyncio.sleep(float(answer.headers.get("Retry-After", 5)))
            answer = await self.http.get(path)
        return answer.raise_for_status()
