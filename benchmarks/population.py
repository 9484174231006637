"""Worlds with as many VMs as wanted, made the way a fixture makes them, and a client in them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

from simulator import assets
from simulator.contract import Contract
from simulator.domain import access
from simulator.engine import Courier, Simulator
from simulator.kernel.operation import Reply, Request
from simulator.kernel.world import World
from simulator.resources.vms.lifecycle import Vm
from simulator.worlds import DEFAULT

CONTRACT = Contract(assets.contract_document())

LOCATIONS = ("us-east", "us-west", "ca-central", "eu-west", "eu-north", "ap-southeast")
GPU_NODE: dict[str, Any] = {
    "gpu_model": "rtx-4090",
    "units": [1] * 8,
    "vcpu": 128,
    "ram_gb": 512,
    "disk_gb": 8000,
}
PAIRS_NODE: dict[str, Any] = {
    "gpu_model": "a100-sxm-80gb",
    "units": [2] * 4,
    "vcpu": 128,
    "ram_gb": 1024,
    "disk_gb": 8000,
}
CPU_NODE: dict[str, Any] = {"vcpu": 64, "ram_gb": 256, "disk_gb": 4000}
SPARE_GPU_NODES = 64

KINDS: tuple[dict[str, Any], ...] = (
    *({"gpu_model": "rtx-4090"},) * 3,
    {"gpu_model": "a100-sxm-80gb", "gpu_count": 2},
    {"size": "small"},
)
STATES = (*("running",) * 7, "stopped", "failed", "terminated", "deploying")
"""Eleven, against five kinds: so every kind occurs in every state."""

BALANCE_CENTS = 10**11
HALF_A_DAY_S = 43_200


@cache
def world_of(vms: int) -> World:
    """The first moment of a world with so many VMs; whoever wants to change it takes a fork."""
    return assets.open_world(DEFAULT, populated(vms, STATES), seed=0)


def populated(vms: int, states: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """The default fixture with another fleet and with VMs of these states; `more` replaces other sections."""
    fixture = assets.load_fixture(DEFAULT)
    del fixture["claims"]
    accounts = [{"organization": "acme", "balance_cents": BALANCE_CENTS}]
    return {**fixture, "nodes": fleet(vms), "accounts": accounts, "vms": launched(vms, states), **more}


def fleet(vms: int) -> list[dict[str, Any]]:
    """Room for every VM, were they all running, and then some."""
    nodes = [
        *[GPU_NODE] * (vms * 3 // 5 // 8 + SPARE_GPU_NODES),
        *[PAIRS_NODE] * (vms // 5 // 4 + 1),
        *[CPU_NODE] * (vms // 5 // 32 + 1),
    ]
    return [
        {"hostname": f"node-{at}", "location": LOCATIONS[at % len(LOCATIONS)], **node}
        for at, node in enumerate(nodes)
    ]


def launched(vms: int, states: tuple[str, ...]) -> list[dict[str, Any]]:
    """All of one organization, one after the other in the half day before the world begins."""
    return [
        {
            "name": f"vm-{at}",
            "organization": "acme",
            "status": states[at % len(states)],
            "running_for_s": HALF_A_DAY_S - at * HALF_A_DAY_S // vms,
            **KINDS[at % len(KINDS)],
        }
        for at in range(vms)
    ]


class Client(NamedTuple):
    """Someone with the key of the organization that has the VMs."""

    simulator: Simulator
    organization_id: str
    headers: dict[str, str]

    def request(self, method: str, path: str, body: Any = None) -> Request:
        """{org} in the path is the organization."""
        path, _, query = path.replace("{org}", self.organization_id).partition("?")
        return Request(method, path, query, self.headers, b"" if body is None else json.dumps(body).encode())

    def ask(self, request: Request) -> Reply:
        reply = self.simulator.call(request)
        assert reply.status == 200, reply
        return reply

    def ids(self, status: str, count: int) -> list[str]:
        """Ids of VMs of a status, spread evenly over all of them."""
        ids = [vm.id for vm in self.simulator.world.rows(Vm) if vm.status == status]
        assert len(ids) >= count, f"{count} VMs {status} are wanted, there are {len(ids)}"
        return [ids[at * len(ids) // count] for at in range(count)]


def client_of(genesis: World, courier: Courier | None = None) -> Client:
    """A client of a simulator that begins with this world."""
    key, secret = access.fixture_keys(genesis)[0]
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    return Client(Simulator(CONTRACT, genesis, courier), key.organization_id, headers)
