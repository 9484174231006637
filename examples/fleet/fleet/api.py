"""The OpenRelay API as this project uses it. It knows nothing of any simulator."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

import httpx

LIVE = "https://api.openrelay.inc"
TRIES = 6


class Refused(Exception):
    """The API says no, and asking again will not help."""

    def __init__(self, answer: httpx.Response) -> None:
        body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        self.status, self.code = answer.status_code, body.get("code", "")
        super().__init__(f"{self.status} {self.code}: {body.get('error', '')}")


class Api:
    """What may be asked twice is asked again when no answer comes, on 429 and on 5xx."""

    def __init__(self, base_url: str = "", key: str = "", org: str = "") -> None:
        self.org = org or os.environ["ORG_ID"]
        self._http = httpx.Client(
            base_url=base_url or os.environ.get("OPENRELAY_BASE_URL", LIVE),
            headers={"Authorization": f"Bearer {key or os.environ['OPENRELAY_API_KEY']}"},
            timeout=20,
        )

    def get(self, path: str, **query: Any) -> Any:
        return self.patiently(lambda: self._http.get(path, params=query))

    def post(self, path: str, body: Any = None) -> Any:
        """Ask for a change that may be asked for twice."""
        return self.patiently(lambda: self._http.post(path, json=body))

    def vms(self, name: str) -> list[dict[str, Any]]:
        """The live VMs of a name, from all pages."""
        path, query, found = f"/v1/orgs/{self.org}/vms", {"activeOnly": "true"}, []
        while True:
            page = self.get(path, **query)
            found += [vm for vm in page["items"] if vm["name"] == name]
            if not page.get("nextCursor"):
                return found
            query["cursor"] = page["nextCursor"]

    def create_vm(self, name: str, **wanted: Any) -> dict[str, Any]:
        """Our VM of this name. It is looked for before each attempt: the last may have been carried out."""

        def once() -> httpx.Response | dict[str, Any]:
            there = self.vms(name)
            return (
                there[0]
                if there
                else self._http.post(f"/v1/orgs/{self.org}/vms/create", json={"name": name, **wanted})
            )

        created: dict[str, Any] = self.patiently(once)
        return created

    def patiently(self, once: Callable[[], Any]) -> Any:
        """Ask until there is an answer that counts. Raises Refused, or what httpx raised last."""
        for number in range(TRIES):
            pause_s, last = 2.0**number * random.uniform(1, 1.25), number == TRIES - 1
            try:
                answer = once()
            except httpx.TransportError:
                if last:
                    raise
            else:
                if not isinstance(answer, httpx.Response):
                    return answer
                if answer.is_success:
                    return answer.json() if answer.content else None
                if last or not (answer.status_code == 429 or answer.status_code >= 500):
                    raise Refused(answer)
                pause_s = max(pause_s, float(answer.headers.get("Retry-After", 0)))
            time.sleep(pause_s)
        raise AssertionError("the last try returns or raises")
