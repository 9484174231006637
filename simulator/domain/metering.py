"""What usage costs: sessions with a locked rate, the account they draw on, and the moment it runs dry.

There is no tick per VM. Every account keeps the sum of its open rates and of rate x opening time, so that
the exact, unrounded accrual is one multiplication; the billed figure, rounded per session as the setting
billing.rounding says, lies less than a cent and a second per open session below it or a cent above it. Where
those bounds decide nothing, the sessions are summed.

How much of an account is free credit is kept in the same exact units; see funding for the rule. A session
takes from it unrounded while it is open, and when it ends, it gives back what it was not billed.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import msgspec

from simulator.domain import funding
from simulator.domain.capacity import Node
from simulator.domain.funding import FREE, PAID, UNPAID, Moment, Piece
from simulator.kernel.clock import Grade
from simulator.kernel.instant import HOUR_MS, LATEST_MS, SECOND_MS, month_of
from simulator.kernel.money import NANO_USD_PER_CENT, ROUNDING, usage_cents
from simulator.kernel.world import Index, Row, World

GRANTS = ("promo_credit", "credit_grant")
USAGE = ("usage_debit", "inference_debit")
"""Types of ledger lines: credit without payment, and what was used. All others are money in or out."""


class UsageSession(Row, frozen=True, kw_only=True):
    """A span of usage at a locked rate. `created_at_ms` is its opening; at a month's end it is split."""

    indexes: ClassVar = {
        "open": Index(lambda session: session.organization_id if session.ended_at_ms is None else None),
        "resource": Index(lambda session: session.resource_id if session.ended_at_ms is None else None),
        "month": Index(lambda session: (session.organization_id, month_of(session.created_at_ms))),
        "hosted": Index(
            lambda session: (
                (session.provider_id, month_of(session.created_at_ms)) if session.provider_id else None
            )
        ),
    }

    organization_id: str
    resource_id: str
    node_id: str
    provider_id: str = ""
    """The organization that it earns money for: the node's, unless that is the customer itself, or none."""
    key: str
    """What the usage report groups by: `<gpuModelId>:<tier>`, `cpu:<size>` [choice]."""
    count: int
    """GPUs, 1 for a CPU VM: hours are counted per GPU."""
    rate_cents: int
    """Cents per hour for all of it, locked at opening [2026-07]."""
    ended_at_ms: int | None = None

    def cents(self, world: World) -> int:
        """Its cost up to now, or up to its end: the one arithmetic for the live figure and for settlement."""
        return usage_cents(
            self.span_ms(world.now_ms), self.rate_cents, world.settings.word("billing.rounding")
        )

    def span_ms(self, now_ms: int) -> int:
        return (now_ms if self.ended_at_ms is None else self.ended_at_ms) - self.created_at_ms


class Transaction(Row, frozen=True, kw_only=True):
    """A line of the ledger: credits positive, debits negative [choice: they sum to the balance]."""

    indexes: ClassVar = {
        "organization": Index(lambda line: line.organization_id),
        "deposits": Index(lambda line: line.organization_id if line.type == "stripe_deposit" else None),
    }

    organization_id: str
    type: str
    source: str
    amount_cents: int
    description: str
    inference: dict[str, Any] = {}
    """Of an inference_debit: what was used [2026-07]."""


