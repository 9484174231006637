"""One running world: a lock, a clock that moves, and the courier that carries webhooks out.

The lock is never held while a receiver is being called: receivers call the API back from inside a webhook.
One advance runs at a time; when it returns, every event due has fired and every delivery due has been made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Lock
from typing import Any, Literal

import msgspec

from simulator import state
from simulator.contract import Contract
from simulator.dispatch import dispatch
from simulator.domain import events
from simulator.domain.events import Outcome, Outgoing
from simulator.domain.faults.rules import look_back
from simulator.kernel.checkpoints import Checkpoints
from simulator.kernel.clock import Grade
from simulator.kernel.form import FormProblem, read
from simulator.kernel.instant import DAY_MS, LAST_NOW_MS, LATEST_MS, iso
from simulator.kernel.operation import Reply, Request, Wire
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.world import World
from simulator.registry import ACTIONS
from simulator.scenario.timers import TIMERS

Courier = Callable[[Outgoing], Outcome]
Mode = Literal["live", "manual", "stepped"]
MODES = ("live", "manual", "stepped")

FASTEST_RATE = 1_000_000
"""Virtual seconds per real one [choice: twelve days a second; one core can just about fire that]."""
LONGEST_STEP_S = 10**8
PATIENCE_S = 1.0
"""Real seconds for which an advance waits for the deliveries of the live clock, or of a step [choice]."""
MOST_NOTED_BYTES = 4096
MOST_EVENTS = 5_000_000
MOST_DELIVERIES = 1_000_000
"""Where an advance that would never end gives up."""


class Advanced(msgspec.Struct, frozen=True):
    """What an advance did."""

    from_ms: int
    now_ms: int
    events: int
    deliveries: int


class ClockState(msgspec.Struct, frozen=True):
    """How a world's clock runs. `rate`: virtual seconds per real one; `step_s`: seconds per request."""

    mode: Mode = "manual"
    rate: float = 1.0
    step_s: float = 5.0

    def check(self) -> None:
        """Refuse what no clock can do; a NaN fails every comparison."""
        if self.mode not in MODES:
            raise Refusal("bad_request", f"clock mode {self.mode!r}{nearest(self.mode, list(MODES))}")
        if not 0 < self.rate <= FASTEST_RATE:
            raise Refusal("bad_request", f"rate {self.rate}: take more than 0, at most {FASTEST_RATE}")
        if not 0 <= self.step_s <= LONGEST_STEP_S:
            raise Refusal("bad_request", f"step {self.step_s}: take 0 to {LONGEST_STEP_S} seconds")


