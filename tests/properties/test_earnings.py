"""Who paid for which part of which session, against a model that goes through every millisecond."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simulator.domain import funding, hosting, metering
from simulator.domain.capacity import Node
from simulator.domain.funding import FREE, PAID, UNPAID
from simulator.domain.metering import Account, UsageSession
from simulator.kernel.instant import HOUR_MS
from simulator.kernel.money import ROUNDING, usage_cents
from simulator.kernel.refusal import Refusal
from simulator.kernel.settings import Settings
from simulator.kernel.world import World
from tests.support.cloud import Cloud
from tests.support.earnings import EARNINGS, books_add_up, customer, provider
from tests.support.effort import walks
from tests.support.invariants import check_world

# -- the model ---------------------------------------------------------------------------------------------

RATES = st.sampled_from((36_000, 54_321, 100_000, 3_600_000, 7_777_777))
"""Cents an hour; at the first a cent takes 100 ms, at the fourth one."""

EVENTS = st.one_of(
    st.tuples(st.just("open"), RATES),
    st.tuples(st.just("close"), st.integers(0, 9)),
    st.tuples(st.just("renew"), st.just(0)),
    st.tuples(st.just("credit_grant"), st.integers(1, 60)),
    st.tuples(st.just("stripe_deposit"), st.integers(1, 60)),
    st.tuples(st.just("refund"), st.integers(-60, -1)),
    st.tuples(st.just("inference"), st.integers(1, 40_000_000)),
    st.tuples(st.just("wait"), st.integers(1, 900)),
    st.tuples(st.just("wait"), st.integers(1, 900)),
)
"""What befalls an account, in cents, nano-dollars and milliseconds."""


class Usage:
    """A session as the model keeps it: the band of each of its milliseconds, and nothing else."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.bands: list[str] = []

    def cents(self, rounding: str) -> dict[str, int]:
        """Each cent is of the band of the millisecond in which it becomes full; a rounded one of the last."""
        spent = {FREE: 0, PAID: 0, UNPAID: 0}
        billed = usage_cents(len(self.bands), self.rate, rounding)
        full = [-(-cent * HOUR_MS // self.rate) for cent in range(1, billed + 1)]
        for at in full:
            spent[self.bands[min(at, len(self.bands)) - 1]] += 1
        return spent


class Purse:
    """The account as the model keeps it, in cents x ms per hour: free credit, and money, below 0 in debt."""

    def __init__(self, rounding: str) -> None:
        self.rounding = rounding
        self.free = self.money = self.nano = 0
        self.open: list[Usage] = []

    def wait(self, span_ms: int) -> None:
        burn = sum(usage.rate for usage in self.open)
        for _ in range(span_ms):
            band = FREE if self.free > 0 else PAID if self.free + self.money > 0 else UNPAID
            for usage in self.open:
                usage.bands.append(band)
            if band == FREE:
                self.free -= burn
            else:
                self.money -= burn

    def close(self, *usages: Usage) -> None:
        """What they have taken and are not billed for comes back, each part to where it came from."""
        for usage in usages:
            self.open.remove(usage)
            for band, cents in usage.cents(self.rounding).items():
                back = usage.bands.count(band) * usage.rate - cents * HOUR_MS
                self._move(back if band == FREE else 0, 0 if band == FREE else back)
        self._cover()

    def post(self, kind: str, cents: int) -> None:
        units = cents * HOUR_MS
        self._move(units if kind == "credit_grant" else 0, 0 if kind == "credit_grant" else units)
        self._cover()

    def infer(self, nano_usd: int) -> None:
        before = -(-self.nano // 10_000_000)
        self.nano += nano_usd
        cents = -(-self.nano // 10_000_000) - before
        of_free = min(cents, max(0, self.free // HOUR_MS))
        self._move(-of_free * HOUR_MS, (of_free - cents) * HOUR_MS)
        self._cover()

    def _move(self, free: int, money: int) -> None:
        self.free += free
        self.money += money

    def _cover(self) -> None:
        """Free credit pays what is owed, in whole cents."""
        while self.free > max(0, self.free + self.money):
            self._move(-HOUR_MS, HOUR_MS)


def plain_world(rounding: str) -> World:
    """A world of one account and one node, without anybody in it."""
    world = World("plain", 0, 1_000_000, Settings({"billing.rounding": rounding}))
    world.put(Account(id="payer"))
    world.put(Node(id="node", hostname="node", location_id="", region="", vcpu=1, ram_mb=1, disk_gb=1))
    world.clock.move_to(1_000_001)
    return world


def open_usage(world: World, number: int, rate: int) -> UsageSession:
    fields: dict[str, Any] = {
        "organization_id": "payer",
        "resource_id": f"vm-{number}",
        "node_id": "node",
        "key": "k",
    }
    session = metering.new_session(world, **fields, count=1, rate_cents=rate)
    return metering.open_session(world, session)


class Both:
    """An account of the simulator and one of the model, to which the same things happen."""

    def __init__(self, rounding: str) -> None:
        self.world, self.purse = plain_world(rounding), Purse(rounding)
        self.ids: dict[Usage, str] = {}
        """The model's sessions, and the simulator's."""

    def happen(self, what: str, number: int) -> None:
        world, purse = self.world, self.purse
        if what == "open":
            usage = Usage(number)
            purse.open.append(usage)
            self.ids[usage] = open_usage(world, len(self.ids), number).id
        elif what == "close" and purse.open:
            usage = purse.open[number % len(purse.open)]
            purse.close(usage)
            metering.close_session(world, world.get(UsageSession, self.ids[usage]).resource_id)
        elif what == "renew":
            self.renew()
        elif what == "inference":
            purse.infer(number)
            metering.owe_inference(world, "payer", number)
        elif what == "wait":
            purse.wait(number)
            world.clock.move_to(world.now_ms + number)
        elif what in ("credit_grant", "stripe_deposit", "refund"):
            purse.post(what, number)
            metering.post(world, "payer", number, (what, "test"), "test")

    def renew(self) -> None:
        """A month ends: every session ends, and its next part begins."""
        before = list(self.purse.open)
        self.purse.close(*before)
        metering.renew_sessions(self.world, "payer")
        for usage in before:
            resource = self.world.get(UsageSession, self.ids[usage]).resource_id
            twin = Usage(usage.rate)
            self.purse.open.append(twin)
            opened = metering.open_session_of(self.world, resource)
            assert opened is not None, resource
            self.ids[twin] = opened.id

    def agree(self) -> None:
        world, purse = self.world, self.purse
        for usage, session_id in self.ids.items():
            session = world.get(UsageSession, session_id)
            cut = metering.funded(world, session)
            assert funding.time_by_band(cut) == tuple(map(usage.bands.count, (FREE, PAID, UNPAID)))
            cents = funding.cents_by_band(cut, session.rate_cents, session.cents(world))
            assert cents == tuple(usage.cents(purse.rounding).values())
            assert sum(cents) == session.cents(world)
        account = world.get(Account, "payer")
        assert account.free_left(world.now_ms) == purse.free
        assert account.left(world.now_ms) == purse.free + purse.money
        funds = metering.funds(world, "payer")
        left = metering.available_cents(world, "payer")
        assert funds.free_cents + funds.paid_cents - funds.debt_cents == left


MONTHS_END = [
    ("credit_grant", 50),
    ("open", 54_321),
    ("wait", 777),
    ("renew", 0),
    ("wait", 888),
    ("renew", 0),
]


@given(st.sampled_from(tuple(ROUNDING)), st.lists(EVENTS, max_size=30), st.booleans())
@example("floor", MONTHS_END, True)
@example("up", MONTHS_END, False)
@settings(max_examples=400, deadline=None)
def test_bands_are_those_of_a_walk_through_every_millisecond(
    rounding: str, events: list[tuple[str, int]], look: bool
) -> None:
    """Also where nobody looks until the end: what is read decides nothing."""
    both = Both(rounding)
    for what, number in events:
        both.happen(what, number)
        if look:
            both.agree()
    both.agree()


# -- rounding ----------------------------------------------------------------------------------------------

ROUNDED = given(
    st.sampled_from(tuple(ROUNDING)),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4000), st.integers(0, 9_999)), max_size=8),
    st.integers(0, 12_000_000),
)
"""A rounding; sessions by the cents of the hourly rate, in two parts, and by their opening; a moment."""


def crowd(rounding: str, rows: list[tuple[int, int, int]]) -> World:
    world = plain_world(rounding)
    metering.post(world, "payer", 40, ("stripe_deposit", "test"), "test")
    for number, (thousands, rate, wait_ms) in enumerate(rows):
        open_usage(world, number, thousands * 1000 + rate + 1)
        world.clock.move_to(world.now_ms + wait_ms)
    return world


@ROUNDED
def test_the_quick_answer_whether_enough_is_available_is_the_exact_one(
    rounding: str, rows: list[tuple[int, int, int]], span_ms: int
) -> None:
    world = crowd(rounding, rows)
    world.clock.move_to(world.now_ms + span_ms)
    left = metering.available_cents(world, "payer")
    for floor in (*range(left - 9, left + 10), 0, 50):
        assert metering.available_above(world, "payer", floor) == (left > floor)


@ROUNDED
def test_no_threshold_is_met_before_the_moment_that_is_watched_for(
    rounding: str, rows: list[tuple[int, int, int]], span_ms: int
) -> None:
    """Up to the millisecond before it more than the threshold is available; later the looks find it out."""
    world = crowd(rounding, rows)
    world.settings = world.settings.but({"billing.low_cents": 30, "billing.floor_cents": 20})
    moment = metering.next_crossing_ms(world, world.get(Account, "payer"))
    if moment is None or metering.available_cents(world, "payer") <= 30:
        return
    world.clock.move_to(max(world.now_ms, moment - 1))
    assert metering.available_cents(world, "payer") > 30


# -- the books ---------------------------------------------------------------------------------------------


class Hosting(RuleBasedStateMachine):
    """Customers on the nodes of a provider, money that comes and goes, months that end, and payouts."""

    @initialize(rounding=st.sampled_from(tuple(ROUNDING)), percent=st.sampled_from((0, 33, 70, 100)))
    def begin(self, rounding: str, percent: int) -> None:
        self.cloud = Cloud(
            "empty",
            billing__rounding=rounding,
            provider__commission_percent=percent,
            provider__payout_min_cents=20,
            billing__floor_cents=-500,
            billing__min_deploy_cents=-500,
        )
        self.host = provider(self.cloud)
        self.customers = [customer(self.cloud, f"guest-{at}", free=90, paid=1000) for at in range(2)]
        self.total = 0

    @rule(which=st.integers(0, 2), count=st.integers(1, 2), hardware=st.sampled_from(("gpu", "cpu")))
    def launch(self, which: int, count: int, hardware: str) -> None:
        """A VM on the provider's hardware; the provider itself is one of those who do that."""
        wish: dict[str, Any] = {"gpuModelId": "rtx-pro-6000", "gpuCount": count} if hardware == "gpu" else {}
        who = [*self.customers, self.host][which]
        who.post("/v1/orgs/{org}/vms/create", {"name": "any", **wish})
        self.cloud.advance(120)

    @rule(which=st.integers(0, 2), verb=st.sampled_from(("stop", "restart", "terminate")))
    def change(self, which: int, verb: str) -> None:
        who = [*self.customers, self.host][which]
        for vm in who.get("/v1/orgs/{org}/vms?limit=2").body["items"]:
            who.post(f"/v1/vms/{vm['id']}/{verb}")

    @rule(which=st.integers(0, 1), cents=st.integers(-700, 700))
    def move_money(self, which: int, cents: int) -> None:
        if cents:
            action = "balance.credit" if cents > 0 else "balance.debit"
            self.cloud.do(action, id=self.customers[which].org, cents=abs(cents))

    @rule(seconds=st.sampled_from((1, 59, 3600, 40_000, 86_400, 16 * 86_400)))
    def wait(self, seconds: int) -> None:
        self.cloud.advance(seconds)

    @rule(cents=st.one_of(st.none(), st.integers(1, 3000)))
    def pay_out(self, cents: int | None) -> None:
        before = self.seen()
        try:
            paid = self.cloud.do("provider.payout", id=self.host.org, amount_cents=cents)["amountCents"]
        except Refusal:
            paid = 0
        assert self.seen()["totalPaidOutCents"] == before["totalPaidOutCents"] + paid
        assert self.seen()["totalEarningsCents"] == before["totalEarningsCents"]

    def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = self.host.get(EARNINGS).body
        return found

    @invariant()
    def the_books_add_up(self) -> None:
        if not hasattr(self, "cloud"):
            return
        check_world(self.cloud.world)
        seen = self.seen()
        books_add_up(seen)
        assert seen["totalEarningsCents"] >= self.total, "what was earned is never taken away"
        self.total = seen["totalEarningsCents"]
        hosted = hosting.total(hosting.of_session(self.cloud.world, row) for row in self.hosted())
        assert seen["totalEarningsCents"] == hosted.earned_cents
        assert self.cloud.bugs() == []

    def hosted(self) -> list[UsageSession]:
        """Every session of a customer on a node of the provider, settled or not."""
        nodes = {node.id for node in self.cloud.rows(Node) if node.organization_id == self.host.org}
        rows = [row for row in self.cloud.rows(UsageSession) if row.node_id in nodes]
        return [row for row in rows if row.organization_id != self.host.org]


TestHosting = Hosting.TestCase
TestHosting.settings = walks(40, 25)
