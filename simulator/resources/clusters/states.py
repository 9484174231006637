"""What a cluster and a replica are, and the tables of what can become of them.

A cluster wants a number of replicas, each a container on one node with its own place and its own billing
session. Its status follows from their health: running while all serve, degraded while some do not, failed
when none does and none can [seed: event meanings; choice: the rows]. A cluster that finds no room is refused;
with the setting clusters.queue it waits as `pending` until the first of its replicas has a place [choice].
"""

from __future__ import annotations

from typing import Any, ClassVar

from simulator.domain import workload
from simulator.domain.capacity import Shape
from simulator.kernel.machine import NEW, SAME, Machine, row
from simulator.kernel.operation import Area
from simulator.kernel.world import Index, Row

STATES = ("pending", "deploying", "running", "degraded", "stopped", "failed", "terminated")
AT_WORK = ("deploying", "running", "degraded")
"""Where it can be scaled, and is stopped when the money is gone."""

NOT_GONE = STATES[:-1]
AT_REST = ("running", "degraded", "stopped", "failed")
"""Where no start is under way: it can be restarted, and change hands."""

REPLICA_STATES = (
    "pending",
    "provisioning",
    "running",
    "migrating",
    "stopped",
    "error",
    "terminating",
    "terminated",
)
WANTED = ("pending", "provisioning", "running", "stopped", "error")
"""States of the replicas a cluster counts on; the others are on their way out."""

PLACED = ("provisioning", "running", "terminating")
"""States in which a replica may hold a place; one that is terminating only if it had one."""


class Cluster(Row, frozen=True, kw_only=True):
    """One cluster. `run` counts its transitions."""

    states: ClassVar = STATES
    secret: ClassVar = ("deploy_token", "env")
    indexes: ClassVar = {
        "organization": Index(lambda cluster: cluster.organization_id),
        "live": Index(lambda cluster: cluster.organization_id if cluster.status != "terminated" else None),
        "name": Index(
            lambda cluster: (
                (cluster.organization_id, cluster.name) if cluster.status != "terminated" else None
            )
        ),
    }

    organization_id: str
    name: str
    status: str = NEW
    reason: str = ""
    run: int = 0
    updated_at_ms: int
    shape: Shape
    """Of one replica."""
    resource_size: str
    replica_count: int
    next_number: int = 0
    """The number of the replica that is made next."""
    image_url: str
    template_id: str = ""
    registry_credential_id: str = ""
    container_port: int = 80
    env: dict[str, str] = {}
    guest: dict[str, Any] = {}
    """Members of the request that only the containers read, and the detail shows as they came."""
    endpoint_host: str
    deploy_token: str
    to_roll: tuple[str, ...] = ()
    """Replicas that a rolling restart has not reached yet."""
    deadline_ms: int | None = None
    """When a start that is not over has come to nothing."""
    unserved_since_ms: int | None = None
    """Since when a degraded cluster has had no healthy replica."""
    served: int = 0
    """Requests that came to its endpoint."""
    retried: bool = False
    """A new start was made because none was healthy; the next time it fails."""
    terminated_at_ms: int | None = None


def _numbered(replica: Replica) -> tuple[int, str]:
    return replica.number, replica.id


def _in_line(replica: Replica) -> tuple[int, int, str]:
    """Oldest first; of one instant, the lower number."""
    return replica.created_at_ms, replica.number, replica.id


class Replica(Row, frozen=True, kw_only=True):
    """One container of a cluster. `run` counts its transitions: a timer of an earlier run does nothing."""

    states: ClassVar = REPLICA_STATES
    indexes: ClassVar = {
        "cluster": Index(lambda replica: replica.cluster_id, _numbered),
        "present": Index(
            lambda replica: replica.cluster_id if replica.status != "terminated" else None, _numbered
        ),
        "healthy": Index(lambda replica: replica.cluster_id if replica.healthy else None, _numbered),
        "node": Index(lambda replica: replica.node_id or None),
        "queue": Index(lambda replica: replica.status if replica.status == "pending" else None, _in_line),
    }

    cluster_id: str
    name: str
    """`<cluster>-<number>`: how actions name it."""
    number: int
    status: str = NEW
    run: int = 0
    node_id: str = ""
    """The node it has a place on."""
    image_on: str = ""
    """The node that has its image: a start there takes less."""
    start: str = "fresh"
    """How it starts, or last started: fresh, cached, in_place."""
    healthy: bool = False
    expected: bool = False
    """It has served, or stands in for one that has: while it is not healthy, it is missed."""
    replaces: str = ""
    """The replica that migrates until this one serves."""
    started_at_ms: int | None = None
    """Since when it runs; health checks count from here."""
    failing_since_ms: int | None = None
    """Since when its health checks fail."""
    failing_until_ms: int | None = None
    """Since when they succeed again; None while they fail."""
    terminated_at_ms: int | None = None

    @property
    def missed(self) -> bool:
        """Its cluster is the worse for it. A first start counts for nothing until it serves [choice]."""
        return not self.healthy and (self.expected or self.status in ("pending", "error"))


