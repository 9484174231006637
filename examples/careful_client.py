"""A trainer that lives through bad days: it creates a VM, looks after it while it trains, and terminates it.

    openrelay-simulator run answers-lost -- python examples/careful_client.py [GPU-MODEL]

What it does that a careless one does not:

- It repeats what may be asked twice, and only that: after no answer, 429 and 5xx, with pauses that grow, some
  jitter, and never before Retry-After. Before it repeats a create it looks whether the first has happened.
- It reads what the cloud says: the stage of a start, `statusReason`, what can be had where capacity is out.
- It knows which states end a VM and which do not, and has an end to its patience.
- Whatever happens, it leaves nothing behind that costs money.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

BASE, KEY, ORG = (os.environ[name] for name in ("OPENRELAY_BASE_URL", "OPENRELAY_API_KEY", "ORG_ID"))
SIMULATOR = os.environ.get("OPENRELAY_SIM_URL")
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}

NAME = "trainer"
"""One VM of this name at the most: that is how a create is found again whose answer was lost."""
MODELS = (sys.argv[1] if len(sys.argv) > 1 else "rtx-3090", "l4", "rtx-3090")
"""The one that is wanted, then those that will do."""
IMAGES = ("registry.example/acme/trainer:2.1", "registry.example/acme/trainer:2.0")
"""The newest release, then the one that worked yesterday."""

TRAINING = 40
"""Minutes. A checkpoint goes to a bucket outside every minute, so that another VM can go on from there."""
TRIES = 12
STARTS = 5
UNMOVED_S = 400
"""So long may a start stay in one stage; the registry is slow at times."""
AWAY_S = 3600
"""So long may a VM be interrupted: it holds its node, is not billed, and comes back by itself."""

T = TypeVar("T")


class Unanswered(Exception):
    """No whole answer came. Whether the request was carried out, nobody knows."""

    retry_after_s = 0.0


class Refused(Exception):
    """The API says no."""

    def __init__(self, problem: HTTPError, body: dict[str, Any]) -> None:
        super().__init__(f"{problem.code} {body.get('code')}: {body.get('error')}")
        self.status = problem.code
        self.code = body.get("code", "")
        waits = problem.headers.get("Retry-After", "")
        self.retry_after_s = float(waits) if waits.isdecimal() else 0.0

    @property
    def passes(self) -> bool:
        """Whether it may be another answer later. 409, no capacity too, is none of those."""
        return self.status == 429 or self.status >= 500


class GaveUp(Exception):
    """Patience is over; the text says over what."""


# -- asking ------------------------------------------------------------------------------------------------


def ask(method: str, path: str, body: object = None) -> Any:
    """Ask once. Raises Refused, or Unanswered; a page of HTML, whatever its status, is no answer."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(BASE + path, data, HEADERS, method=method), timeout=60) as answer:
            return json.loads(answer.read() or b"null")
    except HTTPError as problem:
        raise Refused(problem, error_of(problem)) from None
    except (HTTPException, OSError, ValueError) as problem:
        raise Unanswered(f"{method} {path}: {problem}") from None


