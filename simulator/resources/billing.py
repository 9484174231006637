"""The prepaid balance: what it shows, when it runs dry, and the settlement of a month.

`balanceCents` is the ledger and does not move while VMs run; `availableCents` does. At or under the floor
every running workload of the organization is stopped. The debit of a month is written after it has ended.
"""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.domain import events, metering
from simulator.domain.access import Organization
from simulator.domain.metering import Account, Transaction, UsageSession
from simulator.kernel.clock import Grade
from simulator.kernel.instant import SECOND_MS, iso, month_of, month_start, next_month
from simulator.kernel.operation import Area, Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.target import Target, pick
from simulator.kernel.world import World
from simulator.resources.vms import lifecycle as vms

NEWEST_TRANSACTIONS = 25
ACCOUNT_STATES = ("active", "pending", "restricted", "suspended", "banned")
INTERNAL_TYPES = ("provider_payout",)
"""Left out of the balance answer [2026-10 sdk]."""

area = Area("Billing", scope="billing")


@area.operation("getBalance")
def get_balance(call: Call) -> dict[str, Any]:
    """Ledger, accrual and what is left of both [2026-07: worked example 12550 - 2120 = 10430]."""
    world, organization_id = call.world, call.organization_id
    account = world.get(Account, organization_id)
    accrued = metering.accrued_cents(world, organization_id)
    month = month_cents(world, organization_id, month_of(world.now_ms))
    return {
        "balanceCents": account.balance_cents,
        "availableCents": account.balance_cents - accrued,
        "accruedUsageCents": accrued,
        "monthlySpendLimitCents": account.monthly_spend_limit_cents,
        "transactions": [_line(line) for line in newest_lines(world, organization_id)],
        "currentMonthComputeCents": month,
        "currentMonthInferenceCents": 0,
        "currentMonthUsageCents": month,
        "pendingInferenceCents": 0,
        "pendingInferenceReservedCents": 0,
        "priorUnsettledComputeCents": max(0, accrued - month),
    }


def newest_lines(world: World, organization_id: str) -> list[Transaction]:
    bucket = world.bucket(Transaction, "organization", organization_id)
    lines = (world.get(Transaction, entry[-1]) for entry in reversed(bucket))
    shown = (line for line in lines if line.type not in INTERNAL_TYPES)
    return [line for _, line in zip(range(NEWEST_TRANSACTIONS), shown, strict=False)]


def _line(line: Transaction) -> dict[str, Any]:
    return {
        "id": line.id,
        "type": line.type,
        "source": line.source,
        "amountCents": line.amount_cents,
        "createdAt": iso(line.created_at_ms),
        "description": line.description,
    }


def month_cents(world: World, organization_id: str, month: str) -> int:
    """Usage of a UTC calendar month so far."""
    sessions = world.select(UsageSession, "month", (organization_id, month))
    return sum(session.cents(world.now_ms) for session in sessions)


# -- the watch over the balance ----------------------------------------------------------------------------


@area.timer("billing.check")
def look(world: World, organization_id: str, due_ms: int) -> None:
    """A tick on which the balance may have met a threshold; a look that was overtaken does nothing."""
    account = world.get(Account, organization_id)
    if account.check_at_ms == due_ms:
        world.change(account, check_at_ms=None)
        check_balance(world, organization_id)


def check_balance(world: World, organization_id: str) -> None:
    """Tell of thresholds crossed, stop everything at the floor, and plan the next look."""
    available = metering.available_cents(world, organization_id)
    _alert(world, organization_id, available)
    floor = world.settings.whole("billing.floor_cents")
    if available <= floor:
        vms.stop_all(world, organization_id, "auto_stopped_insufficient_balance")
    metering.watch(world, organization_id)


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
    """Debit the usage of an ended month, one line per organization [2026-10 sdk; choice of the moment]."""
    for account in world.rows(Account):
        cents = month_cents(world, account.id, month)
        if cents:
            metering.post(world, account.id, -cents, ("usage_debit", "usage"), f"Usage {month}")
            debited = world.get(Account, account.id)
            world.change(debited, closed_cents=debited.closed_cents - cents)


# -- actions -----------------------------------------------------------------------------------------------


class Amount(Target, kw_only=True):
    """Which organization, and how much."""

    cents: int
    description: str = ""


class Standing(Target, kw_only=True):
    """Which organization, and its new account status."""

    status: str


@area.action("balance.credit", Amount)
def credit(world: World, what: Amount) -> dict[str, Any]:
    """Somebody at OpenRelay grants credit to an organization."""
    return _book(world, what, 1, ("credit_grant", "admin"))


@area.action("balance.debit", Amount)
def debit(world: World, what: Amount) -> dict[str, Any]:
    """Money leaves the balance of an organization."""
    return _book(world, what, -1, ("refund", "stripe"))


def _book(world: World, what: Amount, sign: int, kind: tuple[str, str]) -> dict[str, Any]:
    organization = pick(world, Organization, what, "slug", "name")
    if not 1 <= what.cents <= 10**11:
        raise Refusal("bad_request", f"cents {what.cents} is out of bounds; take 1 to {10**11}")
    text = what.description or kind[0].replace("_", " ").capitalize()
    line = metering.post(world, organization.id, sign * what.cents, kind, text)
    check_balance(world, organization.id)
    return {"organization": organization.id, "transaction": line.id, "amountCents": line.amount_cents}


@area.action("account.set_status", Standing)
def set_status(world: World, what: Standing) -> dict[str, Any]:
    """OpenRelay changes the standing of an account; suspension stops its workloads."""
    organization = pick(world, Organization, what, "slug", "name")
    if what.status not in ACCOUNT_STATES:
        raise Refusal(
            "bad_request", f"status {what.status!r} is unknown; known are {', '.join(ACCOUNT_STATES)}"
        )
    world.change(organization, account_status=what.status)
    if what.status in ("suspended", "banned"):
        vms.stop_all(world, organization.id, "auto_stopped_account_suspended")
    return {"organization": organization.id, "status": what.status}


# -- fixture -----------------------------------------------------------------------------------------------


class AccountSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The money an organization begins with, as one deposit."""

    organization: str
    balance_cents: int
    monthly_spend_limit_cents: int | None = None


@area.seed("accounts", list[AccountSpec])
def seed_accounts(world: World, specs: list[AccountSpec]) -> None:
    for spec in specs:
        organization = world.first(Organization, "slug", spec.organization)
        assert organization is not None, f"accounts: organization {spec.organization!r} is not in the fixture"
        account = world.get(Account, organization.id)
        world.change(account, monthly_spend_limit_cents=spec.monthly_spend_limit_cents)
        if spec.balance_cents:
            metering.post(
                world, organization.id, spec.balance_cents, ("stripe_deposit", "stripe"), "Card deposit"
            )
        _settle_alert(world, organization.id)


def _settle_alert(world: World, organization_id: str) -> None:
    """A world that begins at the floor has been told so before."""
    account = world.get(Account, organization_id)
    low, floor = world.settings.whole("billing.low_cents"), world.settings.whole("billing.floor_cents")
    level = "depleted" if account.balance_cents <= floor else "low" if account.balance_cents <= low else ""
    world.change(account, alert=level)
