"""What a provider sees of its nodes, and what it may do with them."""

from __future__ import annotations

from typing import Any

from simulator.domain.capacity import Node
from simulator.kernel.operation import Call
from simulator.resources.provider.enrolment import Enrolment
from simulator.resources.provider.lifecycle import area, set_state
from simulator.resources.provider.tokens import ProvisioningToken
from simulator.resources.provider.views import node_view

DEFAULT_CLASS = "persistent"
"""Of a node that did not come with a token [choice]."""


@area.operation("listProviderNodes")
def list_provider_nodes(call: Call) -> list[dict[str, Any]]:
    """Newest first; removed ones only where they are asked for [2026-10 sdk]. Not in pages."""
    world, query = call.world, call.query
    wanted = query.get("status")
    removed_too = query.get("includeRemoved") or wanted == "removed"
    return [
        node_view(world, node)
        for node in reversed(world.select(Node, "organization", call.organization_id))
        if (node.status != "removed" or removed_too)
        and wanted in (None, node.status)
        and query.get("class") in (None, _class_of(call, node))
    ]


def _class_of(call: Call, node: Node) -> str:
    enrolment = call.world.find(Enrolment, node.id)
    return enrolment.node_class if enrolment else DEFAULT_CLASS


@area.operation(
    "updateProviderNode",
    write=True,
    finds=Node,
    effects="→ status; draining ends what runs, after the node's notice",
)
def update_provider_node(call: Call, node: Node) -> dict[str, Any]:
    """The operator's word; 400 for a node that was removed [2026-10 sdk]."""
    return node_view(call.world, set_state(call.world, node, call.body["status"]))


@area.operation("getProviderStats")
def get_provider_stats(call: Call) -> dict[str, Any]:
    """Removed nodes count nowhere [2026-10 sdk]; draining and paused ones in the total alone."""
    world, organization_id = call.world, call.organization_id
    states = [node.status for node in world.select(Node, "organization", organization_id)]
    tokens = world.select(ProvisioningToken, "organization", organization_id)
    return {
        "totalNodes": len(states) - states.count("removed"),
        "onlineNodes": states.count("online"),
        "offlineNodes": states.count("offline"),
        "activeTokens": sum(token.status(world.now_ms) == "active" for token in tokens),
    }
