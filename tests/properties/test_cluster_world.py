"""Clusters under random verbs, failures, losses of nodes and shortage; after each step all must hold."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simulator.domain.access import Organization
from simulator.resources.clusters.lifecycle import hand_over
from simulator.resources.clusters.states import LIFECYCLE, Cluster, Replica
from tests.support.cloud import Cloud
from tests.support.clusters import create
from tests.support.effort import walks
from tests.support.invariants import check_world

NODES = ("scl-l40s-1", "ams-l40s-1")
SPANS = (0, 1, 5, 10, 29, 30, 45, 60, 90, 300, 900)


class ClusterWorld(RuleBasedStateMachine):
    """Two clusters at the most, six GPUs on two nodes."""

    @initialize(
        open_at=st.sampled_from(("running", "deploying")),
        teardown=st.sampled_from((0, 20)),
        booting=st.sampled_from((25, "never")),
        drains=st.booleans(),
        queue=st.booleans(),
    )
    def open(self, open_at: str, teardown: int, booting: Any, drains: bool, queue: bool) -> None:
        self.cloud = Cloud(
            billing__open_at=open_at,
            timing__teardown_s=teardown,
            timing__replica__booting_s=booting,
            nodes__drain_ends_workloads=drains,
            clusters__queue=queue,
        )

    @property
    def clusters(self) -> list[Cluster]:
        return [row for row in self.cloud.rows(Cluster) if row.organization_id == self.cloud.org]

    @rule(name=st.sampled_from(("a", "b")), count=st.integers(1, 4), gpus=st.sampled_from((None, 2)))
    def create(self, name: str, count: int, gpus: int | None) -> None:
        body = {"replicaCount": count, "gpusPerReplica": gpus}
        assert create(self.cloud, name, **body).status in (200, 403, 409)

    @precondition(lambda self: self.clusters)
    @rule(
        verb=st.sampled_from(("stop", "restart", "restart", "terminate")),
        which=st.integers(0, 9),
        seconds=st.sampled_from(SPANS),
    )
    def verb(self, verb: str, which: int, seconds: int) -> None:
        cluster = self.clusters[which % len(self.clusters)]
        answer = self.cloud.post(f"/v1/clusters/{cluster.id}/{verb}")
        assert (LIFECYCLE.find(cluster.status, verb) is not None) or answer.status == 404
        self.cloud.advance(seconds)

    @precondition(lambda self: self.clusters)
    @rule(which=st.integers(0, 9), count=st.integers(1, 5))
    def scale(self, which: int, count: int) -> None:
        cluster = self.clusters[which % len(self.clusters)]
        answer = self.cloud.post(f"/v1/clusters/{cluster.id}/scale", {"replicaCount": count})
        assert answer.status in (200, 403, 409)

    @precondition(lambda self: self.cloud.rows(Replica))
    @rule(
        action=st.sampled_from(("replica.fail", "replica.fail", "replica.recover", "replica.proceed")),
        which=st.integers(0, 99),
        seconds=st.sampled_from(SPANS),
    )
    def happen(self, action: str, which: int, seconds: int) -> None:
        there = [row for row in self.cloud.rows(Replica) if row.status != "terminated"]
        if there:
            self.cloud.attempt(action, id=there[which % len(there)].id)
        self.cloud.advance(seconds)

    @rule(action=st.sampled_from(("node.offline", "node.online", "node.online")), name=st.sampled_from(NODES))
    def lose_or_find_a_node(self, action: str, name: str) -> None:
        self.cloud.attempt(action, name=name)

    @rule(
        status=st.sampled_from(("draining", "maintenance", "online", "online")), name=st.sampled_from(NODES)
    )
    def operate_a_node(self, status: str, name: str) -> None:
        self.cloud.attempt("node.set_status", name=name, status=status)

    @rule(action=st.sampled_from(("capacity.seize", "capacity.release")), gpus=st.sampled_from((1, 2, None)))
    def squeeze(self, action: str, gpus: int | None) -> None:
        self.cloud.attempt(action, gpu_model="l40s", **({} if gpus is None else {"gpus": gpus}))

    @rule(cents=st.integers(1, 5000), action=st.sampled_from(("balance.credit", "balance.debit")))
    def move_money(self, action: str, cents: int) -> None:
        self.cloud.attempt(action, name="acme", cents=cents)

    @precondition(lambda self: self.clusters)
    @rule()
    def give_one_away(self) -> None:
        globex = next(row for row in self.cloud.rows(Organization) if row.slug == "globex")
        cluster = self.clusters[0]
        if LIFECYCLE.find(cluster.status, "transfer"):
            hand_over(self.cloud.world, cluster, globex.id)

    @rule(seconds=st.sampled_from((*SPANS, 86_400)))
    def wait(self, seconds: int) -> None:
        assert self.cloud.advance(seconds).events < 2000, "nothing goes on for ever"

    @invariant()
    def everything_holds(self) -> None:
        if not hasattr(self, "cloud"):
            return
        check_world(self.cloud.world)
        version = self.cloud.world.version
        for cluster in self.clusters:
            assert self.cloud.get(f"/v1/clusters/{cluster.id}/detail").status == 200
        assert self.cloud.world.version - version <= 1, "a read changed more than when its key was last used"
        assert self.cloud.bugs() == []


TestClusterWorld = ClusterWorld.TestCase
TestClusterWorld.settings = walks(50, 50)
