"""What holds in every world at every moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from simulator.domain import metering
from simulator.domain.access import Membership, Organization, User
from simulator.domain.capacity import CLUSTER, Claim, Node
from simulator.domain.events import Delivery
from simulator.domain.metering import Account, Transaction, UsageSession
from simulator.kernel.instant import month_of
from simulator.kernel.world import Row, World
from simulator.resources.batches.lifecycle import Batch
from simulator.resources.clusters.replicas import consecutive_failures
from simulator.resources.clusters.states import PLACED as REPLICA_PLACED
from simulator.resources.clusters.states import WANTED, Cluster, Replica
from simulator.resources.files import File, Upload
from simulator.resources.provider.tokens import ProvisioningToken
from simulator.resources.runners.lifecycle import RunnerJob, RunnerPool
from simulator.resources.snapshots import Snapshot
from simulator.resources.transfers import RESOURCES, Transfer
from simulator.resources.vms.lifecycle import PLACED, Vm
from simulator.scenario.timers import TIMERS
from tests.support.batches import batches_count_no_more_than_they_have, no_nano_dollar_is_lost_or_paid_twice
from tests.support.money import (
    funds_follow_the_waterfall,
    payments_are_booked_once,
    recharges_are_in_order,
)
from tests.support.providers import (
    nodes_belong_to_providers,
    tokens_serve_no_more_nodes_than_they_are_for,
)
from tests.support.runners import runner_jobs_start_first_in_first_out, runner_pools_are_never_oversold


def check_world(world: World) -> None:
    """All of them. A failure says which, with the row."""
    for check in (
        nodes_hold_exactly_their_claims,
        vms_hold_what_their_status_says,
        ledgers_sum_to_their_balances,
        accounts_know_their_sessions,
        clusters_have_the_replicas_they_want,
        replicas_hold_what_their_status_says,
        what_runs_is_billed_and_nothing_else,
        everything_has_one_owner_who_pays,
        offers_are_made_by_owners,
        snapshots_are_in_order,
        bounds_agree_with_sums,
        funds_follow_the_waterfall,
        payments_are_booked_once,
        recharges_are_in_order,
        an_empty_balance_is_noticed_within_a_tick,
        timers_have_owners,
        people_are_in_order,
        nodes_belong_to_providers,
        tokens_serve_no_more_nodes_than_they_are_for,
        runner_pools_are_never_oversold,
        runner_jobs_start_first_in_first_out,
        batches_count_no_more_than_they_have,
        no_nano_dollar_is_lost_or_paid_twice,
        indexes_agree_with_rows,
    ):
        check(world)


def nodes_hold_exactly_their_claims(world: World) -> None:
    """No unit is in two claims, and what a node counts as used is what its claims add up to."""
    for node in world.rows(Node):
        claims = world.select(Claim, "node", node.id)
        units = [unit for claim in claims for unit in claim.units]
        assert sorted(units) == list(node.taken), node
        assert all(0 <= unit < len(node.units) for unit in units), node
        used = (node.used_vcpu, node.used_ram_mb, node.used_disk_gb)
        assert used == tuple(sum(each) for each in zip(*map(_amounts, claims), strict=True)) or (
            not claims and used == (0, 0, 0)
        ), node
        assert node.used_vcpu <= node.vcpu, node
        assert node.used_ram_mb <= node.ram_mb, node
        assert node.used_disk_gb <= node.disk_gb, node


def _amounts(claim: Claim) -> tuple[int, int, int]:
    return claim.vcpu, claim.ram_mb, claim.disk_gb


def vms_hold_what_their_status_says(world: World) -> None:
    for vm in world.rows(Vm):
        claim = world.find(Claim, vm.id)
        if vm.status in PLACED:
            assert claim is not None, vm
            assert claim.node_id == vm.node_id, vm
            node = world.get(Node, vm.node_id)
            assert sum(node.units[unit].gpus for unit in claim.units) == vm.shape.gpus, vm
        elif claim is not None:
            assert vm.status in ("stopped", "failed"), vm
            assert not claim.units, vm
            assert not claim.vcpu, vm


def ledgers_sum_to_their_balances(world: World) -> None:
    for account in world.rows(Account):
        lines = world.select(Transaction, "organization", account.id)
        assert sum(line.amount_cents for line in lines) == account.balance_cents, account


def accounts_know_their_sessions(world: World) -> None:
    """The running sums are those of the open sessions, and what is accrued is what settlements will debit."""
    for account in world.rows(Account):
        opened = world.select(UsageSession, "open", account.id)
        assert account.open_sessions == len(opened), account
        assert account.burn_cents == sum(session.rate_cents for session in opened), account
        weighted = sum(session.rate_cents * session.created_at_ms for session in opened)
        assert account.weighted == weighted, account
        of_account = [row for row in world.rows(UsageSession) if row.organization_id == account.id]
        used = sum(session.cents(world) for session in of_account)
        debited = -sum(
            line.amount_cents
            for line in world.select(Transaction, "organization", account.id)
            if line.type == "usage_debit"
        )
        owed = used - debited + account.reserved_cents
        assert metering.accrued_cents(world, account.id) == owed, account
        for session in of_account:
            end = session.ended_at_ms if session.ended_at_ms is not None else world.now_ms
            last = max(session.created_at_ms, end - 1)
            assert month_of(last) == month_of(session.created_at_ms), session


def clusters_have_the_replicas_they_want(world: World) -> None:
    """As many as were asked for, in states that fit the cluster's; its status says how they are."""
    for cluster in world.rows(Cluster):
        rows = [row for row in world.select(Replica, "present", cluster.id) if row.status in WANTED]
        healthy = sum(row.healthy for row in rows)
        states = {row.status for row in rows}
        assert len(rows) == (0 if cluster.status == "terminated" else cluster.replica_count), cluster
        assert len(world.bucket(Replica, "healthy", cluster.id)) == healthy, cluster
        if cluster.status == "pending":
            assert states == {"pending"}, cluster
        elif cluster.status in ("stopped", "failed"):
            assert states == {"stopped" if cluster.status == "stopped" else "error"}, cluster
        else:
            assert "stopped" not in states, cluster
        if cluster.status == "running":
            assert healthy, cluster
            assert not any(row.missed for row in rows), cluster
        elif cluster.status == "degraded":
            assert not healthy or any(row.missed for row in rows), cluster
        elif cluster.status == "deploying":
            assert healthy < len(rows) or cluster.to_roll, cluster
        present = world.select(Replica, "present", cluster.id)
        migrating = {row.id for row in present if row.status == "migrating"}
        assert migrating <= {row.replaces for row in rows}, cluster


