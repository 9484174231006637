"""All operations and all actions in any order, on whatever rows there are; after each step all that must hold
is looked at."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simulator import assets
from simulator.contract import Contract
from simulator.domain import access
from simulator.domain.ssh import SshKey
from simulator.kernel.world import Row
from simulator.registry import OPERATIONS
from simulator.resources.files import File
from simulator.resources.runners.lifecycle import RunnerPool
from simulator.resources.snapshots import Snapshot
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Cloud
from tests.support.effort import walks
from tests.support.invariants import check_world
from tests.support.people import LINES, sign_in

SPECS = Contract(assets.contract_document()).operations
SOUND = (*range(200, 300), *range(400, 500), 502, 503)
PEOPLE = ("ada", "grace", "alan", "joan", "nobody")
MODELS = st.sampled_from(("rtx-3090", "rtx-4090", "l40s", "a100-sxm-80gb", None))
NAMES = st.sampled_from(("one", "two", "three"))
NODES = st.sampled_from(("ash-3090-1", "scl-l40s-1", "sto-3090-1", "sto-cpu-1", "one"))
CENTS = st.integers(1, 60_000)
EMAILS = st.sampled_from([f"{name}@acme.example" for name in PEOPLE])
ROLES = st.sampled_from(("viewer", "member", "admin", "owner"))
HOOK = "http://127.0.0.1:9/"


def of(kind: type[Row]) -> Any:
    """A mark: the id of some row of this class."""
    return st.just(kind)


BODIES: dict[str, dict[str, Any]] = {
    "createVm": {"name": NAMES, "gpuModelId": MODELS, "gpuCount": st.sampled_from((1, 2, None))},
    "createCluster": {"name": NAMES, "gpuModelId": st.just("l40s"), "replicaCount": st.integers(1, 3)},
    "scaleCluster": {"replicaCount": st.integers(1, 4)},
    "createVmSnapshot": {"name": NAMES},
    "forkVm": {"snapshotId": of(Snapshot)},
    "resizeVmDisk": {"newSizeGb": st.sampled_from((50, 150, 400))},
    "setVmVisibility": {"public": st.booleans()},
    "attachVmSshKey": {"sshKeyId": of(SshKey)},
    "createOrgSshKey": {"name": NAMES, "publicKey": st.sampled_from(sorted(LINES.values()))},
    "initiateTransfer": {
        "resourceType": st.just("vm"),
        "resourceId": of(Vm),
        "targetOrgSlug": st.sampled_from(("acme", "globex", "one")),
    },
    "createOrgWebhook": {"name": NAMES, "url": st.just(HOOK), "events": st.just([])},
    "updateOrgWebhook": {"name": NAMES},
    "toggleOrgWebhook": {"enabled": st.booleans()},
    "createOrgApiKey": {"name": NAMES, "expiresInSeconds": st.sampled_from((None, 60))},
    "createOrg": {"name": NAMES},
    "updateOrg": {"name": NAMES},
    "updateProfile": {"fullName": NAMES},
    "addOrgMember": {"email": EMAILS, "role": ROLES},
    "updateOrgMemberRole": {"role": ROLES},
    "createBillingDeposit": {"amountCents": CENTS, "idempotencyKey": st.sampled_from((None, "a", "b"))},
    "updateAutoRecharge": {
        "enabled": st.booleans(),
        "thresholdCents": st.integers(0, 9000),
        "amountCents": st.integers(900, 20_000),
    },
    "createRunnerPool": {"installationId": st.integers(4001, 4003), "name": NAMES, "poolRamGb": st.just(32)},
    "resizeRunnerPool": {"poolRamGb": st.sampled_from((32, 64))},
    "createOrgRegistryCredential": {
        "name": NAMES,
        "server": st.just("ghcr.io"),
        "authType": st.just("basic"),
        "credentials": st.just({"username": "u", "password": "p"}),
    },
    "presignFileUpload": {"bytes": st.just(10)},
    "createBatch": {
        "endpoint": st.just("/v1/chat/completions"),
        "completion_window": st.just("24h"),
        "input_file_id": of(File),
    },
    "applyForProvider": {"note": NAMES},
    "updateProviderNode": {"status": st.sampled_from(("online", "draining", "maintenance", "removed"))},
    "generateProvisioningToken": {"maxNodes": st.integers(0, 2)},
}
"""Members of a body that mean something; what is not here is sent without one."""

FIRST = {"select": st.sampled_from(("first", "random"))}
ACTIONS: dict[str, dict[str, Any]] = {
    "node.offline": {"name": NODES, "seconds": st.sampled_from((None, 300))},
    "node.online": {"name": NODES},
    "node.set_status": {
        "name": NODES,
        "status": st.sampled_from(("online", "draining", "maintenance", "removed")),
    },
    "node.add": {
        "hostname": st.just("one"),
        "organization": st.sampled_from(("", "globex")),
        "location": st.just("us-east"),
        "gpu_model": st.just("rtx-3090"),
        "units": st.sampled_from(([1, 1], [2])),
        "cluster_gpus": st.integers(0, 1),
        "notice_seconds": st.sampled_from((None, 60)),
        **dict.fromkeys(("vcpu", "ram_gb"), st.just(64)),
        "disk_gb": st.just(1000),
    },
    "node.reclass": {"name": NODES, "to": st.sampled_from(("vfio-group", "device-request"))},
    "capacity.seize": {"gpu_model": st.just("rtx-3090"), "gpus": st.integers(1, 3)},
    "capacity.release": {"gpu_model": st.just("rtx-3090")},
    "price.set": {"gpu_model": st.just("rtx-3090"), "cents": st.integers(1, 90)},
    "vm.exit": FIRST,
    "vm.fail": FIRST,
    "vm.proceed": FIRST,
    "vm.reclaim": FIRST,
    "replica.fail": FIRST,
    "replica.proceed": FIRST,
    "replica.recover": FIRST,
    "snapshot.fail": FIRST,
    "balance.credit": {"name": st.just("acme"), "cents": CENTS},
    "balance.debit": {"name": st.just("acme"), "cents": CENTS},
    "card.save": {"name": st.just("acme"), "last4": st.sampled_from(("4242", "0341", "3155"))},
    "payment.confirm": FIRST,
    "payment.decline": FIRST,
    "payment.refund": FIRST,
    "account.set_status": {
        "name": st.just("globex"),
        "status": st.sampled_from(("active", "restricted", "suspended")),
    },
    "provider.approve": {"name": st.sampled_from(("acme", "globex"))},
    "provider.reject": {"name": st.just("acme")},
    "provider.payout": {"name": st.just("globex")},
    "runner.queue_job": {"pool": of(RunnerPool)},
    "telegram.link": FIRST,
    "webhook.send": {"name": st.just("acme")},
}


class WholeWorld(RuleBasedStateMachine):
    """Two organizations' keys and a person, who ask for anything; the outside world, and time."""

    @initialize(
        profile=st.sampled_from(("2026-06", "2026-07", "2026-10")),
        seed=st.integers(0, 3),
        rounding=st.sampled_from(("floor", "nearest", "up")),
        queue=st.booleans(),
    )
    def open(self, profile: str, seed: int, rounding: str, queue: bool) -> None:
        queues: dict[str, Any] = {"vms__queue": queue, "clusters__queue": queue}
        self.cloud = Cloud(
            seed=seed, profile=profile, billing__rounding=rounding, vms__require_ssh_key=False, **queues
        )
        person = sign_in(self.cloud, "ada@acme.example")
        self.callers = [(self.cloud.org, self.cloud.key), (self.cloud.org, person)]
        keys = access.fixture_keys(self.cloud.world)
        self.callers += [(key.organization_id, secret) for key, secret in keys if key.name == "globex"]

    def some(self, kind: type[Row], which: int) -> str:
        """The id of a row, or of none."""
        rows = list(self.cloud.world.rows(kind))
        row_id: str = rows[which % len(rows)].id if rows and which else "none"
        return row_id.rpartition("/")[2] if kind.id_within_organization else row_id

    def filled(self, members: dict[str, Any], which: int) -> dict[str, Any]:
        """Members with ids in place of marks, and without those that are None."""
        found = {name: self.some(v, which) if isinstance(v, type) else v for name, v in members.items()}
        return {name: value for name, value in found.items() if value is not None}

    @rule(
        name=st.sampled_from(sorted(OPERATIONS)),
        who=st.integers(0, 2),
        which=st.integers(0, 99),
        data=st.data(),
    )
    def call(self, name: str, who: int, which: int, data: Any) -> None:
        spec, operation = SPECS[name], OPERATIONS[name]
        organization, key = self.callers[who % len(self.callers)]
        last = self.some(operation.finds, which) if operation.finds else "none"
        path = re.sub(r"\{(\w+)\}", lambda part: organization if part[1] == "orgId" else last, spec.path)
        body = data.draw(st.fixed_dictionaries(BODIES.get(name, {})))
        sent = self.filled(body, which) if spec.body and spec.body.schema else None
        assert self.cloud.call(spec.method, path, sent, key=key).status in SOUND

    @rule(name=st.sampled_from(sorted(ACTIONS)), which=st.integers(0, 99), data=st.data())
    def act(self, name: str, which: int, data: Any) -> None:
        arguments = self.filled(data.draw(st.fixed_dictionaries(ACTIONS[name])), which)
        self.cloud.attempt(name, **arguments)

    @rule(seconds=st.sampled_from((0, 1, 30, 60, 600, 3600, 86_400, 8 * 86_400)))
    def wait(self, seconds: int) -> None:
        self.cloud.advance(seconds)

    @invariant()
    def everything_holds(self) -> None:
        if hasattr(self, "callers"):
            check_world(self.cloud.world)
            assert self.cloud.bugs() == []


TestWholeWorld = WholeWorld.TestCase
TestWholeWorld.settings = walks(60, 50)
