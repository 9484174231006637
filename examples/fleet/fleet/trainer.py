"""Trains on one VM, on another when that one is lost, and leaves none behind."""

from __future__ import annotations

import time

from fleet.api import Api, Refused

POLL_S = 5
START_S = 600
"""So long may a start take."""
AWAY_S = 1800
"""So long is an interrupted VM waited for: it keeps its disk and is not billed."""


class DidNotStart(Exception):
    pass


def train(api: Api, minutes: int, model: str = "rtx-3090", name: str = "trainer") -> int:
    """Train so many minutes; answers on how many VMs."""
    done, machines, away_s = 0, 1, 0
    try:
        vm = start(api, model, name)
        while done < minutes:
            time.sleep(60)
            status = api.get(f"/v1/vms/{vm}")["status"]
            if status == "running":
                done, away_s = done + 1, 0
            elif status == "interrupted" and away_s < AWAY_S:
                away_s += 60
            else:
                end(api, name)
                vm, machines, away_s = start(api, model, name), machines + 1, 0
        return machines
    finally:
        end(api, name)


def start(api: Api, model: str, name: str) -> str:
    """The id of a VM that runs. Raises DidNotStart."""
    try:
        vm: str = api.create_vm(name, gpuModelId=model)["id"]
    except Refused as refused:
        if refused.code != "INSUFFICIENT_GPU_CAPACITY":
            raise
        raise DidNotStart(f"no {model} is free") from None
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        found = api.get(f"/v1/vms/{vm}")
        if found["status"] == "running":
            return vm
        if found["status"] != "deploying":
            raise DidNotStart(f"{found['status']}: {found.get('statusReason')}")
        time.sleep(POLL_S)
    raise DidNotStart(f"not within {START_S} s")


def end(api: Api, name: str) -> None:
    for vm in api.vms(name):
        api.post(f"/v1/vms/{vm['id']}/terminate")
