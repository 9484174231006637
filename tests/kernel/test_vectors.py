"""The published vectors, which other tools computed, against the simulator's code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator import assets
from simulator.domain import capacity, signing
from simulator.domain.capacity import Node, Shape, Unit
from simulator.kernel import page
from simulator.kernel.money import usage_cents
from simulator.kernel.refusal import Refusal
from simulator.kernel.settings import Settings
from simulator.kernel.world import World


def vectors(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((assets.folder("fixtures") / "vectors" / f"{name}.json").read_bytes())
    return found


@pytest.mark.parametrize("case", vectors("signature")["cases"])
def test_signatures(case: dict[str, str]) -> None:
    body = case["body"].encode()
    assert signing.key_of(case["secret"]) == case["key"]
    assert signing.sign(case["key"], body) == case["signature"]
    assert signing.verify(case["secret"], body, case["signature"])
    assert not signing.verify(case["secret"], body + b" ", case["signature"])


@pytest.mark.parametrize("case", vectors("cost")["cases"])
def test_costs(case: dict[str, Any]) -> None:
    assert usage_cents(case["spanMs"], case["rateCents"]) == case["cents"]


@pytest.mark.parametrize("case", vectors("cursor")["cases"])
def test_cursors(case: dict[str, Any]) -> None:
    position = (case["createdAtMs"], case["id"])
    assert page.encode_cursor(case["scope"], *position) == case["cursor"]
    assert page.decode_cursor(case["scope"], case["cursor"]) == position
    with pytest.raises(Refusal, match="was not given out by this list"):
        page.decode_cursor(case["scope"] + "/other", case["cursor"])


PLACEMENTS = [
    pytest.param(fleet["nodes"], case, id=f"{fleet['name']}: {case['ask']}")
    for fleet in vectors("placement")["fleets"]
    for case in fleet["cases"]
]


@pytest.mark.parametrize(("nodes", "case"), PLACEMENTS)
def test_placements(nodes: list[dict[str, Any]], case: dict[str, Any]) -> None:
    world = World("vectors", 0, 0, Settings())
    for node in nodes:
        world.put(read_node(node))
    if "refusal" in case:
        with pytest.raises(Refusal) as caught:
            capacity.place(world, read_shape(case["ask"]))
        assert caught.value.code == case["refusal"]
        assert caught.value.facts.get("placeableGpuCounts") == case.get("placeableGpuCounts")
    else:
        found = capacity.place(world, read_shape(case["ask"]))
        assert (found.node.id, list(found.units)) == (case["node"], case["units"])
        assert (found.vcpu, found.guest_ram_mb) == (case["vcpu"], case["guestRamMb"])


def read_node(node: dict[str, Any]) -> Node:
    return Node(
        id=node["id"],
        hostname=node["id"],
        location_id=node["location"],
        region=node["region"],
        status=node.get("status", "online"),
        tier=node.get("tier", "community"),
        gpu_model_id=node.get("gpuModel", ""),
        units=tuple(Unit(gpus) for gpus in node["units"]),
        taken=tuple(node["taken"]),
        vcpu=node["vcpu"],
        ram_mb=node["ramMb"],
        disk_gb=node["diskGb"],
        used_vcpu=node.get("usedVcpu", 0),
        used_ram_mb=node.get("usedRamMb", 0),
        used_disk_gb=node.get("usedDiskGb", 0),
    )


def read_shape(ask: dict[str, Any]) -> Shape:
    gpus = ask.get("gpus", 0)
    return Shape(
        gpu_model_id="rtx-4090" if gpus else "",
        gpus=gpus,
        vram_gb=24 if gpus else 0,
        vcpu=ask.get("vcpu", 0),
        guest_ram_mb=ask.get("guestRamMb", 0),
        disk_gb=ask.get("diskGb", 100 * gpus),
        tier=ask.get("tier", "community"),
        regions=tuple(ask.get("regions", ())),
        fallback=ask.get("fallback", False),
        node_id=ask.get("nodeId", ""),
    )
