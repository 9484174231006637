"""Resources that change hands at random: one owner at a time, and every second of use on exactly one bill."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simulator.domain.metering import UsageSession
from simulator.resources.transfers import RESOURCES, Transfer
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Answer, Cloud
from tests.support.effort import walks
from tests.support.invariants import check_world
from tests.support.parties import Party, party

SLUGS = ("acme", "globex", "initech")
VMS = ("gpu", "cpu")
DONE = {"accept": "completed", "reject": "rejected", "cancel": "cancelled"}
WEEK_S = 7 * 86_400


class HandOver(RuleBasedStateMachine):
    """Three organizations, and two VMs and a cluster that wander between them."""

    @initialize(open_at=st.sampled_from(("running", "deploying")))
    def open(self, open_at: str) -> None:
        self.cloud = Cloud(billing__open_at=open_at)
        self.billed = ("running", "deploying") if open_at == "deploying" else ("running",)
        self.parties = [party(self.cloud, slug) for slug in SLUGS]
        self.keys = {who.org: who.ssh_key() for who in self.parties}
        for who in self.parties:
            self.cloud.do("balance.credit", name=who.slug, cents=3_000)
        self.resources = [
            ("vm", self.cloud.run_vm("gpu", gpuModelId="rtx-4090")["id"]),
            ("vm", self.cloud.run_vm("cpu", gpuModelId=None, resourceSize="small")["id"]),
            ("cluster", self.new_cluster()),
        ]

    def new_cluster(self) -> str:
        body = {"name": "chat", "gpuModelId": "l40s", "replicaCount": 2}
        cluster_id: str = self.cloud.post("/v1/orgs/{org}/clusters/create", body).body["id"]
        self.cloud.simulator.advance_until_status(cluster_id, "running")
        return cluster_id

    def owner(self, which: int) -> Party:
        kind, resource_id = self.resources[which]
        row: Any = self.cloud.world.get(RESOURCES[kind].row, resource_id)
        return next(who for who in self.parties if who.org == row.organization_id)

    def ask(self, answer: Answer) -> Answer:
        assert answer.status < 500, answer
        return answer

    @rule(which=st.integers(0, 2), by=st.integers(0, 2), to=st.integers(0, 2))
    def offer(self, which: int, by: int, to: int) -> None:
        kind, resource_id = self.resources[which]
        mine = self.owner(which) == self.parties[by]
        answer = self.ask(self.parties[by].offer(resource_id, self.parties[to], kind))
        assert mine or answer.status == 404

    @rule(which=st.integers(0, 2), to=st.integers(0, 2), seconds=st.sampled_from((0, 1, 3599)))
    def hand_over(self, which: int, to: int, seconds: int) -> None:
        """An offer that is accepted at once or soon, unless something stands in its way."""
        kind, resource_id = self.resources[which]
        offer = self.ask(self.owner(which).offer(resource_id, self.parties[to], kind))
        self.cloud.advance(seconds)
        if offer.status == 200:
            self.answer_as(self.parties[to], offer.body["id"], "accept")

    @rule(which=st.integers(1, 2), to=st.integers(0, 2))
    def let_an_offer_lapse(self, which: int, to: int) -> None:
        kind, resource_id = self.resources[which]
        self.ask(self.owner(which).offer(resource_id, self.parties[to], kind))
        self.cloud.advance(WEEK_S)

    @rule(who=st.sampled_from(SLUGS))
    def earn(self, who: str) -> None:
        self.cloud.do("balance.credit", name=who, cents=20_000)

    @rule(which=st.integers(0, 30), by=st.integers(0, 2), verb=st.sampled_from(sorted(DONE)))
    def answer(self, which: int, by: int, verb: str) -> None:
        offers = self.cloud.rows(Transfer)
        if offers:
            self.answer_as(self.parties[by], offers[which % len(offers)].id, verb)

    def answer_as(self, who: Party, offer_id: str, verb: str) -> None:
        before, now_ms = self.cloud.world.get(Transfer, offer_id), self.cloud.world.now_ms
        body = {"sshKeyIds": [self.keys[who.org]]} if verb == "accept" else None
        answer = self.ask(who.post(f"/v1/transfers/{offer_id}/{verb}", body))
        after = self.cloud.world.get(Transfer, offer_id)
        concerned = before.organization_id if verb == "cancel" else before.target_organization_id
        if before.status != "pending" or who.org != concerned:
            assert (answer.status, after) == (404, before), answer
        elif answer.status == 204:
            assert after.status == DONE[verb], after
        else:
            assert verb == "accept", answer
            assert (after.status == "expired") == (now_ms >= before.expires_at_ms), after
            assert after.status != "completed", after

    @rule(which=st.integers(0, 2), verb=st.sampled_from(("stop", "restart", "restart")))
    def stop_or_restart(self, which: int, verb: str) -> None:
        kind, resource_id = self.resources[which]
        self.ask(self.owner(which).post(f"/v1/{kind}s/{resource_id}/{verb}"))

    @rule()
    def terminate_the_small_one(self) -> None:
        self.ask(self.owner(1).post(f"/v1/vms/{self.resources[1][1]}/terminate"))

    @rule(which=st.integers(0, 1))
    def snapshot_and_fork(self, which: int) -> None:
        who, vm_id = self.owner(which), self.resources[which][1]
        self.ask(who.post(f"/v1/vms/{vm_id}/snapshots", {"name": "now"}))
        for snapshot in who.get("/v1/orgs/{org}/snapshots").body[:1]:
            fork = self.ask(who.post("/v1/orgs/{org}/vms/fork", {"snapshotId": snapshot["id"]}))
            if fork.status == 200:
                assert who.post(f"/v1/vms/{fork.body['id']}/terminate").status == 200

    @rule(lost=st.booleans(), which=st.integers(0, 1))
    def lose_or_find_a_node(self, lost: bool, which: int) -> None:
        node_id = self.cloud.world.get(Vm, self.resources[which][1]).node_id
        self.cloud.do("node.offline" if lost else "node.online", id=node_id)

    @rule(cents=st.integers(1, 500))
    def change_a_price(self, cents: int) -> None:
        self.cloud.do("price.set", id="rtx-4090", tier="community", cents=cents)

    @rule(seconds=st.sampled_from((1, 59, 1234, 3600, 86_400, WEEK_S)))
    def wait(self, seconds: int) -> None:
        self.cloud.advance(seconds)

    @invariant()
    def each_has_one_owner_and_one_payer(self) -> None:
        if not hasattr(self, "resources"):
            return
        check_world(self.cloud.world)
        assert self.cloud.bugs() == []
        for kind, resource_id in self.resources:
            seen = [who.get(f"/v1/{kind}s/{resource_id}").status for who in self.parties]
            assert sorted(seen) == [200, 404, 404]
        self.sessions_of_all_payers_are_the_whole_use()

    def sessions_of_all_payers_are_the_whole_use(self) -> None:
        """They follow each other without a gap that was used, and add up to the time that was."""
        by_resource: dict[str, list[UsageSession]] = {}
        for row in self.cloud.rows(UsageSession):
            by_resource.setdefault(row.resource_id, []).append(row)
        for rows in by_resource.values():
            rows.sort(key=lambda row: (row.created_at_ms, row.ended_at_ms is None, row.ended_at_ms or 0))
            for before, after in pairwise(rows):
                assert before.ended_at_ms is not None, before
                assert before.ended_at_ms <= after.created_at_ms, (before, after)
        for _, vm_id in self.resources[:2]:
            spans = [row.span_ms(self.cloud.world.now_ms) for row in by_resource[vm_id]]
            assert sum(spans) == self.used_ms(vm_id)

    def used_ms(self, vm_id: str) -> int:
        """For how long a VM was in a status that is billed, as the journal tells it."""
        journal = self.cloud.world.journal
        assert journal.dropped == 0, "the journal no longer tells the whole story"
        moves = [
            entry for entry in journal if entry.kind == "transition" and entry.facts["resource"] == vm_id
        ]
        steps = [(entry.at_ms, entry.facts["to"]) for entry in moves if "to" in entry.facts]
        ends = [at_ms for at_ms, _ in steps[1:]] + [self.cloud.world.now_ms]
        spans = zip(steps, ends, strict=True)
        return sum(end - at_ms for (at_ms, status), end in spans if status in self.billed)


TestHandOver = HandOver.TestCase
TestHandOver.settings = walks(40, 40)