class Simulator:
    """One world that answers requests and lets time pass."""

    def __init__(
        self,
        contract: Contract,
        genesis: World,
        courier: Courier | None = None,
        clock: ClockState | None = None,
        watch: Callable[[Simulator], None] | None = None,
    ) -> None:
        self.contract = contract
        self.courier = courier or _no_courier
        self.world = genesis.fork()
        self.clock = clock or ClockState()
        self.clock.check()
        self.changed = Condition()
        """Notified after every request, action and advance: who waits for something waits here."""
        self.due_ms: int | None = None
        """When live time next brings something; None when it brings nothing, or does not flow."""
        self.checkpoints = Checkpoints()
        self._watch = watch
        """Told of every change in live mode, without the lock: the pacer."""
        self._genesis = genesis
        self._lock = Lock()
        self._changing = _Change(self)
        self._turn = _Turn()
        self._anchor()
        self._look_ahead()

    @property
    def name(self) -> str:
        return self.world.name

    @property
    def genesis(self) -> World:
        """The world's first moment, for comparison."""
        return self._genesis

    # -- asking --------------------------------------------------------------------------------------------

    def call(self, request: Request, refusal: Refusal | None = None) -> Reply:
        """Answer one API request. In `stepped` mode time moves first, in `live` mode it catches up.

        With a refusal, that is the answer: for a request that could not even be read.
        """
        if self.clock.mode == "stepped" and refusal is None:
            self._pass(round(self.clock.step_s * 1000))
        with self._changing:
            self._catch_up()
            reply = dispatch(self.world, self.contract, request, refusal)
        return reply if reply.wire is None else self._delayed(reply, reply.wire)

    def _delayed(self, reply: Reply, wire: Wire) -> Reply:
        """Let the time pass for which a fault keeps an answer back. In live mode, and where the fault says
        so, that is real time: it is written into the reply, for whoever sends it."""
        if self.clock.mode == "live":
            real_s = wire.wait_s if wire.real else wire.wait_s / self.clock.rate
            return msgspec.structs.replace(reply, wire=wire.after(real_s))
        self._pass(round(wire.wait_s * 1000))
        return msgspec.structs.replace(reply, wire=wire.after(wire.wait_s if wire.real else 0.0))

    def do(self, action: str, arguments: dict[str, Any]) -> Any:
        """Let the outside world act. Raises Refusal with the nearest right name, or what does not fit."""
        row = ACTIONS.get(action)
        if row is None:
            raise Refusal("not_found", f"no action {action!r}{nearest(action, list(ACTIONS))}")
        try:
            what = read(arguments, row.arguments)
        except FormProblem as problem:
            raise Refusal("bad_request", f"{action}: {problem}") from None
        return self.let(action, arguments, lambda world: row.function(world, what))

    def let(self, name: str, arguments: dict[str, Any], happen: Callable[[World], Any]) -> Any:
        """Let something happen from outside. It stands in the journal as an action, with these arguments."""
        with self._changing:
            self._catch_up()
            world = self.world
            facts = {"name": name, "arguments": _shortened(arguments)}
            world.cause = world.journal.add(world.now_ms, "action", None, facts)
            try:
                return happen(world)
            finally:
                look_back(world)
                world.cause = None

    @contextmanager
    def reading(self) -> Iterator[World]:
        """The world, with nothing going on in it: for looking, never for keeping."""
        with self._lock:
            yield self.world

    # -- time ----------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """The present virtual moment; looking does not move it."""
        now_ms = self.world.now_ms
        return max(now_ms, self.live_now_ms()) if self.clock.mode == "live" else now_ms

    def set_clock(self, clock: ClockState) -> None:
        """Switch mode, rate or step. Time goes on from the present virtual moment."""
        clock.check()
        with self._changing:
            self._catch_up()
            self.clock = clock
            self._anchor()

    def live_now_ms(self) -> int:
        """What the virtual time is in live mode: real time since the anchor, times the rate."""
        anchor_ms, anchor_s, rate = self._anchored
        return min(LAST_NOW_MS, anchor_ms + int((time.monotonic() - anchor_s) * rate * 1000))

    def due_in_s(self) -> float | None:
        """Real seconds until live time brings something; None when it brings nothing."""
        due_ms = self.due_ms
        if due_ms is None:
            return None
        anchor_ms, anchor_s, rate = self._anchored
        return max(0.0, anchor_s + (due_ms - anchor_ms) / rate / 1000 - time.monotonic())

    def advance(self, seconds: float) -> Advanced:
        """Let so many virtual seconds pass; settled when it returns."""
        if not 0 <= seconds <= LAST_NOW_MS:
            raise Refusal("bad_request", f"seconds {seconds}: time only goes forward, to the year 9998")
        return self._advance(lambda world: world.now_ms + round(seconds * 1000))

    def advance_to(self, moment_ms: int) -> Advanced:
        """Let time pass until a moment, which is not before now."""
        return self._advance(lambda world: moment_ms)

    def advance_until(self, until: Literal["next", "idle"]) -> Advanced:
        """`next`: to the next event; `idle`: until nothing but housekeeping is pending."""
        if until == "idle":
            return self._advance(lambda world: LAST_NOW_MS, _idle)
        return self._advance(_next_ms)

    def come_to_rest(self) -> bool:
        """Let what is under way come to its end, for a day at the most [choice]: starts, retries, credits,
        nodes that return, what the timeline still brings. Machines that run do not keep a world from rest,
        and what would go on for ever is left as it is. False where the world did not come to rest."""
        try:
            self._advance(lambda world: min(LAST_NOW_MS, world.now_ms + DAY_MS), _idle)
        except Refusal:  # another advance hangs, or one thing leads to the next without an end
            return False
        with self.reading() as world:
            return _idle(world)

    def advance_until_status(self, row_id: str, status: str) -> Advanced:
        """Until a resource has a status. Refused, and nothing moves, when nothing pending would bring it.

        A fork tries it out first: deliveries change no resource, so it needs no receivers.
        """
        with self._lock:
            twin = self.world.fork()
        states = twin.states_of(row_id)
        if states is None:
            raise Refusal("not_found", f"no resource {row_id!r} in world {self.name!r}")
        if status not in states:
            raise Refusal("bad_request", f"{row_id} is never {status!r}{nearest(status, list(states))}")
        present, fired = twin.status_of(row_id), 0
        while twin.status_of(row_id) != status:
            fired += 1
            if fired > MOST_EVENTS or twin.clock.rests(Grade.watch) or not _fire_next(twin, LAST_NOW_MS):
                text = f"{row_id} is {present}, and nothing that is pending makes it {status}"
                raise Refusal("conflict", text)
        return self._advance_as_foreseen(row_id, status, twin.now_ms)

    def _advance_as_foreseen(self, row_id: str, status: str, at_ms: int) -> Advanced:
        """To the moment at which a resource will have a status, unless a receiver takes it another way."""
        reached = False

        def enough(world: World) -> bool:
            nonlocal reached
            reached = reached or world.status_of(row_id) == status
            return reached

        advanced = self._advance(lambda world: max(world.now_ms, at_ms), enough)
        if not reached:
            raise Refusal("conflict", f"{row_id} was to be {status}; a call on the way took it elsewhere")
        return advanced

    def keep_pace(self, start: Callable[[Callable[[], None]], object]) -> None:
        """In live mode: fire what real time has made due. Where deliveries are due, `start` is handed what
        makes them, to let it run beside the caller: time goes on while a receiver is slow."""
        with self._changing:
            self._catch_up()
            begun = self.clock.mode == "live" and bool(self.world.outbox) and self._turn.take("live")
        if begun:
            try:
                start(self._deliver_all)
            except RuntimeError:  # no thread is to be had
                self._turn.give_back()
                raise

    # -- beginnings ----------------------------------------------------------------------------------------

    def reset(self, genesis: World | None = None) -> None:
        """Back to the world's first moment, or to another, which is its own from now on.

        What is under way is dropped. The clock keeps its mode, rate and step.
        """
        with self._changing:
            self._genesis = genesis or self._genesis
            self._go_to(self._genesis)

    def fork(self, name: str) -> World:
        """The present state as the first moment of another world."""
        with self._changing:
            self._catch_up()
            twin = self.world.fork(name)
            events.requeue(twin)
            return twin

    def save(self, *, secrets: bool = False) -> dict[str, Any]:
        """The present state as a document; see simulator.state. Only a fork's worth of time is taken."""
        return state.save(self.fork(self.name), secrets=secrets)

    def load(self, document: bytes) -> None:
        """To the state of a document, which is the world's first moment from now on; see `reset`.

        Raises Refusal, and then nothing has changed.
        """
        self.reset(state.load(document, self.name))

    def mark(self, name: str) -> None:
        """Keep the present moment as a checkpoint."""
        with self._changing:
            self._catch_up()
            self.checkpoints.keep(name, self.world.fork())

    def restore(self, name: str) -> None:
        """Back to a checkpoint, its clock and journal too. What is under way is dropped, deliveries that were
        under way then are made again. The first moment stays what it is."""
        with self._changing:
            self._go_to(self.checkpoints.get(name))
            events.requeue(self.world)

    # -- inside --------------------------------------------------------------------------------------------

    def _advance(
        self, target: Callable[[World], int], enough: Callable[[World], bool] | None = None
    ) -> Advanced:
        """One advance at a time. What moves the clock by itself is waited for, though not for long, another
        advance is not: each may be the one whose webhook is calling."""
        if not self._turn.take("advance", PATIENCE_S):
            raise Refusal("conflict", "another advance is running; it ends when its deliveries are answered")
        try:
            return self._run(target, enough)
        finally:
            self._turn.give_back()
            with self._changing:
                if self.world.now_ms > self.live_now_ms():
                    self._anchor()

    def _pass(self, span_ms: int) -> None:
        """Let the time pass that a request takes; none does while something else moves the clock."""
        if span_ms and self._turn.take("step"):
            try:
                self._run(lambda world: min(LAST_NOW_MS, world.now_ms + span_ms))
            finally:
                self._turn.give_back()

    def _run(self, target: Callable[[World], int], enough: Callable[[World], bool] | None = None) -> Advanced:
        """Fire and deliver in order of time, until a moment or until it is enough. A reset ends it early."""
        with self._lock:
            self._catch_up()
            world, from_ms = self.world, self.world.now_ms
            to_ms = _reachable(world, target(world))
        fired = made = 0
        while True:
            with self._lock:
                if self.world is world:
                    fired += self._fire_until(to_ms, enough)
                if self.world is not world or not world.outbox:
                    return Advanced(from_ms, world.now_ms, fired, made)
            made += self._deliver_next(world)
            if fired > MOST_EVENTS or made > MOST_DELIVERIES:
                raise _endless(world)

    def _fire_until(self, to_ms: int, enough: Callable[[World], bool] | None = None) -> int:
        """Fire what is due until a delivery is due too; with none, move the clock. Answers how many fired."""
        world, fired = self.world, 0
        while not world.outbox:
            if enough is not None and enough(world):
                return fired
            if not _fire_next(world, to_ms):
                if enough is None:  # live time may have gone on, while a receiver was slow
                    world.clock.move_to(max(world.now_ms, to_ms))
                return fired
            fired += 1
            if fired > MOST_EVENTS:
                raise _endless(world)
        return fired

    def _catch_up(self) -> None:
        """In live mode: fire what real time has made due, whether or not receivers are slow."""
        if self.clock.mode != "live":
            return
        world, now_ms = self.world, self.live_now_ms()
        while _fire_next(world, now_ms):
            pass
        if now_ms > world.now_ms:
            world.clock.move_to(now_ms)

    def _deliver_next(self, world: World) -> bool:
        """Make the next delivery of the outbox that its webhook still wants; False when there is none."""
        with self._lock:
            outgoing = self._take() if self.world is world else None
        if outgoing is None:
            return False
        outcome = self.courier(outgoing)
        with self._lock:
            if self.world is world:
                self._catch_up()
                events.settle(world, outgoing.delivery_id, outcome)
        return True

    def _deliver_all(self) -> None:
        """Make the deliveries of live time, whose turn it is; an advance that waits takes over."""
        world = self.world
        try:
            while self.clock.mode == "live" and not self._turn.wanted and self._deliver_next(world):
                pass
        finally:
            self._turn.give_back()
            with self._changing:
                self._catch_up()

    def _take(self) -> Outgoing | None:
        while self.world.outbox:
            outgoing = events.outgoing(self.world, self.world.outbox.popleft())
            if outgoing is not None:
                return outgoing
        return None

    def _go_to(self, moment: World) -> None:
        """Another moment of this world: an advance that runs ends, and an answer under way comes too late."""
        self.world = moment.fork()
        self._anchor()

    def _anchor(self) -> None:
        """Let live time go on from the world's now."""
        self._anchored = (self.world.now_ms, time.monotonic(), self.clock.rate)

    def _look_ahead(self) -> None:
        """Note when live time next brings something: at once, where deliveries wait to be made."""
        if self.clock.mode != "live":
            self.due_ms = None
        else:
            at_once = self.world.outbox and not self._turn.holder
            due_ms = self.world.now_ms if at_once else self.world.clock.next_due_ms()
            self.due_ms = None if due_ms is None or due_ms > LAST_NOW_MS else due_ms


