"""The life of a node.

Heartbeats move a node between online and offline; the operator's draining and maintenance stand above them
[seed]. Draining ends what runs on the node [2026-10 sdk; setting nodes.drain_ends_workloads], maintenance
only keeps new work away, and a removed node is gone for good: it has to be enrolled again.
"""

from __future__ import annotations

from simulator.domain import capacity
from simulator.domain.capacity import NODE_STATES, Node
from simulator.kernel.machine import NEW, SAME, Machine, row
from simulator.kernel.operation import Area
from simulator.kernel.world import World
from simulator.resources.clusters import lifecycle as clusters
from simulator.resources.vms import lifecycle as vms

OPERATOR = {"draining": "drain", "maintenance": "maintain", "removed": "remove", "online": "reopen"}
"""What the operator's word does."""

PRESENT = ("online", "offline", "draining", "maintenance")
SETTLING = ("fall_silent", "answer", "remove")
"""After these there is nothing more to wait for: neither the first heartbeat nor the missed ones."""

# fmt: off
NODE_LIFE = Machine("Node", NODE_STATES, [
    # trigger            from                                    to
    row("add",           NEW,                                    "online"),
    row("enrol",         NEW,                                    "offline"),
    row("fall_silent",   "online",                               "offline"),
    row("fall_silent",   ("offline", "draining", "maintenance"), SAME),
    row("answer",        "offline",                              "online"),
    row("answer",        ("online", "draining", "maintenance"),  SAME),
    row("drain",         ("online", "offline", "maintenance"),   "draining"),
    row("drain",         "draining",                             SAME),
    row("maintain",      ("online", "offline", "draining"),      "maintenance"),
    row("maintain",      "maintenance",                          SAME),
    row("reopen",        ("draining", "maintenance"),            "online"),
    row("reopen",        ("online", "offline"),                  SAME),
    row("reopen_silent", ("draining", "maintenance"),            "offline"),
    row("reopen_silent", ("online", "offline"),                  SAME),
    row("remove",        PRESENT,                                "removed"),
], refusals={
    "fall_silent":   {"*": "NODE_DECOMMISSIONED"},
    "answer":        {"*": "NODE_DECOMMISSIONED"},
    "drain":         {"*": "NODE_DECOMMISSIONED"},
    "maintain":      {"*": "NODE_DECOMMISSIONED"},
    "reopen":        {"*": "NODE_DECOMMISSIONED"},
    "reopen_silent": {"*": "NODE_DECOMMISSIONED"},
    "remove":        {"*": "NODE_DECOMMISSIONED"},
})
# fmt: on

area = Area("Provider", scope="admin", machine=NODE_LIFE, feature="provider")


# -- transitions -------------------------------------------------------------------------------------------


def move(world: World, node: Node, trigger: str, *, alive: bool | None = None) -> Node:
    """Carry out one row of the table, and let what is on the node bear it."""
    before = node.status
    target = NODE_LIFE.step(before, trigger, f"node {node.hostname}").target_from(before)
    if trigger in SETTLING:
        world.clock.cancel_of(node.id)
    node = world.change(node, status=target, alive=node.alive if alive is None else alive)
    if target == before:
        return node
    told = {"resource": node.id, "name": node.hostname, "from": before, "to": target}
    outer, world.cause = world.cause, world.note("transition", **told, trigger=trigger)
    vms.node_changed(world, node)
    clusters.node_changed(world, node)
    if target == "removed" or (target == "draining" and world.settings.flag("nodes.drain_ends_workloads")):
        for claim in capacity.occupied(world, node):
            capacity.free(world, claim.id)
    world.cause = outer
    return world.get(Node, node.id)


def set_state(world: World, node: Node, status: str) -> Node:
    """The operator's word; a node that fell silent meanwhile is offline as soon as it is reopened [seed]."""
    trigger = OPERATOR[status]
    return move(world, node, "reopen_silent" if trigger == "reopen" and not node.alive else trigger)


# -- timers ------------------------------------------------------------------------------------------------


@area.timer("node.heartbeat")
def beat(world: World, node_id: str) -> None:
    """A node is heard: for the first time, or after a silence that was to end."""
    move(world, world.get(Node, node_id), "answer", alive=True)


@area.timer("node.silence")
def miss_heartbeats(world: World, node_id: str, until_ms: int | None) -> None:
    """The silence of a node has lasted long enough to be noticed, unless it is over."""
    node = world.get(Node, node_id)
    if until_ms is not None and until_ms <= world.now_ms:
        world.change(node, alive=True)
    else:
        fall_silent(world, node, until_ms)


def fall_silent(world: World, node: Node, until_ms: int | None) -> Node:
    """A node is missed; it answers again at a moment, or when somebody says so."""
    node = move(world, node, "fall_silent", alive=False)
    if until_ms is not None:
        world.clock.at(until_ms, "node.heartbeat", (node.id,), cause=world.cause)
    return node