def replicas_hold_what_their_status_says(world: World) -> None:
    """A place of its own, whole, or nothing; a healthy one runs, and no one that fails stays healthy."""
    most = world.settings.whole("clusters.unhealthy_after")
    for replica in world.rows(Replica):
        claim = world.find(Claim, replica.id)
        assert (claim is not None) == bool(replica.node_id), replica
        if replica.status in ("provisioning", "running"):
            assert claim is not None, replica
        if claim is not None:
            assert replica.status in REPLICA_PLACED, replica
            assert claim.node_id == replica.node_id, replica
            node, shape = world.get(Node, claim.node_id), world.get(Cluster, replica.cluster_id).shape
            assert sum(node.units[unit].gpus for unit in claim.units) == shape.gpus, replica
            assert {node.units[unit].kind for unit in claim.units} <= {CLUSTER}, replica
        assert not replica.healthy or replica.status == "running", replica
        if replica.status == "running":
            failures = consecutive_failures(world, replica)
            assert 0 <= failures <= most, replica
            assert replica.healthy == (failures < most), replica


def what_runs_is_billed_and_nothing_else(world: World) -> None:
    billed = Counter(row.resource_id for row in world.rows(UsageSession) if row.ended_at_ms is None)
    begins = world.settings.word("billing.open_at")
    states = ("running", "deploying") if begins == "deploying" else ("running",)
    running = [vm.id for vm in world.rows(Vm) if vm.status in states]
    for replica in world.rows(Replica):
        in_place = replica.status == "provisioning" and replica.start == "in_place"
        starting = replica.status == "provisioning" and begins == "deploying"
        if replica.status == "running" or in_place or starting:
            running.append(replica.id)
    assert billed == Counter(running)


def everything_has_one_owner_who_pays(world: World) -> None:
    """An organization that exists, and is the one that the open session is of."""
    owners = {vm.id: vm.organization_id for vm in world.rows(Vm)}
    owners |= {cluster.id: cluster.organization_id for cluster in world.rows(Cluster)}
    assert {*owners.values()} <= {row.id for row in world.rows(Organization)}
    owners |= {row.id: owners[row.cluster_id] for row in world.rows(Replica)}
    for session in world.rows(UsageSession):
        if session.ended_at_ms is None:
            assert session.organization_id == owners[session.resource_id], session