class _Change:
    """A simulator's lock; leaving it tells everybody who waits. Cheaper than a generator on every request."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def __enter__(self) -> None:
        self._simulator._lock.acquire()

    def __exit__(self, *failure: object) -> None:
        simulator = self._simulator
        simulator._look_ahead()
        simulator._lock.release()
        with simulator.changed:
            simulator.changed.notify_all()
        if simulator._watch is not None and simulator.clock.mode == "live":
            simulator._watch(simulator)


class _Turn:
    """Who moves the clock and makes deliveries: nobody, an advance, a request's step, or the live clock."""

    def __init__(self) -> None:
        self.holder = ""
        self.wanted = 0
        """Advances that wait for the holder."""
        self._free = Condition()

    def take(self, who: str, patience_s: float = 0.0) -> bool:
        """Take the turn if it is free. With patience, wait for it unless an advance has it."""
        with self._free:
            if patience_s:
                self.wanted += 1
                self._free.wait_for(lambda: self.holder in ("", "advance"), patience_s)
                self.wanted -= 1
            if self.holder:
                return False
            self.holder = who
            return True

    def give_back(self) -> None:
        with self._free:
            self.holder = ""
            self._free.notify_all()


def _fire_next(world: World, until_ms: int) -> bool:
    """Fire the next timer due by a moment; False when there is none."""
    timer = world.clock.pop_due(until_ms)
    if timer is None:
        return False
    facts = {"name": timer.name, "args": list(timer.args)}
    world.cause = world.journal.add(world.now_ms, "timer", timer.cause, facts)
    TIMERS[timer.name](world, *timer.args)
    look_back(world)
    world.cause = None
    return True


