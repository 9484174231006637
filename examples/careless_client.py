"""A trainer as many are written: it creates a VM, looks after it while it trains, and terminates it.

On an ordinary day it does its work. What it does on a bad one shows

    openrelay-simulator run answers-lost -- python examples/careless_client.py [GPU-MODEL]
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.client import HTTPException
from typing import Any
from urllib.request import Request, urlopen

BASE, KEY, ORG = (os.environ[name] for name in ("OPENRELAY_BASE_URL", "OPENRELAY_API_KEY", "ORG_ID"))
SIMULATOR = os.environ.get("OPENRELAY_SIM_URL")
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}

MODEL = sys.argv[1] if len(sys.argv) > 1 else "rtx-3090"
WANTED = {"name": "trainer", "gpuModelId": MODEL, "imageUrl": "registry.example/acme/trainer:2.1"}
TRAINING = 40
"""Minutes."""


def ask(method: str, path: str, body: object = None) -> Any:
    """Ask the API."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(BASE + path, data, HEADERS, method=method), timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def create() -> str:
    """Create the VM, at the fifth attempt if need be."""
    for attempt in range(5):
        try:
            vm: str = ask("POST", f"/v1/orgs/{ORG}/vms/create", WANTED)["id"]
            return vm
        except (HTTPException, OSError) as problem:
            print(f"attempt {attempt + 1} did not work:", problem)
    raise SystemExit("giving up")


def start() -> str:
    """Create a VM and wait until it runs; when that takes minutes, create another."""
    for _ in range(5):
        vm = create()
        for _ in range(18):
            status = ask("GET", f"/v1/vms/{vm}")["status"]
            if status == "running":
                return vm
            if status == "failed":
                break
            wait(15)
        print("it does not start, trying another")
    raise SystemExit("giving up")


def train(vm: str) -> str:
    """Train, and look every minute whether the VM is still there; answers the VM it ended on."""
    for _ in range(TRAINING):
        wait(60)
        if ask("GET", f"/v1/vms/{vm}")["status"] != "running":
            print("the VM is gone, going on with another")
            vm = start()
    return vm


def end(vm: str) -> None:
    try:
        ask("POST", f"/v1/vms/{vm}/terminate")
    except (HTTPException, OSError) as problem:
        print("it is going down anyway:", problem)


def wait(seconds: float) -> None:
    """In the simulator time is virtual, and passes at once."""
    if SIMULATOR is None:
        time.sleep(seconds)
    else:
        body = json.dumps({"seconds": seconds}).encode()
        urlopen(f"{SIMULATOR}/_sim/clock/advance", body).close()


if __name__ == "__main__":
    end(train(start()))
    print("trained")
