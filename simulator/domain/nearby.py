"""Which hosts are near: this machine and private networks.

A name is judged by its text alone. Nothing is looked up for it: offline a look-up may hang, and it would tell
a name server who is to be called.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

NETWORKS = tuple(
    ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
"""Loopback and private addresses. Link-local ones are left out: a cloud's metadata service is one."""

ENDINGS = (".localhost", ".local", ".internal", ".test", ".home.arpa")
"""Domains that are reserved for private use. A name without a dot, such as a container's, is private too."""


def is_near(host: str) -> bool:
    """Whether a host is loopback or private: an address by its network, a name by its ending [choice]."""
    address = _address(host)
    if address is not None:
        return any(address in network for network in NETWORKS)
    name = host.lower().rstrip(".")
    return "." not in name or name.endswith(ENDINGS)


def is_address(host: str) -> bool:
    """Whether a host is written as an IP address."""
    return _address(host) is not None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
