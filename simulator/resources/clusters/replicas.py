"""Replicas: their transitions, their billing sessions, and their health.

A health check every 10 s would be an event every 10 s for ever. So nothing is scheduled while nothing
changes: a replica keeps since when its checks fail and since when they succeed again, the counts are computed
when somebody asks, and a timer is set only for the check on which its health changes.
"""

from __future__ import annotations

from typing import Any

from simulator.domain import capacity, events, workload
from simulator.domain.capacity import Fit, Shape
from simulator.domain.faults import lifecycle as faults
from simulator.kernel.clock import Grade
from simulator.kernel.instant import SECOND_MS
from simulator.kernel.machine import NEW, Capacity, Step
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World
from simulator.resources.clusters.states import REPLICA_LIFE, WANTED, Cluster, Replica, replica_label

FRESH_START = ("scheduling", "pulling_image", "booting")
"""What a start on a node without the image takes, in order [choice]."""


def wanted(world: World, cluster_id: str) -> list[Replica]:
    """The replicas a cluster counts on, by number."""
    return [replica for replica in present(world, cluster_id) if replica.status in WANTED]


def present(world: World, cluster_id: str) -> list[Replica]:
    """All that are not terminated, by number."""
    return world.select(Replica, "present", cluster_id)


def new_replica(world: World, cluster_id: str, **fields: Any) -> Replica:
    """A replica before its first transition, with the next number of its cluster."""
    cluster = world.get(Cluster, cluster_id)
    world.change(cluster, next_number=cluster.next_number + 1)
    return Replica(
        id=workload.new_id(world, "rep"),
        created_at_ms=world.now_ms,
        cluster_id=cluster.id,
        name=f"{cluster.name}-{cluster.next_number}",
        number=cluster.next_number,
        **fields,
    )


# -- transitions -------------------------------------------------------------------------------------------


def move(world: World, replica: Replica, trigger: str, *, fit: Fit | None = None) -> Replica:
    """Carry out one row of the table: capacity, meter, the row itself, timers, event."""
    step = REPLICA_LIFE.step(replica.status, trigger, replica_label(replica))
    before, target = replica.status, step.target_from(replica.status)
    workload.hold_place(world, replica.id, step, fit, torn_down=before == "terminating")
    replica = world.change(
        replica,
        status=target,
        run=replica.run + 1,
        **_place(replica, step, fit),
        **_consequences(world, replica, trigger, target),
    )
    told = {"resource": replica.id, "name": replica.name, "from": before, "to": target}
    outer, world.cause = world.cause, world.note("transition", **told, trigger=trigger)
    workload.run_meter(world, replica.id, step.meter, lambda: session_fields(world, replica))
    if target == "provisioning":
        _plan_start(world, replica)
    if step.event:
        cluster = world.get(Cluster, replica.cluster_id)
        data = {"clusterId": cluster.id, "replicaId": replica.id}
        events.record(world, cluster.organization_id, step.event, replica, data)
    world.cause = outer
    return replica


def _place(replica: Replica, step: Step, fit: Fit | None) -> dict[str, Any]:
    """Fields that follow from what a step does to the place. No disk outlives a replica's place."""
    if fit is not None:
        start = "cached" if fit.node.id == replica.image_on else "fresh"
        return {"node_id": fit.node.id, "start": start}
    return {"node_id": ""} if step.capacity is Capacity.free else {}


def _consequences(world: World, replica: Replica, trigger: str, target: str) -> dict[str, Any]:
    """Fields that follow from the status a replica arrives in, and from how."""
    if trigger in ("healthy", "unhealthy"):
        return {"healthy": trigger == "healthy"}
    well = {"failing_since_ms": None, "failing_until_ms": None}
    if target == "running":
        return well | {
            "healthy": True,
            "expected": True,
            "image_on": replica.node_id,
            "started_at_ms": world.now_ms,
        }
    gone = well | {"healthy": False}
    if trigger == "roll":
        return gone | {"start": "in_place"}
    if target == "stopped":
        return gone | {"expected": False}
    return gone | ({"terminated_at_ms": world.now_ms} if target == "terminated" else {})


def session_fields(world: World, replica: Replica) -> dict[str, Any]:
    """What a billing session of the replica says: the rate is the catalogue's of this moment."""
    cluster = world.get(Cluster, replica.cluster_id)
    return {
        "organization_id": cluster.organization_id,
        "resource_id": replica.id,
        "node_id": replica.node_id,
        "key": workload.usage_key(cluster.shape, cluster.resource_size),
        "count": cluster.shape.gpus or 1,
        "rate_cents": workload.rate_cents(world, cluster.shape, cluster.resource_size),
    }


def _plan_start(world: World, replica: Replica) -> None:
    span = start_ms(world, replica)
    step = faults.Step("replica", "provisioning", "replica.started", (replica.id, replica.run))
    faults.proceed(world, replica, step, span)
    deadline = world.now_ms + world.settings.whole("clusters.deadline_s") * SECOND_MS
    args = (replica.id, replica.run)
    world.clock.at(deadline, "replica.deadline", args, cause=world.cause, grade=Grade.watch)


