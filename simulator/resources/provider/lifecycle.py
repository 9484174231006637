"""The life of a node.

Heartbeats move a node between online and offline; the operator's draining and maintenance stand above them
[seed]. Draining ends what runs on the node [2026-10 sdk; setting nodes.drain_ends_workloads], maintenance
only keeps new work away, and a removed node is gone for good: it has to be enrolled again.

A node with notice does not end what runs on it at once: it takes no new work, its running VMs give `node
leaving at …` as their reason [2026-10 sdk], and when that moment comes they end as ever. Until then it counts
as draining, also where it is to be removed, and another word of the operator calls it off [choice].
"""

from __future__ import annotations

from simulator.domain import capacity
from simulator.domain.capacity import NODE_STATES, Node
from simulator.kernel.instant import SECOND_MS
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
AWAITED = ("node.heartbeat", "node.silence")
"""The timers of that wait."""
LEAVE = "node.leave"

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
        wait_no_more(world, node)
    node = world.change(node, status=target, alive=node.alive if alive is None else alive)
    if target == before:
        return node
    told = {"resource": node.id, "name": node.hostname, "from": before, "to": target}
    outer, world.cause = world.cause, world.note("transition", **told, trigger=trigger)
    if node.leaving_at_ms is None:
        _bear(world, node)
    world.cause = outer
    return world.get(Node, node.id)


def _bear(world: World, node: Node) -> None:
    """Let what is on a node bear what its status means."""
    vms.node_changed(world, node)
    clusters.node_changed(world, node)
    if _ends_work(world, node.status):
        for claim in capacity.occupied(world, node):
            capacity.free(world, claim.id)


def _ends_work(world: World, status: str) -> bool:
    drained = status == "draining" and world.settings.flag("nodes.drain_ends_workloads")
    return drained or status == "removed"


def wait_no_more(world: World, node: Node) -> None:
    """Whether the node is heard is settled."""
    for timer in AWAITED:
        world.clock.cancel_of(node.id, timer)


def set_state(world: World, node: Node, status: str) -> Node:
    """The operator's word; a node that fell silent meanwhile is offline as soon as it is reopened [seed]."""
    trigger = OPERATOR[status]
    NODE_LIFE.step(node.status, trigger, f"node {node.hostname}")
    leaving_at_ms = _leaving_at_ms(world, node, status)
    if leaving_at_ms != node.leaving_at_ms:
        node = world.change(node, leaving_at_ms=leaving_at_ms)
    world.clock.cancel_of(node.id, LEAVE)
    if leaving_at_ms is not None:
        world.clock.at(leaving_at_ms, LEAVE, (node.id, status), cause=world.cause)
        return move(world, node, "drain")
    return move(world, node, "reopen_silent" if trigger == "reopen" and not node.alive else trigger)


def _leaving_at_ms(world: World, node: Node, status: str) -> int | None:
    """When a status ends what runs on a node that gives notice; said again, it comes no later [choice]."""
    if not (node.notice_seconds and node.in_use and _ends_work(world, status)):
        return None
    return node.leaving_at_ms or world.now_ms + node.notice_seconds * SECOND_MS


# -- timers ------------------------------------------------------------------------------------------------


@area.timer("node.heartbeat")
def beat(world: World, node_id: str) -> None:
    """A node is heard: for the first time, or after a silence that was to end."""
    move(world, world.get(Node, node_id), "answer", alive=True)


@area.timer(LEAVE)
def leave(world: World, node_id: str, status: str) -> None:
    """The moment has come that was announced: the node is drained, or removed."""
    node = world.change(world.get(Node, node_id), leaving_at_ms=None)
    if status == node.status:
        _bear(world, node)
    else:
        move(world, node, OPERATOR[status])


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