def offers_are_made_by_owners(world: World) -> None:
    """What is pending is of the present owner, and of one resource one offer at the most is still valid."""
    valid: Counter[str] = Counter()
    for offer in world.rows(Transfer):
        assert offer.organization_id != offer.target_organization_id, offer
        if offer.status == "pending":
            row: Any = world.get(RESOURCES[offer.resource_type].row, offer.resource_id)
            assert row.organization_id == offer.organization_id, offer
            valid[offer.resource_id] += world.now_ms < offer.expires_at_ms
    assert not valid or max(valid.values()) <= 1, valid


def snapshots_are_in_order(world: World) -> None:
    """One capture of a VM at a time; a fork names the snapshot it came from, and is no smaller."""
    for snapshot in world.rows(Snapshot):
        assert (snapshot.status == "deleting") == (snapshot.deleted_at_ms is not None), snapshot
        assert len(world.bucket(Snapshot, "creating", snapshot.vm_id)) <= 1, snapshot
    for vm in world.rows(Vm):
        parent = world.find(Snapshot, vm.forked_from)
        assert (parent is not None) == bool(vm.forked_from), vm
        assert parent is None or vm.disk_gb >= parent.disk_gb, vm


def bounds_agree_with_sums(world: World) -> None:
    """The quick answer to "is enough available?" is the exact one."""
    for account in world.rows(Account):
        available = metering.available_cents(world, account.id)
        for floor in (0, 50, available - 2, available - 1, available, available + 1):
            assert metering.available_above(world, account.id, floor) == (available > floor), account


def an_empty_balance_is_noticed_within_a_tick(world: World) -> None:
    floor, tick_s = world.settings.whole("billing.floor_cents"), world.settings.whole("billing.tick_s")
    for account in world.rows(Account):
        if account.burn_cents and metering.available_cents(world, account.id) <= floor:
            assert account.check_at_ms is not None, account
            assert account.check_at_ms - world.now_ms <= tick_s * 1000, account


OWNERS: dict[str, Callable[[World, str], Row | None]] = {
    "cluster": lambda world, row_id: world.find(Cluster, row_id),
    "replica": lambda world, row_id: world.find(Replica, row_id),
    "snapshot": lambda world, row_id: world.find(Snapshot, row_id),
    "vm": lambda world, row_id: world.find(Vm, row_id),
    "place": lambda world, row_id: world.find(Claim, row_id),
    "runner": lambda world, row_id: world.find(RunnerJob, row_id) or world.find(RunnerPool, row_id),
    "file": lambda world, row_id: world.find(File, row_id) or world.find(Upload, row_id),
    "batch": lambda world, row_id: world.find(Batch, row_id),
    "inference": lambda world, row_id: world.find(Organization, row_id),
    "node": lambda world, row_id: world.find(Node, row_id),
    "token": lambda world, row_id: world.find(ProvisioningToken, row_id),
    "webhook": lambda world, row_id: world.find(Delivery, row_id),
    "billing": lambda world, row_id: world.find(Organization, row_id),
}


def timers_have_owners(world: World) -> None:
    """Every pending timer has a function, and the row it is about exists."""
    for timer in world.clock.pending():
        assert timer.name in TIMERS, timer
        assert timer.due_ms >= world.now_ms, timer
        if timer.name not in ("vm.admit", "replica.admit", "billing.month_end", "billing.settle"):
            family = timer.name.partition(".")[0]
            assert OWNERS[family](world, timer.args[0]) is not None, timer


def people_are_in_order(world: World) -> None:
    """Every organization has an owner, and everybody's default organization is one of theirs."""
    for organization in world.rows(Organization):
        assert world.bucket(Membership, "owners", organization.id), organization
    for user in world.rows(User):
        mine = {member.organization_id for member in world.select(Membership, "user", user.id)}
        assert user.default_organization_id in (mine or {""}), user


def indexes_agree_with_rows(world: World) -> None:
    """Every index holds exactly the rows it would hold if it were built now."""
    for kind, table in world._tables.items():
        built: dict[tuple[str, object], list[tuple[object, ...]]] = {}
        for row in table.rows.values():
            for name, index in kind.indexes.items():
                if (key := index.key(row)) is not None:
                    built.setdefault((name, key), []).append(index.order(row))
        assert {key: sorted(rows) for key, rows in built.items()} == {
            key: list(bucket) for key, bucket in table.buckets.items() if bucket
        }, kind
