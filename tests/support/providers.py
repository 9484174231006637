"""A provider that brings machines, and what holds of its nodes and tokens at every moment."""

from __future__ import annotations

from typing import Any

from simulator.domain.access import Organization
from simulator.domain.capacity import Node
from simulator.kernel.world import World
from simulator.resources.provider.applications import ProviderApplication
from simulator.resources.provider.enrolment import Enrolment
from simulator.resources.provider.tokens import LISTED_MS, ProvisioningToken
from tests.support.cloud import Answer, Cloud
from tests.support.parties import Party

NODES = "/v1/orgs/{org}/provider/nodes"
TOKENS = "/v1/orgs/{org}/provider/tokens"
STATS = "/v1/orgs/{org}/provider/stats"
ENROL = "/v1/nodes/enroll"
RTX_4090 = "10de:2684"


def token_of(who: Party, **body: Any) -> str:
    """The secret of a new provisioning token."""
    answer = who.post(TOKENS, body)
    assert answer.status == 200, answer
    secret: str = answer.body["token"]
    return secret


def inventory(*counts: tuple[str, int], source: str = "lspci", **more: Any) -> dict[str, Any]:
    """What a machine tells of its GPUs: (PCI id, how many)."""
    devices = [{"pciDeviceId": pci_id, "count": count} for pci_id, count in counts]
    return {"version": 1, "source": source, "devices": devices, "nvswitchCount": 0, **more}


def enrol(cloud: Cloud, token: str, hostname: str | None = "rack-1", **body: Any) -> Answer:
    """A machine of 16 cores and 64 GB, for VMs unless the body says otherwise. None leaves a member out."""
    wanted = {
        "token": token,
        "hardwareFingerprint": f"fingerprint of {hostname}",
        "nebulaPubkey": "simulated",
        "hostname": hostname,
        "cpuCores": 16,
        "ramGb": 64,
        "runtime": "qemu",
        **body,
    }
    return cloud.post(ENROL, {k: v for k, v in wanted.items() if v is not None}, key="")


def enrolled(cloud: Cloud, token: str, hostname: str = "rack-1", **body: Any) -> str:
    """The id of a node that must be possible; it is not online yet."""
    answer = enrol(cloud, token, hostname, **body)
    assert answer.status == 200, answer
    node_id: str = answer.body["nodeId"]
    return node_id


# -- what always holds -------------------------------------------------------------------------------------


def nodes_belong_to_providers(world: World) -> None:
    """No host name is there twice, and who is offline is not heard."""
    names = [node.hostname for node in world.rows(Node) if node.status != "removed"]
    assert len(names) == len(set(names))
    for node in world.rows(Node):
        assert not (node.status == "offline" and node.alive), node
        leaving = [timer.due_ms for timer in world.clock.pending_of(node.id) if timer.name == "node.leave"]
        assert leaving == ([] if node.leaving_at_ms is None else [node.leaving_at_ms]), node
        assert node.leaving_at_ms is None or node.status == "draining", node
        if node.organization_id:
            assert world.get(Organization, node.organization_id).is_provider, node
    numbers = [row.number for row in world.rows(Enrolment)]
    assert sorted(numbers) == list(range(len(numbers)))
    for row in world.rows(Enrolment):
        assert world.get(Node, row.id).organization_id, row
    for application in world.rows(ProviderApplication):
        organization = world.get(Organization, application.id)
        assert organization.is_provider == (application.status == "approved"), application


def tokens_serve_no_more_nodes_than_they_are_for(world: World) -> None:
    for token in world.rows(ProvisioningToken):
        assert token.max_nodes == 0 or token.used_count <= token.max_nodes, token
        assert world.now_ms <= token.expires_at_ms + LISTED_MS, token
        assert world.get(Organization, token.organization_id).is_provider, token
