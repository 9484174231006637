"""What becomes of a cluster: start, health, scale, rolling restart, loss of nodes, end.

The status follows from the replicas. Whatever changes one of them ends in `assess`, which holds the status
against their health. A restart of a cluster that serves takes down one replica at a time [choice: rolling];
a lost node's replicas are started on others by themselves [docs page]. All rows are [choice].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.domain import events, metering, workload
from simulator.domain.capacity import Fit, Node
from simulator.kernel.clock import Grade
from simulator.kernel.instant import SECOND_MS
from simulator.kernel.machine import NEW, SAME
from simulator.kernel.world import World
from simulator.resources.clusters import replicas
from simulator.resources.clusters.replicas import of_run, present, wanted
from simulator.resources.clusters.states import (
    LIFECYCLE,
    WANTED,
    Cluster,
    Replica,
    area,
    label,
    replica_area,
)

# -- transitions -------------------------------------------------------------------------------------------


def move(
    world: World, cluster: Cluster, trigger: str, *, fits: Sequence[Fit] = (), reason: str | None = None
) -> Cluster:
    """Carry out one row of the table: the row, its replicas, timers, event."""
    step = LIFECYCLE.step(cluster.status, trigger, label(cluster))
    if step.target == SAME:
        return cluster
    before = cluster
    cluster = world.change(
        cluster,
        status=step.target,
        reason=next(word for word in (reason, step.reason, cluster.reason) if word is not None),
        run=cluster.run + 1,
        updated_at_ms=world.now_ms,
        **_consequences(world, step.target),
    )
    told = {"resource": cluster.id, "name": cluster.name, "from": before.status, "to": cluster.status}
    cause = world.note("transition", **told, trigger=trigger, reason=cluster.reason)
    outer, world.cause = world.cause, cause
    _move_replicas(world, before, cluster, fits)
    cluster = world.get(Cluster, cluster.id)
    if step.event:
        events.record(world, cluster.organization_id, step.event, cluster, event_data(cluster))
    world.cause = outer
    return cluster


def _consequences(world: World, target: str) -> dict[str, Any]:
    """Fields that follow from the status a cluster arrives in."""
    fields: dict[str, Any] = {"to_roll": (), "deadline_ms": None}
    if target != "degraded":
        fields |= {"unserved_since_ms": None, "retried": False}
    return fields | ({"terminated_at_ms": world.now_ms} if target == "terminated" else {})


def _move_replicas(world: World, before: Cluster, cluster: Cluster, fits: Sequence[Fit]) -> None:
    """What a new status of a cluster means for its replicas."""
    if cluster.status == "pending":
        _queue(world, cluster)
    elif cluster.status == "deploying":
        _start(world, before, cluster, list(fits))
    elif cluster.status in ("stopped", "failed", "terminated"):
        for replica in present(world, cluster.id):
            _lay_down(world, world.get(Replica, replica.id), cluster.status)


def _lay_down(world: World, replica: Replica, status: str) -> None:
    if replica.status == "migrating" or (status == "terminated" and replica.status in WANTED):
        replicas.end(world, replica)
    elif status == "stopped" and replica.status in WANTED:
        replicas.move(world, replica, "stop")
    elif status == "failed" and replica.status in WANTED:
        replicas.move(world, replica, "give_up")


def event_data(cluster: Cluster) -> dict[str, Any]:
    """The id [seed], and why [choice]."""
    data = {"clusterId": cluster.id, "status": cluster.status}
    return data | ({"statusReason": cluster.reason} if cluster.reason else {})


# -- starting ----------------------------------------------------------------------------------------------


def _start(world: World, before: Cluster, cluster: Cluster, fits: list[Fit]) -> None:
    """Start the replicas: new ones, those that were stopped, or those that serve, one after the other. Those
    of a cluster that has waited find their places by themselves."""
    if before.status == NEW:
        add_replicas(world, cluster.id, fits)
    elif before.status in ("stopped", "failed"):
        for replica in wanted(world, cluster.id):
            replicas.move(world, replica, "place", fit=_take(fits, replica.image_on))
    elif before.status != "pending":
        _begin_roll(world, cluster)
    _plan_deadline(world, cluster.id)


def _queue(world: World, cluster: Cluster) -> None:
    """Let the replicas wait; each takes the next place that it fits, or one that is free now [choice]."""
    for _ in range(cluster.replica_count):
        replicas.move(world, world.put(replicas.new_replica(world, cluster.id)), "wait")
    workload.admit_later(world)


def add_replicas(world: World, cluster_id: str, fits: Sequence[Fit]) -> None:
    for fit in fits:
        replica = world.put(replicas.new_replica(world, cluster_id))
        replicas.move(world, replica, "create", fit=fit)


def _take(fits: list[Fit], node_id: str) -> Fit:
    """One of the places: on the node that has the image, where one is."""
    at = next((at for at, fit in enumerate(fits) if fit.node.id == node_id), 0)
    return fits.pop(at)


def _plan_deadline(world: World, cluster_id: str) -> None:
    """The moment at which a start that is not over has come to nothing; a rolling restart moves it on."""
    due_ms = world.now_ms + world.settings.whole("clusters.deadline_s") * SECOND_MS
    world.change(world.get(Cluster, cluster_id), deadline_ms=due_ms)
    args = (cluster_id, due_ms)
    world.clock.at(due_ms, "cluster.deadline", args, cause=world.cause, grade=Grade.watch)


def _begin_roll(world: World, cluster: Cluster) -> None:
    """Restart what serves, the lowest number first; what had failed to start is started again at once."""
    rows = wanted(world, cluster.id)
    to_roll = tuple(replica.id for replica in rows if replica.status == "running")
    world.change(world.get(Cluster, cluster.id), to_roll=to_roll)
    for replica in rows:
        if replica.status == "error":
            replicas.place_or_wait(world, replica)
    _roll_on(world, cluster.id)


def _roll_on(world: World, cluster_id: str) -> None:
    """Take down the next replica of a rolling restart, once none is starting.

    One that does not come back halts it: those behind it keep serving, and the deadline passes [choice].
    """
    cluster = world.get(Cluster, cluster_id)
    rows = wanted(world, cluster_id)
    left = [replica for replica in rows if replica.id in cluster.to_roll and replica.status == "running"]
    if not left or any(replica.status == "provisioning" for replica in rows):
        return
    world.change(cluster, to_roll=tuple(replica.id for replica in left[1:]))
    replicas.move(world, left[0], "roll")
    _plan_deadline(world, cluster_id)


# -- scaling -----------------------------------------------------------------------------------------------


def scale(world: World, cluster: Cluster, count: int, fits: Sequence[Fit]) -> Cluster:
    """To another number of replicas: new ones on these places, or fewer.

    Those that are not healthy go first, and of equals the one with the highest number.
    """
    told = {"resource": cluster.id, "name": cluster.name, "from": cluster.status, "to": cluster.status}
    cause = world.note("transition", **told, trigger="scale", replicas=[cluster.replica_count, count])
    outer, world.cause = world.cause, cause
    fewer = cluster.replica_count - count
    world.change(cluster, replica_count=count, updated_at_ms=world.now_ms)
    add_replicas(world, cluster.id, fits)
    victims = sorted(wanted(world, cluster.id), key=lambda replica: (replica.healthy, -replica.number))
    for replica in victims[: max(0, fewer)]:
        replicas.end(world, replica)
    _roll_on(world, cluster.id)
    assess(world, cluster.id)
    world.cause = outer
    return world.get(Cluster, cluster.id)


# -- health ------------------------------------------------------------------------------------------------


def assess(world: World, cluster_id: str) -> None:
    """Hold the status of a cluster against its replicas."""
    cluster = world.get(Cluster, cluster_id)
    rows = wanted(world, cluster_id)
    healthy = len(world.bucket(Replica, "healthy", cluster_id))
    missed = [replica for replica in rows if replica.missed]
    if cluster.status == "pending" and any(replica.status == "provisioning" for replica in rows):
        move(world, cluster, "place")
    elif cluster.status == "deploying" and healthy == len(rows) and not cluster.to_roll:
        move(world, cluster, "serve")
    elif cluster.status == "running" and missed:
        degrade(world, cluster)
    elif cluster.status == "degraded" and healthy and not missed:
        move(world, cluster, "serve")
    elif cluster.status == "degraded":
        _watch_over(world, cluster, healthy)


def degrade(world: World, cluster: Cluster) -> None:
    healthy = len(world.bucket(Replica, "healthy", cluster.id))
    reason = f"{healthy} of {cluster.replica_count} replicas are healthy"
    _watch_over(world, move(world, cluster, "degrade", reason=reason), healthy)


def _watch_over(world: World, cluster: Cluster, healthy: int) -> None:
    """Note since when a degraded cluster serves nothing, and act when it has lasted too long."""
    since, now = cluster.unserved_since_ms, world.now_ms
    span_ms = world.settings.whole("clusters.fail_after_s") * SECOND_MS
    if healthy:
        world.change(cluster, unserved_since_ms=None, retried=False)
    elif since is None:
        world.change(cluster, unserved_since_ms=now)
        args = (cluster.id, now)
        world.clock.at(now + span_ms, "cluster.unserved", args, cause=world.cause, grade=Grade.watch)
    elif now - since >= span_ms:
        _retry_or_fail(world, cluster)


def _retry_or_fail(world: World, cluster: Cluster) -> None:
    """Nothing has served for too long: new replicas where there is a place, once; else it fails."""
    if any(replica.status == "provisioning" for replica in wanted(world, cluster.id)):
        return
    if cluster.retried or not _start_anew(world, cluster):
        seconds = world.settings.whole("clusters.fail_after_s")
        move(world, cluster, "fail", reason=f"no healthy replica for {seconds} s, and no place for a new one")
    else:
        world.change(world.get(Cluster, cluster.id), retried=True)


def _start_anew(world: World, cluster: Cluster) -> bool:
    """Start a new replica for each one that is no good, where there is a place; whether there was any."""
    started = False
    for replica in wanted(world, cluster.id):
        fit = replicas.find_place(world, cluster.shape)
        if fit is None:
            break
        if replica.status == "running":
            migrating = replicas.move(world, replica, "lose_place")
            replicas.move(world, replicas.successor_of(world, migrating), "create", fit=fit)
        else:
            replicas.move(world, replica, "place", fit=fit)
        started = True
    return started


def begin_serving(world: World, replica: Replica) -> None:
    """A start is over: it serves, the one that it replaces may go, and the next one may be restarted."""
    replica = replicas.move(world, replica, "started")
    former = world.find(Replica, replica.replaces)
    if former is not None and former.status == "migrating":
        replicas.end(world, former)
    _roll_on(world, replica.cluster_id)
    assess(world, replica.cluster_id)


# -- timers ------------------------------------------------------------------------------------------------


@replica_area.timer("replica.started")
def end_start(world: World, replica_id: str, run: int) -> None:
    """A start is over."""
    replica = of_run(world, replica_id, run)
    if replica:
        begin_serving(world, replica)


@replica_area.timer("replica.deadline")
def miss_start(world: World, replica_id: str, run: int) -> None:
    """A start that did not end in time has come to nothing."""
    replica = of_run(world, replica_id, run)
    if replica and replica.status == "provisioning":
        replicas.move(world, replica, "fail")
        assess(world, replica.cluster_id)


@replica_area.timer("replica.fails")
def fails(world: World, replica_id: str, reason: str) -> None:
    """A start came to nothing; a replica keeps no reason."""
    replica = world.get(Replica, replica_id)
    if replica.status == "provisioning":
        replicas.move(world, replica, "fail")
        assess(world, replica.cluster_id)


@replica_area.timer("replica.unhealthy")
def fail_checks(world: World, replica_id: str, run: int, since_ms: int) -> None:
    """The health check that makes a replica unhealthy, unless one has succeeded meanwhile."""
    replica = of_run(world, replica_id, run)
    if replica and (replica.failing_since_ms, replica.failing_until_ms) == (since_ms, None):
        replicas.move(world, replica, "unhealthy")
        assess(world, replica.cluster_id)


@replica_area.timer("replica.healthy")
def pass_check(world: World, replica_id: str, run: int, until_ms: int) -> None:
    """The health check that makes it healthy again, unless it has begun to fail anew."""
    replica = of_run(world, replica_id, run)
    if replica and replica.failing_until_ms == until_ms:
        replicas.move(world, replica, "healthy")
        assess(world, replica.cluster_id)


@replica_area.timer("replica.ended")
def tear_down(world: World, replica_id: str, run: int) -> None:
    """A terminating replica is gone, and its place free."""
    replica = of_run(world, replica_id, run)
    if replica:
        replicas.move(world, replica, "ended")


@replica_area.timer("replica.admit")
def admit(world: World) -> None:
    """Replicas that wait, oldest first, take what has become free."""
    for replica in world.select(Replica, "queue", "pending"):
        replicas.place_or_wait(world, replica)
        assess(world, replica.cluster_id)


@area.timer("cluster.deadline")
def miss_deadline(world: World, cluster_id: str, due_ms: int) -> None:
    """A start that is not over: degraded when something serves, else failed. What is late is missed now."""
    cluster = world.get(Cluster, cluster_id)
    if cluster.status != "deploying" or cluster.deadline_ms != due_ms:
        return
    for replica in wanted(world, cluster_id):
        world.change(replica, expected=True)
    if world.bucket(Replica, "healthy", cluster_id):
        degrade(world, cluster)
    else:
        seconds = world.settings.whole("clusters.deadline_s")
        move(world, cluster, "fail", reason=f"no replica was healthy within {seconds} s")


@area.timer("cluster.unserved")
def end_patience(world: World, cluster_id: str, since_ms: int) -> None:
    """A degraded cluster has had no healthy replica for as long as it may."""
    cluster = world.get(Cluster, cluster_id)
    if cluster.status == "degraded" and cluster.unserved_since_ms == since_ms:
        assess(world, cluster_id)


# -- what happens around it --------------------------------------------------------------------------------


def node_changed(world: World, node: Node) -> None:
    """Let the replicas of a node bear what its new status means for them: a lost one is started elsewhere."""
    drained = node.status == "draining" and world.settings.flag("nodes.drain_ends_workloads")
    if not drained and node.status not in ("offline", "removed"):
        return
    lost = world.select(Replica, "node", node.id)
    for replica in lost:
        replicas.give_place_up(world, world.get(Replica, replica.id))
    for cluster_id in dict.fromkeys(replica.cluster_id for replica in lost):
        assess(world, cluster_id)


def hand_over(world: World, cluster: Cluster, organization_id: str) -> Cluster:
    """Give a cluster to another organization. Its replicas go on where they are, in the new owner's sessions.

    The registry login is the former owner's and is dropped [choice].
    """
    told = {"resource": cluster.id, "name": cluster.name, "from": cluster.status, "to": cluster.status}
    outer = world.cause
    world.cause = world.note("transition", **told, trigger="transfer", organization=organization_id)
    rows = present(world, cluster.id)
    billed = [replica for replica in rows if metering.close_session(world, replica.id)]
    cluster = world.change(
        cluster,
        organization_id=organization_id,
        registry_credential_id="",
        updated_at_ms=world.now_ms,
    )
    for replica in billed:
        fields = replicas.session_fields(world, replica)
        metering.open_session(world, metering.new_session(world, **fields))
    world.cause = outer
    return cluster


def stoppable(world: World, organization_id: str) -> list[Cluster]:
    """What an organization runs, oldest first."""
    rows = world.select(Cluster, "live", organization_id)
    return [cluster for cluster in rows if LIFECYCLE.find(cluster.status, "auto_stop")]
