"""What holds in every world at every moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from simulator.domain import metering
from simulator.domain.access import Membership, Organization, User
from simulator.domain.capacity import Claim, Node
from simulator.domain.events import Delivery
from simulator.domain.metering import Account, Transaction, UsageSession
from simulator.kernel.instant import month_of
from simulator.kernel.world import Row, World
from simulator.registry import TIMERS
from simulator.resources.vms.lifecycle import PLACED, Vm


def check_world(world: World) -> None:
    """All of them. A failure says which, with the row."""
    for check in (
        nodes_hold_exactly_their_claims,
        vms_hold_what_their_status_says,
        ledgers_sum_to_their_balances,
        accounts_know_their_sessions,
        running_vms_are_billed_and_no_others,
        bounds_agree_with_sums,
        an_empty_balance_is_noticed_within_a_tick,
        timers_have_owners,
        people_are_in_order,
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
        used = sum(session.cents(world.now_ms) for session in of_account)
        debited = -sum(
            line.amount_cents
            for line in world.select(Transaction, "organization", account.id)
            if line.type == "usage_debit"
        )
        assert metering.accrued_cents(world, account.id) == used - debited, account
        for session in of_account:
            end = session.ended_at_ms if session.ended_at_ms is not None else world.now_ms
            last = max(session.created_at_ms, end - 1)
            assert month_of(last) == month_of(session.created_at_ms), session


def running_vms_are_billed_and_no_others(world: World) -> None:
    billed = Counter(row.resource_id for row in world.rows(UsageSession) if row.ended_at_ms is None)
    begins = world.settings.word("billing.open_at")
    states = ("running", "deploying") if begins == "deploying" else ("running",)
    assert billed == Counter(vm.id for vm in world.rows(Vm) if vm.status in states)


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
    "vm": lambda world, row_id: world.find(Vm, row_id),
    "webhook": lambda world, row_id: world.find(Delivery, row_id),
    "billing": lambda world, row_id: world.find(Organization, row_id),
}


def timers_have_owners(world: World) -> None:
    """Every pending timer has a function, and the row it is about exists."""
    for timer in world.clock.pending():
        assert timer.name in TIMERS, timer
        assert timer.due_ms >= world.now_ms, timer
        if timer.name not in ("vm.admit", "billing.month_end", "billing.settle"):
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