def _shortened(arguments: dict[str, Any]) -> dict[str, Any]:
    """What the journal keeps of an action's arguments: its memory is to stay bounded."""
    size = len(msgspec.json.encode(arguments))
    return arguments if size <= MOST_NOTED_BYTES else {"cut": f"{size} bytes"}


def _idle(world: World) -> bool:
    return world.clock.rests()


def _next_ms(world: World) -> int:
    """When the next event comes; housekeeping counts only when there is nothing else."""
    return world.clock.next_work_ms() or world.clock.next_due_ms() or world.now_ms


def _reachable(world: World, to_ms: int) -> int:
    if to_ms < world.now_ms:
        raise Refusal(
            "bad_request", f"{iso(to_ms)} is before now, {iso(world.now_ms)}; time only goes forward"
        )
    if to_ms > LAST_NOW_MS:
        beyond = iso(to_ms) if to_ms <= LATEST_MS else f"year {to_ms // (366 * DAY_MS) + 1970} or later"
        raise Refusal("bad_request", f"{beyond} is beyond {iso(LAST_NOW_MS)}, where virtual time ends")
    return to_ms


def _endless(world: World) -> Refusal:
    most = f"{MOST_EVENTS} events or {MOST_DELIVERIES} deliveries"
    return Refusal("conflict", f"more than {most} without an end, at {iso(world.now_ms)}")


def _no_courier(outgoing: Outgoing) -> Outcome:
    return Outcome(error="not sent: this simulator was made without a courier")
