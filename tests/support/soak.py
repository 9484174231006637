"""A soak: mixed load with faults on a live clock, and what holds at the end of it.

`python -m tests.support.soak --minutes 10` serves four worlds at 600 virtual seconds per second to eight
clients that do whatever comes to mind. It fails for an error of ours, for an invariant that does not hold at
the end, and for memory that grows by more than what has ended leaves behind: its rows.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

from simulator.adapters.courier import Courier
from simulator.adapters.server import Server
from simulator.adapters.web import create_app
from simulator.domain import access
from simulator.engine import ClockState, Simulator
from simulator.kernel.world import World
from simulator.scenario.rules import load_rules
from simulator.worlds import Opening, Worlds
from tests.support.invariants import check_world

RATE = 600
WORLDS = ("one", "two", "three", "four")
CLIENTS = 8
MOST_VMS = 4
"""Of a client at a time; more are terminated first."""
KB_A_ROW = 2.5
"""What memory may grow by for each row that comes after a fifth of the time: itself, and its indexes."""
WARM = 5
"""Minutes after which journals and threads have their size."""
FAULTS: list[dict[str, Any]] = [
    {"on": "request", "probability": 0.01, "do": {"lose_answer": True}},
    {"on": "request", "probability": 0.01, "do": {"respond": {"status": 503, "retry_after": 1}}},
    {"on": "request", "probability": 0.01, "do": {"garble": True}},
    {"on": "request", "probability": 0.01, "do": {"truncate": {"bytes": 10}}},
    {"on": "request", "probability": 0.01, "do": {"delay": {"seconds": 10, "jitter": 10}}},
    {"on": "request", "operation": "list*", "probability": 0.05, "do": {"stale": {"seconds": 60}}},
    {"on": "webhook", "probability": 0.1, "do": {"duplicate": True}},
    {"on": "webhook", "probability": 0.1, "do": {"reorder": True}},
    {"on": "webhook", "probability": 0.1, "do": {"drop": True}},
    {"on": "lifecycle", "probability": 0.05, "do": {"fail": True}},
    {"on": "lifecycle", "probability": 0.05, "do": {"delay": {"seconds": 100}}},
    {"on": "placement", "probability": 0.05, "do": {"refuse": True}},
]


class Client(Thread):
    """Does one thing after the other until time is over."""

    def __init__(self, server: Server, one: Simulator, number: int, until_s: float) -> None:
        super().__init__(daemon=True)
        self.random = Random(number)
        self.server, self.until_s = server, until_s
        key, secret = access.fixture_keys(one.world)[0]
        self.org, self.headers = key.organization_id, {"Authorization": f"Bearer {secret}"}
        self.headers["Content-Type"] = "application/json"
        self.hook = f"{server.url}/_sim/webhooks/inbox/{number}?world={one.name}"
        self.answers: Counter[str] = Counter()
        self.ours: list[str] = []

    def run(self) -> None:
        self.connection = HTTPConnection(self.server.host, self.server.port, timeout=60)
        self.ask(
            "POST", f"/v1/orgs/{self.org}/webhooks/create", {"name": "w", "url": self.hook, "events": []}
        )
        while time.monotonic() < self.until_s:
            self.do_something()

    def do_something(self) -> None:
        vms = f"/v1/orgs/{self.org}/vms"
        page = self.ask("GET", f"{vms}?activeOnly=true&limit=20") or {"items": []}
        mine = [vm["id"] for vm in page.get("items", [])]
        for vm_id in mine[MOST_VMS:]:
            self.ask("POST", f"/v1/vms/{vm_id}/terminate")
        what = self.random.random()
        if what < 0.05:
            self.ask("POST", f"{vms}/create", {"name": "soak", "gpuModelId": "rtx-3090"})
        elif what < 0.07:
            self.ask("POST", f"{vms}/create", {"name": "soak", "resourceSize": "small"})
        elif what < 0.2 and mine:
            verb = self.random.choice(("stop", "restart", "terminate", "reboot"))
            self.ask("POST", f"/v1/vms/{self.random.choice(mine)}/{verb}")
        elif what < 0.25:
            self.ask("POST", f"/v1/orgs/{self.org}/billing/deposit", {"amountCents": 5000})
        elif what < 0.5 and mine:
            self.ask("GET", f"/v1/vms/{self.random.choice(mine)}")
        else:
            paths = ("billing/balance", "usage", "webhooks", "clusters", "snapshots", "members")
            self.ask("GET", f"/v1/orgs/{self.org}/{self.random.choice(paths)}")

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The body of an answer, None where none came. What a fault did not do is an error of ours."""
        raw = b"" if body is None else json.dumps(body).encode()
        try:
            self.connection.request(method, path, raw, self.headers)
            response = self.connection.getresponse()
            content = response.read()
        except (HTTPException, OSError):
            self.connection.close()
            self.answers["cut"] += 1
            return None
        self.answers[str(response.status)] += 1
        if response.headers["X-Sim-Fault"] is None and response.status >= 500:
            self.ours.append(f"{method} {path}: {response.status} {content[:200]!r}")
        try:
            found = json.loads(content or b"{}")
        except ValueError:
            return None
        return found if isinstance(found, dict) and response.status < 400 else None


def memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    worlds = Worlds(Courier())
    create_app(worlds)
    for number, name in enumerate(WORLDS):
        clock = ClockState(mode="live", rate=RATE)
        one = worlds.open(name, Opening(seed=number, clock=clock))
        one.do("balance.credit", {"name": "acme", "cents": 10_000_000})
        one.let("faults.load", {}, lambda world: load_rules(world, FAULTS))
    with Server(worlds, port=0) as server:
        until_s = time.monotonic() + minutes * 60
        clients = [Client(server, worlds.get(WORLDS[n % 4]), n, until_s) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        stopped = [worlds.get(name) for name in WORLDS]
        sizes = _watch(clients, stopped, minutes)
        for one in stopped:
            one.set_clock(ClockState(mode="manual"))
    _report(clients, [one.world for one in stopped], sizes, minutes)


def _rows(one: Simulator) -> int:
    with one.reading() as world:
        return sum(1 for kind in world.kinds() for _ in world.rows(kind))


def _watch(clients: list[Client], there: list[Simulator], minutes: float) -> list[tuple[float, int]]:
    """Memory and rows ten times on the way, printed as it goes."""
    sizes = []
    for tenth in range(1, 11):
        time.sleep(minutes * 6)
        sizes.append((memory_mb(), sum(map(_rows, there))))
        calls = sum(sum(client.answers.values()) for client in clients)
        told = f"{calls:8} calls  {sizes[-1][0]:7.1f} MB  {sizes[-1][1]:8} rows"
        print(f"{tenth * minutes / 10:5.1f} min  {told}", flush=True)
    for client in clients:
        client.join()
    return sizes


def _report(
    clients: list[Client], there: list[World], sizes: list[tuple[float, int]], minutes: float
) -> None:
    answers = sum((client.answers for client in clients), Counter[str]())
    print("answers:", dict(sorted(answers.items())))
    ours = [line for client in clients for line in client.ours]
    bugs = [entry.facts for world in there for entry in world.journal if entry.kind == "bug"]
    for world in there:
        check_world(world)
    (early_mb, early_rows), (late_mb, late_rows) = sizes[1], sizes[-1]
    growth = (late_mb - early_mb) * 1024 / max(1, late_rows - early_rows)
    print(f"invariants hold in {len(there)} worlds; after a fifth of the time {growth:.2f} KB for each row")
    assert not ours, ours[:5]
    assert not bugs, bugs[:5]
    assert growth < KB_A_ROW or minutes < WARM, f"memory grew by {growth:.2f} KB for each new row"


if __name__ == "__main__":
    main()