def start_ms(world: World, replica: Replica) -> int | None:
    """How long its start takes; None when it never ends."""
    if replica.start != "fresh":
        return workload.draw_ms(
            world, f"replica.{'restart' if replica.start == 'cached' else 'restart_in_place'}"
        )
    spans = [workload.draw_ms(world, f"replica.{stage}") for stage in FRESH_START]
    return None if None in spans else sum(span for span in spans if span is not None)


def end(world: World, replica: Replica) -> None:
    """Let a replica go for good, and the one that it was to replace."""
    former = world.find(Replica, replica.replaces)
    ending = move(world, replica, "end")
    span = workload.draw_ms(world, "teardown")
    if span == 0:
        move(world, ending, "ended")
    else:
        step = faults.Step("replica", "terminating", "replica.ended", (ending.id, ending.run))
        faults.proceed(world, ending, step, span)
    if former is not None and former.status == "migrating":
        end(world, former)


def of_run(world: World, replica_id: str, run: int) -> Replica | None:
    """The replica of a timer, if it is still in the run the timer was set for."""
    replica = world.find(Replica, replica_id)
    return replica if replica and replica.run == run else None


# -- places ------------------------------------------------------------------------------------------------


def find_place(world: World, shape: Shape) -> Fit | None:
    """A place now, or None."""
    try:
        return capacity.place(world, shape)
    except Refusal:
        return None


def place_or_wait(world: World, replica: Replica) -> Replica:
    """Start on the best place there is; wait for one as pending where there is none."""
    fit = find_place(world, world.get(Cluster, replica.cluster_id).shape)
    if fit is not None:
        return move(world, replica, "create" if replica.status == NEW else "place", fit=fit)
    return replica if replica.status == "pending" else move(world, replica, "wait")


def give_place_up(world: World, replica: Replica) -> None:
    """Its node is lost. What served migrates, and a new replica takes over; what only started looks again."""
    if replica.healthy:
        replica = move(world, replica, "unhealthy")
    lost = move(world, replica, "lose_place")
    if lost.status == "migrating":
        place_or_wait(world, successor_of(world, lost))
    elif lost.status == "pending":
        place_or_wait(world, lost)


def successor_of(world: World, migrating: Replica) -> Replica:
    return world.put(
        new_replica(world, migrating.cluster_id, replaces=migrating.id, expected=migrating.expected)
    )


# -- health ------------------------------------------------------------------------------------------------


def _checks(world: World, replica: Replica, moment_ms: int) -> int:
    """How many health checks there have been up to a moment, the one with which it began to run left out."""
    assert replica.started_at_ms is not None, replica
    return (moment_ms - replica.started_at_ms) // _period_ms(world)


def _check_ms(world: World, replica: Replica, number: int) -> int:
    """The moment of a health check."""
    assert replica.started_at_ms is not None, replica
    return replica.started_at_ms + number * _period_ms(world)


def _period_ms(world: World) -> int:
    return world.settings.whole("clusters.health_check_s") * SECOND_MS


def last_check_ms(world: World, replica: Replica) -> int | None:
    """When a running replica was checked last; None for any other."""
    if replica.status != "running":
        return None
    return _check_ms(world, replica, _checks(world, replica, world.now_ms))


def consecutive_failures(world: World, replica: Replica) -> int:
    """Health checks failed in a row up to now; it counts up to what makes a replica unhealthy."""
    since, until = replica.failing_since_ms, replica.failing_until_ms
    if since is None:
        return 0
    last = _checks(world, replica, world.now_ms)
    last_failed = last if until is None else _checks(world, replica, until)
    failed = last_failed - _checks(world, replica, since)
    return min(failed, world.settings.whole("clusters.unhealthy_after")) if last == last_failed else 0


def begin_failing(world: World, replica: Replica) -> Replica:
    """From now on its checks fail; the one that makes it unhealthy is planned."""
    since, until = replica.failing_since_ms, replica.failing_until_ms
    if since is not None and until is None:
        return replica
    now = world.now_ms
    if (
        since is not None
        and until is not None
        and _checks(world, replica, until) == _checks(world, replica, now)
    ):
        return world.change(replica, failing_until_ms=None)
    replica = world.change(replica, failing_since_ms=now, failing_until_ms=None)
    number = _checks(world, replica, now) + world.settings.whole("clusters.unhealthy_after")
    args = (replica.id, replica.run, now)
    world.clock.at(_check_ms(world, replica, number), "replica.unhealthy", args, cause=world.cause)
    return replica


def end_failing(world: World, replica: Replica) -> Replica:
    """From now on its checks succeed; the next one makes an unhealthy replica healthy."""
    if replica.failing_since_ms is None or replica.failing_until_ms is not None:
        return replica
    now = world.now_ms
    replica = world.change(replica, failing_until_ms=now)
    if not replica.healthy:
        due_ms = _check_ms(world, replica, _checks(world, replica, now) + 1)
        world.clock.at(due_ms, "replica.healthy", (replica.id, replica.run, now), cause=world.cause)
    return replica