class Account(Row, frozen=True, kw_only=True):
    """An organization's money; the id is the organization's."""

    balance_cents: int = 0
    """The sum of the ledger."""
    granted_cents: int = 0
    """Of it, credit that nobody paid for: it is used up first, and never paid back."""
    paid_cents: int = 0
    """Of it, money that came in, less what was paid back. The rest of the ledger is usage, negative."""
    closed_cents: int = 0
    """Usage of ended sessions that no settlement has debited yet."""
    inference_nano: int = 0
    """Inference that no debit has covered yet, in nanoUSD."""
    open_sessions: int = 0
    burn_cents: int = 0
    """Sum of the rates of open sessions, per hour."""
    weighted: int = 0
    """Sum of rate x opening time (ms) of open sessions."""
    free: int = 0
    """What was left of free credit when the account last changed, in cents x ms per hour: open sessions have
    taken from it to the millisecond, so it may be less than nothing by what one of them is worth."""
    funded_at_ms: int = 0
    """When the account last changed."""
    band: str = UNPAID
    """What funded usage from then on, until that is used up."""
    alert: str = ""
    """"", "low" or "depleted": the last threshold crossed downwards, so that each is told once."""
    check_at_ms: int | None = None
    """When the next look at the balance is due."""
    monthly_spend_limit_cents: int | None = None
    default_card_id: str = ""
    """The card that is charged; "" when there is none."""
    recharge_at_cents: int | None = None
    """At or under so much available the card is charged by itself; None while it would not be."""
    settled_until: str = ""
    """The last month whose usage was debited."""

    @property
    def reserved_cents(self) -> int:
        """Inference not yet debited, rounded up [2026-10 sdk]."""
        return -(-self.inference_nano // NANO_USD_PER_CENT)

    @property
    def owed_cents(self) -> int:
        """What is due whatever else happens: ended sessions, and inference."""
        return self.closed_cents + self.reserved_cents

    def left(self, moment_ms: int) -> int:
        """What is available at a moment if nothing else happens, unrounded, in the units of `free`."""
        unused = (self.balance_cents - self.owed_cents) * HOUR_MS
        return unused + self.weighted - self.burn_cents * moment_ms

    def free_left(self, moment_ms: int) -> int:
        """What is left of `free` at a moment if nothing else happens."""
        if self.band != FREE or not self.burn_cents:
            return self.free
        used_up_ms = self.funded_at_ms - -self.free // self.burn_cents
        return self.free - self.burn_cents * (min(moment_ms, used_up_ms) - self.funded_at_ms)

    def turns(self, now_ms: int) -> list[Moment]:
        """When the band has changed since the account did: free credit was used up, or everything was."""
        at, burn = self.funded_at_ms, self.burn_cents
        if not burn or self.band == UNPAID:
            return []
        all_used_ms = at - -self.left(at) // burn
        found = [Moment(all_used_ms, UNPAID)]
        if self.band == FREE and (free_used_ms := at - -self.free // burn) < all_used_ms:
            found.insert(0, Moment(free_used_ms, PAID))
        return [moment for moment in found if moment.at_ms <= now_ms]


# -- reading -----------------------------------------------------------------------------------------------


def accrued_cents(world: World, organization_id: str) -> int:
    """Usage not yet settled: inference, ended sessions, and open ones up to now."""
    account = world.get(Account, organization_id)
    return account.owed_cents + sum(
        session.cents(world) for session in world.select(UsageSession, "open", organization_id)
    )


def available_cents(world: World, organization_id: str) -> int:
    """Balance less accrued usage; may be a little negative [2026-07]."""
    return world.get(Account, organization_id).balance_cents - accrued_cents(world, organization_id)


def available_above(world: World, organization_id: str, floor_cents: int) -> bool:
    """Whether more than `floor_cents` is available; sums the sessions only when the bounds cannot tell."""
    account = world.get(Account, organization_id)
    unrounded = account.left(world.now_ms) - floor_cents * HOUR_MS
    more, less = _rounding(world, account)
    if unrounded > more:
        return True
    if unrounded <= -less:
        return False
    return available_cents(world, organization_id) > floor_cents


def _rounding(world: World, account: Account) -> tuple[int, int]:
    """How much more, and how much less, open sessions may be billed than they have used, unrounded."""
    more = account.open_sessions * ROUNDING[world.settings.word("billing.rounding")] * SECOND_MS
    return more, account.open_sessions * HOUR_MS - more + account.burn_cents * SECOND_MS


def open_session_of(world: World, resource_id: str) -> UsageSession | None:
    return world.first(UsageSession, "resource", resource_id)


# -- sessions ----------------------------------------------------------------------------------------------


def open_session(world: World, session: UsageSession) -> UsageSession:
    """Start billing a resource that is not billed yet."""
    assert open_session_of(world, session.resource_id) is None, session.resource_id
    world.put(session)
    _count(world, session, 1, free=-_taken(world, session))
    watch(world, session.organization_id)
    return session


def close_session(world: World, resource_id: str) -> UsageSession | None:
    """End billing a resource; answers the ended session, None when there was none."""
    session = open_session_of(world, resource_id)
    if session is None:
        return None
    ended = _end(world, session)
    cents = ended.cents(world)
    _count(world, session, -1, closed_cents=cents, free=_given_back(world, ended, cents))
    return ended


def renew_sessions(world: World, organization_id: str) -> None:
    """End every open session now and open its next part at the same locked rate.

    The account changes once, however many they are.
    """
    now_ms, account = world.now_ms, world.get(Account, organization_id)
    closed, weighted, free = account.closed_cents, account.weighted, 0
    for session in world.select(UsageSession, "open", organization_id):
        ended = _end(world, session)
        cents = ended.cents(world)
        closed += cents
        free += _given_back(world, ended, cents)
        weighted += session.rate_cents * (now_ms - session.created_at_ms)
        world.put(new_session(world, of=session))
    _change_funds(world, account, free=free, closed_cents=closed, weighted=weighted)
    watch(world, organization_id)


def _end(world: World, session: UsageSession) -> UsageSession:
    now_ms = world.now_ms
    ended = world.change(session, ended_at_ms=now_ms)
    world.note(
        "charge",
        organization=ended.organization_id,
        resource=ended.resource_id,
        session=ended.id,
        cents=ended.cents(world),
        seconds=ended.span_ms(now_ms) // SECOND_MS,
        rate_cents=ended.rate_cents,
    )
    return ended


def new_session(world: World, of: UsageSession | None = None, **fields: object) -> UsageSession:
    """A session that opens now: from fields, or as the next part of another one at the same locked rate."""
    made = {"id": world.streams.uuid("session"), "created_at_ms": world.now_ms, "ended_at_ms": None, **fields}
    if of is not None:
        return msgspec.structs.replace(of, **made)
    provider_id = world.get(Node, str(fields["node_id"])).organization_id
    if provider_id != fields["organization_id"]:
        made["provider_id"] = provider_id
    return msgspec.convert(made, UsageSession)


def _count(world: World, session: UsageSession, sign: int, *, free: int, closed_cents: int = 0) -> None:
    account = world.get(Account, session.organization_id)
    _change_funds(
        world,
        account,
        free=free,
        closed_cents=account.closed_cents + closed_cents,
        open_sessions=account.open_sessions + sign,
        burn_cents=account.burn_cents + sign * session.rate_cents,
        weighted=account.weighted + sign * session.rate_cents * session.created_at_ms,
    )


# -- the ledger --------------------------------------------------------------------------------------------


def post(
    world: World, organization_id: str, amount_cents: int, kind: tuple[str, str], text: str, **owed: int
) -> Transaction:
    """Write a line into the ledger; `kind` is (type, source). A debit of usage says what is owed after it."""
    line = world.put(
        Transaction(
            id=f"txn_{world.streams.text('transaction', 24)}",
            created_at_ms=world.now_ms,
            organization_id=organization_id,
            type=kind[0],
            source=kind[1],
            amount_cents=amount_cents,
            description=text,
        )
    )
    account = world.get(Account, organization_id)
    granted = amount_cents if kind[0] in GRANTS else 0
    _change_funds(
        world,
        account,
        free=granted * HOUR_MS,
        balance_cents=account.balance_cents + amount_cents,
        granted_cents=account.granted_cents + granted,
        paid_cents=account.paid_cents + (0 if kind[0] in (*GRANTS, *USAGE) else amount_cents),
        **owed,
    )
    world.note("charge", organization=organization_id, transaction=line.id, type=kind[0], cents=amount_cents)
    return line


def owe_inference(world: World, organization_id: str, nano_usd: int) -> None:
    """Let an organization owe for inference: whole cents at once, of free credit as far as it goes."""
    account = world.get(Account, organization_id)
    owing = msgspec.structs.replace(account, inference_nano=account.inference_nano + nano_usd)
    cents = owing.reserved_cents - account.reserved_cents
    free = min(cents, max(0, account.free_left(world.now_ms) // HOUR_MS)) * HOUR_MS
    _change_funds(world, account, free=-free, inference_nano=owing.inference_nano)


# -- the waterfall -----------------------------------------------------------------------------------------


class Funds(NamedTuple):
    """What is available, by where it comes from, and what is owed beyond it."""

    free_cents: int
    paid_cents: int
    debt_cents: int


def funds(world: World, organization_id: str) -> Funds:
    """What there is to meet usage with: free credit, then paid balance, then it is debt [2026-07].

    available = free + paid - debt
    """
    account, available = world.get(Account, organization_id), available_cents(world, organization_id)
    free = account.free_left(world.now_ms)
    for session in world.select(UsageSession, "open", organization_id):
        free += _given_back(world, session, session.cents(world))
    free_cents = min(max(0, free // HOUR_MS), max(0, available))
    return Funds(free_cents, max(0, available - free_cents), max(0, -available))


def funded(world: World, session: UsageSession) -> list[Piece]:
    """A session up to now, or up to its end, cut by what funded it."""
    account = world.get(Account, session.organization_id)
    start = session.created_at_ms
    span = (start, start + session.span_ms(world.now_ms))
    return funding.pieces(world, account.id, span, account.turns(world.now_ms))


def _taken(world: World, session: UsageSession) -> int:
    """What a session has taken of free credit, in the account's units; nothing where there never was any."""
    if not world.get(Account, session.organization_id).granted_cents:
        return 0
    return funding.time_by_band(funded(world, session)).free * session.rate_cents


def _given_back(world: World, session: UsageSession, cents: int) -> int:
    """Of that, what it is not billed for."""
    taken = _taken(world, session)
    if not taken:
        return 0
    billed = funding.cents_by_band(funded(world, session), session.rate_cents, cents).free
    return taken - billed * HOUR_MS


def _change_funds(world: World, account: Account, *, free: int = 0, **fields: int) -> None:
    """Change what an account has, or what draws on it; `free` comes to its free credit thereby.

    Where it is in debt, what comes in pays that first, in whole cents: no more is free than is available.
    """
    now_ms, last = world.now_ms, account.band
    for moment in account.turns(now_ms):
        funding.note_turn(world, account.id, moment)
        last = moment.band
    free += account.free_left(now_ms)
    changed = msgspec.structs.replace(account, funded_at_ms=now_ms, free=free, **fields)
    left = max(0, changed.left(now_ms))
    if free > left:
        free -= -(-(free - left) // HOUR_MS) * HOUR_MS
    band = FREE if free > 0 else PAID if left else UNPAID
    if band != last:
        funding.note_turn(world, account.id, Moment(now_ms, band))
    if (free, band) != (changed.free, changed.band):
        changed = msgspec.structs.replace(changed, free=free, band=band)
    world.put(changed)


# -- the watch ---------------------------------------------------------------------------------------------


def watch(world: World, organization_id: str) -> None:
    """See to it that the balance is looked at no later than the tick on which it can first meet a threshold.

    A look that comes too early only looks again; so a fall of the burn needs no new timer. One look is
    pending at a time, or every VM that starts would leave one behind.
    """
    account = world.get(Account, organization_id)
    moment = next_crossing_ms(world, account)
    if moment is None or moment > LATEST_MS:
        return
    due_ms = _tick_from(world, moment)
    if account.check_at_ms is not None and world.now_ms < account.check_at_ms <= due_ms:
        return
    world.change(account, check_at_ms=due_ms)
    world.clock.cancel_of(organization_id, "billing.check")
    world.clock.at(due_ms, "billing.check", (organization_id, due_ms), cause=world.cause, grade=Grade.watch)


def look_now(world: World, organization_id: str) -> None:
    """Have the balance looked at as soon as what is going on now is over."""
    world.change(world.get(Account, organization_id), check_at_ms=world.now_ms)
    args = (organization_id, world.now_ms)
    world.clock.at(world.now_ms, "billing.check", args, cause=world.cause, grade=Grade.watch)


def next_crossing_ms(world: World, account: Account) -> int | None:
    """The first moment at which the accrual may meet the next threshold; None when it never does.

    The thresholds: balance.low, the floor, and the amount at which the card is charged.
    """
    low, floor = world.settings.whole("billing.low_cents"), world.settings.whole("billing.floor_cents")
    threshold = floor if account.alert else max(low, floor)
    recharge = account.recharge_at_cents
    if recharge is not None:
        threshold = max(threshold, recharge)
    if account.burn_cents == 0:
        unused = account.balance_cents - account.owed_cents
        return world.now_ms if recharge is not None and unused <= recharge else None
    more, _ = _rounding(world, account)
    return -(-(account.left(0) - threshold * HOUR_MS - more) // account.burn_cents)


def _tick_from(world: World, moment_ms: int) -> int:
    """The first tick at or after a moment, but after now. Ticks count from the world's first moment."""
    tick_ms = world.settings.whole("billing.tick_s") * SECOND_MS
    start = world.clock.start_ms
    earliest = max(moment_ms, world.now_ms + 1)
    return start - (start - earliest) // tick_ms * tick_ms