# fmt: off
LIFECYCLE = Machine("Cluster", STATES, [
    # trigger         from                       to            place   session told               reason
    row("create",     NEW,                       "deploying"),
    row("queue",      NEW,                       "pending"),
    row("place",      "pending",                 "deploying"),
    row("serve",      ("deploying", "degraded"), "running",    "keep", "keep", "cluster.running",  ""),
    row("degrade",    ("deploying", "running"),  "degraded",   "keep", "keep", "cluster.degraded"),
    row("fail",       ("deploying", "degraded"), "failed",     "keep", "keep", "cluster.failed"),
    row("scale",      AT_WORK,                   SAME),
    row("stop",       ("pending", *AT_WORK, "failed"), "stopped",    "keep", "keep", None, "user_stopped"),
    row("stop",       "stopped",                 SAME),
    row("auto_stop",  ("pending", *AT_WORK),     "stopped"),
    row("restart",    AT_REST,                   "deploying",  "keep", "keep", None, "user_restarted"),
    row("restart",    ("pending", "deploying"),  SAME),
    row("terminate",  NOT_GONE,                  "terminated", "keep", "keep", None, "user_terminated"),
    row("terminate",  "terminated",              SAME),
    row("transfer",   AT_REST,                   SAME),
], refusals={
    "scale":     {"*": "INVALID_CLUSTER_STATE"},
    "stop":      {"*": "CLUSTER_GONE"},
    "restart":   {"*": "CLUSTER_GONE"},
    "terminate": {},
    "transfer":  {"*": "INVALID_CLUSTER_STATE", "terminated": "CLUSTER_STATE_UNFIT"},
})

REPLICA_LIFE = Machine("Replica", REPLICA_STATES, [
    # trigger          from                         to              place    session  told
    row("create",      NEW,                         "provisioning", "claim", "begin"),
    row("wait",        (NEW, "error"),              "pending"),
    row("place",       ("pending", "stopped", "error"), "provisioning", "claim", "begin"),
    row("started",     "provisioning",              "running",      "keep",  "open",  "replica.healthy"),
    row("unhealthy",   "running",                   SAME,           "keep",  "keep",  "replica.unhealthy"),
    row("healthy",     "running",                   SAME,           "keep",  "keep",  "replica.healthy"),
    row("roll",        "running",                   "provisioning"),
    row("fail",        "provisioning",              "error",        "free",  "close"),
    row("fail",        "running",                   SAME),
    row("recover",     "error",                     "provisioning", "claim", "begin"),
    row("recover",     "running",                   SAME),
    row("lose_place",  "running",                   "migrating",    "free",  "close"),
    row("lose_place",  "provisioning",              "pending",      "free",  "close"),
    row("lose_place",  "terminating",               "terminated",   "free",  "keep",  "replica.terminated"),
    row("give_up",     ("pending", "provisioning", "running", "error"), "error", "free", "close"),
    row("stop",        WANTED,                      "stopped",      "free",  "close"),
    row("end",         (*WANTED, "migrating"),      "terminating",  "keep",  "close"),
    row("ended",       "terminating",               "terminated",   "free",  "keep",  "replica.terminated"),
], refusals={
    "fail":    {"*": "conflict"},
    "recover": {"*": "conflict"},
})
# fmt: on

area = Area("Clusters", scope="clusters", machine=LIFECYCLE)
replica_area = Area("Clusters", scope="clusters", machine=REPLICA_LIFE)
workload.QUEUES[Replica] = "replica.admit"


# -- words -------------------------------------------------------------------------------------------------


def label(cluster: Cluster) -> str:
    return f"cluster {cluster.name!r}"


def replica_label(replica: Replica) -> str:
    return f"replica {replica.name!r}"


def endpoint_url(cluster: Cluster) -> str:
    """One address for all replicas; requests go round robin over the healthy ones [choice]."""
    return f"https://{cluster.endpoint_host}"
