"""What a machine that has enrolled is handed: certificates, addresses and secrets of its own.

All of it has the form of the real thing and none of it opens anything: the texts in the certificates are the
word `simulated` and numbers from the world's seed. Nothing of it is kept; enrolling again answers new ones.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from simulator.domain import access
from simulator.domain.capacity import Node
from simulator.kernel.streams import digest_number
from simulator.kernel.world import World

OVERLAY = 100 << 24 | 96 << 16
"""100.96.0.0, the overlay network; its first 256 addresses are the service's own."""
PEM_WIDTH = 64


def bundle(world: World, node: Node, pool: str, number: int) -> dict[str, Any]:
    """The answer to an enrolment; `number` decides the node's address on the overlay network."""
    domain = world.settings.word("vms.endpoint_domain")
    gateway = f"gateway.{domain}"
    return {
        "nodeId": node.id,
        "datacenter": node.location_id,
        "nebulaCert": _own(world, "NEBULA CERTIFICATE"),
        "nebulaCa": _authority(world, "NEBULA CERTIFICATE", "nebula"),
        "nebulaOverlayIp": overlay_ip(256 + number),
        "nebulaLighthouses": [{"nebulaIp": overlay_ip(1), "endpoint": f"lighthouse.{domain}:4242"}],
        "nomadCa": _authority(world, "CERTIFICATE", "nomad"),
        "nomadClientCert": _own(world, "CERTIFICATE"),
        "nomadClientKey": _own(world, "PRIVATE KEY"),
        "nomadServers": [f"{overlay_ip(host)}:4647" for host in (2, 3, 4)],
        "nomadIntroToken": world.streams.uuid("bundle"),
        "nomadPool": pool,
        "dataPlaneCert": _own(world, "CERTIFICATE"),
        "dataPlaneKey": _own(world, "PRIVATE KEY"),
        "dataPlaneCa": _authority(world, "CERTIFICATE", "data plane"),
        "gatewayAddr": f"{gateway}:443",
        "gatewayServerName": gateway,
        "nodeAgentToken": access.mint(world, "nat_", "bundle"),
    }


def overlay_ip(number: int) -> str:
    """The address of a host of the overlay network."""
    address = OVERLAY + number
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def _own(world: World, label: str) -> str:
    """Something that is the node's alone."""
    return _pem(label, *(world.streams.number("bundle") for _ in range(3)))


def _authority(world: World, label: str, name: str) -> str:
    """What is the same for every node of a world."""
    seed = world.streams.seed
    return _pem(label, *(digest_number(f"{seed}\0{name} authority\0{part}") for part in range(3)))


def _pem(label: str, *numbers: int) -> str:
    text = b64encode(b"simulated" + b"".join(number.to_bytes(32, "big") for number in numbers)).decode()
    lines = [text[at : at + PEM_WIDTH] for at in range(0, len(text), PEM_WIDTH)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))