def error_of(problem: HTTPError) -> dict[str, Any]:
    """The body of an error; what a proxy answers has none."""
    try:
        body = json.loads(problem.read())
    except (HTTPException, OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def patiently(once: Callable[[], T]) -> T:
    """Do again what may be done twice, until it is answered with a yes, or a no that will not pass."""
    for pause_s in pauses():
        try:
            return once()
        except (Unanswered, Refused) as problem:
            if isinstance(problem, Refused) and not problem.passes:
                raise
            print("asking again:", problem)
            wait(max(pause_s, problem.retry_after_s) * random.uniform(1, 1.25))
    return once()


def pauses() -> Iterator[float]:
    """2 seconds, 4, 8, and so on, up to a minute."""
    for number in range(TRIES - 1):
        yield min(60.0, 2.0**number * 2)


def wait(seconds: float) -> None:
    """In the simulator time is virtual, and passes at once."""
    if SIMULATOR is None:
        time.sleep(seconds)
    else:
        body = json.dumps({"seconds": round(seconds, 3)}).encode()
        urlopen(f"{SIMULATOR}/_sim/clock/advance", body).close()


# -- VMs ---------------------------------------------------------------------------------------------------


def look(vm: str) -> dict[str, Any]:
    return patiently(lambda: ask("GET", f"/v1/vms/{vm}"))


def ours() -> list[dict[str, Any]]:
    """The VMs of our name that are not terminated, from all pages."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = ask("GET", f"/v1/orgs/{ORG}/vms?activeOnly=true&limit=50{cursor}")
        found += [vm for vm in page["items"] if vm["name"] == NAME]
        if not page.get("nextCursor"):
            return found
        cursor = f"&cursor={page['nextCursor']}"


def create(model: str, image: str) -> str:
    """The id of our VM. It is looked for before each attempt, so no create is carried out twice."""
    wanted = {"name": NAME, "gpuModelId": model, "imageUrl": image}

    def once() -> str:
        there = ours()
        vm: str = (there[0] if there else ask("POST", f"/v1/orgs/{ORG}/vms/create", wanted))["id"]
        return vm

    return patiently(once)


def create_what_can_be_had(image: str) -> str:
    """A VM of the model that is wanted, or else of one that there is room for."""
    try:
        return create(MODELS[0], image)
    except Refused as refused:
        if not refused.code.startswith("INSUFFICIENT_"):
            raise
        print("no room:", refused)
    rows = patiently(lambda: ask("GET", "/v1/gpu-availability"))
    placeable = {row["gpuModelId"] for row in rows if 1 in row["vm"]["placeableGpuCounts"]}
    model = next((model for model in MODELS if model in placeable), None)
    if model is None:
        raise GaveUp(f"there is none of {', '.join(MODELS)} to be had")
    return create(model, image)


def start() -> str:
    """A VM that runs. A start that fails or hangs is ended before another is made."""
    image = IMAGES[0]
    for _ in range(STARTS):
        vm = create_what_can_be_had(image)
        found = started(vm)
        if found["status"] == "running":
            return vm
        reason = found.get("statusReason") or f"stuck while {found.get('provisioningStage')}"
        print("it does not start:", reason)
        end(vm)
        if reason.startswith("container failed to start: "):
            image = IMAGES[-1]  # the same again would fail in the same way
    raise GaveUp(f"{STARTS} starts did not succeed")


def started(vm: str) -> dict[str, Any]:
    """Wait until a start is over, one way or the other, or does not move."""
    stage: str | None = None
    unmoved_s = 0
    while True:
        found = look(vm)
        if found["status"] != "deploying" or unmoved_s >= UNMOVED_S:
            return found
        unmoved_s = unmoved_s + 15 if found.get("provisioningStage") == stage else 0
        stage = found.get("provisioningStage")
        wait(15)


def train() -> None:
    """Train to the end, on as many VMs as it takes. Only minutes in which one runs count."""
    vm, done, away_s = start(), 0, 0
    while done < TRAINING:
        wait(60)
        found = look(vm)
        if found["status"] == "running":
            done, away_s = done + 1, 0
        elif found["status"] == "interrupted" and away_s < AWAY_S:
            away_s += 60  # the node is away: nothing is lost, and nothing is billed
        else:
            print(f"the VM is {found['status']} ({found.get('statusReason')}), going on with another")
            end(vm)
            vm, away_s = start(), 0


def end(vm: str) -> None:
    """Terminate, and see that it is so. It may be asked for as often as one likes."""
    if look(vm)["status"] != "terminated":
        patiently(lambda: ask("POST", f"/v1/vms/{vm}/terminate"))
        if look(vm)["status"] != "terminated":
            raise GaveUp(f"{vm} does not go away")


def main() -> None:
    try:
        train()
    finally:
        for vm in patiently(ours):
            end(vm["id"])
    print("trained")


if __name__ == "__main__":
    try:
        main()
    except (GaveUp, Refused, Unanswered) as problem:
        sys.exit(f"{type(problem).__name__}: {problem}")
