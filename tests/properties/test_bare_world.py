"""Random calls, actions and advances; after each step everything that must hold is looked at."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simulator.domain.capacity import Node
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Answer, Cloud
from tests.support.effort import walks
from tests.support.invariants import check_world
from tests.support.money import deposit, set_policy
from tests.support.parties import Party, party
from tests.support.providers import NODES, RTX_4090, STATS, TOKENS, enrol, inventory
from tests.support.vms import SSH_KEY

MODELS = (None, "rtx-4090", "rtx-3090", "h100-sxm", "a100-sxm-80gb", "l40s", "no-such-model")
VERBS = ("stop", "restart", "reboot", "terminate")


class BareWorld(RuleBasedStateMachine):
    """A client, the outside world and time, in any order."""

    @initialize(
        profile=st.sampled_from(("2026-06", "2026-07", "2026-10")),
        seed=st.integers(0, 3),
        queue=st.booleans(),
        open_at=st.sampled_from(("running", "deploying")),
        rounding=st.sampled_from(("floor", "nearest", "up")),
        teardown=st.sampled_from((0, 20)),
    )
    def open(self, profile: str, seed: int, queue: bool, **billing: Any) -> None:
        self.cloud = Cloud(
            seed=seed,
            profile=profile,
            vms__queue=queue,
            vms__require_ssh_key=False,
            billing__open_at=billing["open_at"],
            billing__rounding=billing["rounding"],
            timing__teardown_s=billing["teardown"],
        )
        self.seen: list[str] = []

    def ask(self, answer: Answer) -> Answer:
        """Every answer is one of the contract's, and never a failure of ours."""
        assert answer.status < 500 or answer.status == 503, answer
        if answer.status >= 400:
            assert answer.body["error"], answer
            assert answer.code, answer
        return answer

    @rule(
        model=st.sampled_from(MODELS),
        count=st.sampled_from((None, 1, 2, 3, 4, 8)),
        tier=st.sampled_from(("community", "verified", "spot")),
        size=st.sampled_from((None, "small", "xl")),
        disk=st.sampled_from((None, 10, 2000)),
    )
    def create(self, **wish: Any) -> None:
        names = {"model": "gpuModelId", "count": "gpuCount", "size": "resourceSize", "disk": "diskSizeGb"}
        body = {names.get(key, key): value for key, value in wish.items() if value is not None}
        answer = self.ask(self.cloud.post("/v1/orgs/{org}/vms/create", {"name": "any", **body}))
        if answer.status == 200:
            self.seen.append(answer.body["id"])

    @rule(
        model=st.sampled_from((None, "rtx-3090", "a100-sxm-80gb")),
        tier=st.sampled_from(("community", "spot")),
        seconds=st.integers(0, 100),
    )
    def launch(self, model: str | None, tier: str, seconds: int) -> None:
        """A VM that usually finds a place, and time for it to run."""
        wish = {"gpuModelId": model, "gpuCount": 2 if model == "a100-sxm-80gb" else 1} if model else {}
        answer = self.ask(
            self.cloud.post("/v1/orgs/{org}/vms/create", {"name": "sound", "tier": tier, **wish})
        )
        if answer.status == 200:
            self.seen.append(answer.body["id"])
        self.cloud.advance(seconds)

    @precondition(lambda self: self.seen)
    @rule(verb=st.sampled_from(VERBS), which=st.integers(0, 99))
    def verb(self, verb: str, which: int) -> None:
        self.ask(self.cloud.post(f"/v1/vms/{self.pick(which)}/{verb}"))

    @precondition(lambda self: self.seen)
    @rule(which=st.integers(0, 99), size=st.integers(0, 2100))
    def resize(self, which: int, size: int) -> None:
        self.ask(self.cloud.post(f"/v1/vms/{self.pick(which)}/resize-disk", {"newSizeGb": size}))

    @precondition(lambda self: self.seen)
    @rule(which=st.integers(0, 99))
    def look(self, which: int) -> None:
        vm_id = self.pick(which)
        version = self.cloud.world.version
        for path in (f"/v1/vms/{vm_id}", f"/v1/vms/{vm_id}/detail", f"/v1/vms/{vm_id}/burn"):
            assert {self.ask(who.get(path)).status for who in self.parties()} == {200, 404}
        for path in ("vms?limit=3", "billing/balance", "usage/current"):
            assert self.ask(self.cloud.get("/v1/orgs/{org}/" + path)).status == 200
        assert self.ask(self.cloud.get("/v1/gpu-availability")).status == 200
        assert self.cloud.world.version - version <= 2, "a read changed more than when keys were used"

    def pick(self, which: int) -> str:
        return self.seen[which % len(self.seen)]

    @precondition(lambda self: self.seen)
    @rule(
        action=st.sampled_from(("vm.exit", "vm.fail", "vm.reclaim", "vm.proceed")), which=st.integers(0, 99)
    )
    def happen(self, action: str, which: int) -> None:
        self.cloud.attempt(action, id=self.pick(which))

    @rule(model=st.sampled_from(("l40s", None)), count=st.integers(1, 3), seconds=st.integers(0, 100))
    def deploy_a_cluster(self, model: str | None, count: int, seconds: int) -> None:
        body = {"name": "chat", "replicaCount": count, **({"gpuModelId": model} if model else {})}
        self.ask(self.cloud.post("/v1/orgs/{org}/clusters/create", body))
        self.cloud.advance(seconds)

    @rule(verb=st.sampled_from(("scale", "stop", "restart", "terminate")), count=st.integers(1, 4))
    def change_a_cluster(self, verb: str, count: int) -> None:
        for cluster in self.ask(self.cloud.get("/v1/orgs/{org}/clusters?limit=2")).body["items"]:
            body = {"replicaCount": count} if verb == "scale" else None
            self.ask(self.cloud.post(f"/v1/clusters/{cluster['id']}/{verb}", body))
            self.ask(self.cloud.get(f"/v1/clusters/{cluster['id']}/detail"))

    def parties(self) -> tuple[Party, Party]:
        return party(self.cloud, "acme"), party(self.cloud, "globex")

    @precondition(lambda self: self.seen)
    @rule(which=st.integers(0, 99), later=st.booleans(), seconds=st.sampled_from((0, 60, 7 * 86_400)))
    def hand_over(self, which: int, later: bool, seconds: int) -> None:
        """A VM goes to the other organization, unless something stands in the way."""
        acme, globex = self.parties()
        vm_id = self.pick(which)
        mine = self.cloud.world.get(Vm, vm_id).organization_id == acme.org
        source, target = (acme, globex) if mine else (globex, acme)
        self.ask(target.post("/v1/orgs/{org}/ssh-keys/create", {"name": "k", "publicKey": SSH_KEY}))
        keys = [row["id"] for row in target.get("/v1/orgs/{org}/ssh-keys").body]
        self.ask(source.offer(vm_id, target))
        self.cloud.advance(seconds)
        for offer in target.get("/v1/orgs/{org}/transfers/incoming").body[: 1 if later else 3]:
            self.ask(target.accept(offer["id"], *keys))

    @precondition(lambda self: self.seen)
    @rule(
        which=st.integers(0, 99),
        seconds=st.sampled_from((0, 29, 30)),
        end=st.sampled_from(("fail", "delete", "")),
    )
    def snapshot_and_fork(self, which: int, seconds: int, end: str) -> None:
        self.ask(self.cloud.post(f"/v1/vms/{self.pick(which)}/snapshots", {"name": "now"}))
        self.cloud.advance(seconds)
        for snapshot in self.ask(self.cloud.get("/v1/orgs/{org}/snapshots")).body[:2]:
            fork = self.ask(self.cloud.post("/v1/orgs/{org}/vms/fork", {"snapshotId": snapshot["id"]}))
            if fork.status == 200:
                self.seen.append(fork.body["id"])
            if end == "delete":
                self.ask(self.cloud.delete(f"/v1/snapshots/{snapshot['id']}"))
        if end == "fail":
            self.cloud.attempt("snapshot.fail", select="random")

    @rule(action=st.sampled_from(("replica.fail", "replica.recover")))
    def strike_a_replica(self, action: str) -> None:
        self.cloud.attempt(action, select="random")

    @rule(action=st.sampled_from(("node.offline", "node.online")), which=st.integers(0, 99))
    def lose_or_find_a_node(self, action: str, which: int) -> None:
        nodes = list(self.cloud.world.rows(Node))
        self.cloud.attempt(action, id=nodes[which % len(nodes)].id)

    @rule(which=st.integers(0, 99), status=st.sampled_from(("draining", "maintenance", "online", "removed")))
    def operate_a_node(self, which: int, status: str) -> None:
        nodes = list(self.cloud.world.rows(Node))
        self.cloud.attempt("node.set_status", id=nodes[which % len(nodes)].id, status=status)

    @rule(
        number=st.integers(0, 2),
        gpu=st.sampled_from((None, RTX_4090, "10de:26b9", "10de:ffff")),
        count=st.integers(1, 4),
        runtime=st.sampled_from(("qemu", "gvisor")),
        seconds=st.sampled_from((0, 5, 10)),
    )
    def enrol_a_node(self, number: int, gpu: str | None, count: int, runtime: str, seconds: int) -> None:
        """A machine joins, or joins again; sometimes its token serves no second one."""
        _, globex = self.parties()
        made = self.ask(globex.post(TOKENS, {"maxNodes": count % 2}))
        if made.status != 200:
            return
        machine = {"gpuInventory": inventory(*[(gpu, count)] if gpu else ()), "ramGb": 64 * count}
        for host in (number, number + 1):
            answer = enrol(self.cloud, made.body["token"], f"rack-{host}", runtime=runtime, **machine)
            self.ask(answer)
        self.cloud.advance(seconds)
        assert self.ask(globex.get(STATS)).status == 200

    @rule(which=st.integers(0, 99), status=st.sampled_from(("draining", "maintenance", "online", "removed")))
    def operate_a_node_of_ones_own(self, which: int, status: str) -> None:
        _, globex = self.parties()
        nodes = self.ask(globex.get(NODES + "?includeRemoved=true")).body
        path = f"{NODES}/{nodes[which % len(nodes)]['id']}".replace("{org}", globex.org)
        self.ask(self.cloud.patch(path, {"status": status}, key=globex.key))

    @rule(cents=st.integers(1, 3000), action=st.sampled_from(("balance.credit", "balance.debit")))
    def move_money(self, action: str, cents: int) -> None:
        self.cloud.attempt(action, name="acme", cents=cents)

    @rule(
        cents=st.sampled_from((2500, 9000)),
        last4=st.sampled_from(("4242", "3155", "9995")),
        threshold=st.sampled_from((0, 9000)),
    )
    def pay(self, cents: int, last4: str, threshold: int) -> None:
        """A deposit, a card, and a policy under which cards are charged by themselves."""
        self.cloud.attempt("card.save", name="acme", last4=last4)
        self.ask(deposit(self.cloud, cents))
        self.ask(set_policy(self.cloud, threshold, cents))
        self.cloud.attempt("payment.confirm", select="first")

    @rule(status=st.sampled_from(("restricted", "suspended")))
    def lose_good_standing_for_a_while(self, status: str) -> None:
        self.cloud.attempt("account.set_status", name="acme", status=status)
        self.ask(self.cloud.post("/v1/orgs/{org}/vms/create", {"name": "refused"}))
        self.cloud.advance(60)
        self.cloud.attempt("account.set_status", name="acme", status="active")

    @rule(cents=st.integers(0, 500))
    def change_a_price(self, cents: int) -> None:
        self.cloud.attempt("price.set", id="rtx-4090", tier="community", cents=cents)

    @rule()
    def use_ssh_keys_and_webhooks(self) -> None:
        key = self.ask(self.cloud.post("/v1/orgs/{org}/ssh-keys/create", {"name": "k", "publicKey": SSH_KEY}))
        if key.status == 200:
            for vm_id in self.seen[:3]:
                self.ask(self.cloud.post(f"/v1/vms/{vm_id}/ssh-keys", {"sshKeyId": key.body["id"]}))
            self.ask(self.cloud.delete("/v1/orgs/{org}/ssh-keys/" + key.body["id"]))
        hook = {"name": "hook", "url": "http://127.0.0.1:9/hook"}
        self.ask(self.cloud.post("/v1/orgs/{org}/webhooks/create", hook))

    @rule(seconds=st.sampled_from((0, 1, 5, 29, 60, 3600, 86_400)))
    def wait(self, seconds: int) -> None:
        self.cloud.advance(seconds)

    @rule()
    def wait_for_the_next_month(self) -> None:
        self.cloud.advance(31 * 86_400)

    @invariant()
    def everything_holds(self) -> None:
        if not hasattr(self, "cloud"):
            return
        check_world(self.cloud.world)
        assert self.cloud.bugs() == []


TestBareWorld = BareWorld.TestCase
TestBareWorld.settings = walks(60, 50)
