"""The prepaid balance: what it shows, credits, when it runs dry, and the settlement of a month.

`balanceCents` is the ledger and does not move while VMs run; `availableCents` does. At or under the floor
every running workload of the organization is stopped. The debit of a month is written after it has ended.
"""

from __future__ import annotations

from typing import Any

from simulator.domain import events, hosting, inference, metering
from simulator.domain.access import Organization
from simulator.domain.metering import Account, Transaction, UsageSession
from simulator.kernel.clock import Grade
from simulator.kernel.instant import SECOND_MS, iso, month_of, month_start, next_month
from simulator.kernel.money import NANO_USD_PER_CENT
from simulator.kernel.operation import Call
from simulator.kernel.world import World
from simulator.resources.billing import payments, recharge
from simulator.resources.billing.payments import Payment, area
from simulator.resources.clusters import lifecycle as clusters
from simulator.resources.clusters.states import Cluster
from simulator.resources.vms import lifecycle as vms
from simulator.resources.vms.lifecycle import Vm

NEWEST_TRANSACTIONS = 25


@area.operation("getBalance")
def get_balance(call: Call) -> dict[str, Any]:
    """Ledger, accrual and what is left of both [2026-07: worked example 12550 - 2120 = 10430]."""
    world, organization_id = call.world, call.organization_id
    account = world.get(Account, organization_id)
    accrued = metering.accrued_cents(world, organization_id)
    this_month = month_of(world.now_ms)
    month = month_cents(world, organization_id, this_month)
    inferred = inference.month_cents(world, organization_id, this_month)
    return {
        "balanceCents": account.balance_cents,
        "availableCents": account.balance_cents - accrued,
        "accruedUsageCents": accrued,
        "monthlySpendLimitCents": account.monthly_spend_limit_cents,
        "transactions": [_line(line) for line in newest_lines(world, organization_id)],
        "currentMonthComputeCents": month,
        "currentMonthInferenceCents": inferred,
        "currentMonthUsageCents": month + inferred,
        "pendingInferenceCents": account.inference_nano // NANO_USD_PER_CENT,
        "pendingInferenceReservedCents": account.reserved_cents,
        "minDepositCents": max(
            payments.bounds_cents(world, organization_id)[0], payments.runway_cents(world, organization_id)
        ),
        "priorUnsettledComputeCents": max(0, accrued - account.reserved_cents - month),
    }


def newest_lines(world: World, organization_id: str) -> list[Transaction]:
    bucket = world.bucket(Transaction, "organization", organization_id)
    return [world.get(Transaction, entry[-1]) for entry in bucket[: -NEWEST_TRANSACTIONS - 1 : -1]]


def _line(line: Transaction) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": line.id,
        "type": line.type,
        "source": line.source,
        "amountCents": line.amount_cents,
        "createdAt": iso(line.created_at_ms),
        "description": line.description,
    }
    return view | ({"inferenceDetails": line.inference} if line.inference else {})


def month_cents(world: World, organization_id: str, month: str) -> int:
    """Usage of a UTC calendar month so far."""
    sessions = world.select(UsageSession, "month", (organization_id, month))
    return sum(session.cents(world) for session in sessions)


# -- the watch over the balance ----------------------------------------------------------------------------


@area.timer("billing.check")
def look(world: World, organization_id: str, due_ms: int) -> None:
    """A tick on which the balance may have met a threshold; a look that was overtaken does nothing."""
    account = world.get(Account, organization_id)
    if account.check_at_ms == due_ms:
        world.change(account, check_at_ms=None)
        check_balance(world, organization_id)


def check_balance(world: World, organization_id: str) -> None:
    """Charge the card if that is due, tell of thresholds crossed, stop everything at the floor [choice: in
    this order], and plan the next look.

    A recharge whose credit is on the way counts before the stop [choice: else it could save nothing].
    """
    recharge.fire_if_due(world, organization_id)
    available = metering.available_cents(world, organization_id)
    _alert(world, organization_id, available)
    floor = world.settings.whole("billing.floor_cents")
    if available + recharge.incoming_cents(world, organization_id) <= floor:
        stop_workloads(world, organization_id, "auto_stopped_insufficient_balance")
    metering.watch(world, organization_id)


@area.timer("billing.recharge")
def recharge_again(world: World, organization_id: str, due_ms: int) -> None:
    """The rest after a declined recharge is over."""
    if recharge.resume(world, organization_id, due_ms):
        check_balance(world, organization_id)


@area.timer("billing.credit")
def credit(world: World, organization_id: str, payment_id: str) -> None:
    """The processor calls back: a charge that succeeded is credited [seed]."""
    payment = payments.book(world, world.get(Payment, payment_id))
    recharge.credited(world, payment)
    check_balance(world, organization_id)


def stop_workloads(world: World, organization_id: str, reason: str) -> None:
    """Stop everything an organization runs, VMs and clusters, oldest first."""
    running: list[Vm | Cluster] = [
        *vms.stoppable(world, organization_id),
        *clusters.stoppable(world, organization_id),
    ]
    for row in sorted(
        running, key=lambda row: row.created_at_ms
    ):  # stable: each kind is oldest first already
        if isinstance(row, Vm):
            vms.move(world, row, "auto_stop", reason=reason)
        else:
            clusters.move(world, row, "auto_stop", reason=reason)


def _alert(world: World, organization_id: str, available: int) -> None:
    """balance.low and balance.depleted, once per crossing [2026-10 sdk]."""
    low, floor = world.settings.whole("billing.low_cents"), world.settings.whole("billing.floor_cents")
    account = world.get(Account, organization_id)
    alert = "depleted" if available <= floor else "low" if available <= low else ""
    if alert == account.alert:
        return
    fell_to = [(low, "low"), (floor, "depleted")]
    levels = ("", "low", "depleted")
    world.change(account, alert=alert)
    organization = world.get(Organization, organization_id)
    for threshold, name in fell_to[levels.index(account.alert) : levels.index(alert)]:
        data = {"available_cents": available, "threshold_cents": threshold}
        events.record(world, organization_id, f"balance.{name}", organization, data)


# -- the month ---------------------------------------------------------------------------------------------


def begin_month_watch(world: World) -> None:
    """Plan the end of the present month; the world is born with this timer."""
    end = month_start(next_month(month_of(world.now_ms)))
    world.clock.at(end, "billing.month_end", (month_of(world.now_ms),), grade=Grade.calendar)


@area.timer("billing.month_end")
def end_month(world: World, month: str) -> None:
    """Split open sessions at the boundary, at the same locked rate [choice]: months are told apart."""
    for account in world.rows(Account):
        metering.renew_sessions(world, account.id)
    begin_month_watch(world)
    settle_at = world.now_ms + world.settings.whole("billing.settle_after_s") * SECOND_MS
    world.clock.at(settle_at, "billing.settle", (month,), cause=world.cause, grade=Grade.calendar)


@area.timer("billing.settle")
def settle(world: World, month: str) -> None:
    """Debit the usage of an ended month, one line per organization [2026-10 sdk; choice of the moment], and
    settle what providers have earned with it."""
    for account in world.rows(Account):
        cents = month_cents(world, account.id, month)
        if cents:
            owed = account.closed_cents - cents
            text, kind = f"Usage {month}", ("usage_debit", "usage")
            metering.post(world, account.id, -cents, kind, text, closed_cents=owed)
        hosting.settle(world, account.id, month)
