"""One test's cloud: where it is, its clock, what goes wrong in it, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import msgspec

from simulator.adapters.greeting import variables
from simulator.domain.events import Outcome, Outgoing
from simulator.domain.faults.rules import Rule
from simulator.engine import Advanced, Simulator
from simulator.insight.explain import explain
from simulator.insight.findings import RULES, ClientFinding, findings
from simulator.insight.money import Leak, dollars, leaks, spend_cents
from simulator.insight.verdict import Finding, verdict
from simulator.kernel.instant import iso
from simulator.kernel.operation import Request
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.world import World
from simulator.registry import OPERATIONS
from simulator.scenario import rules
from simulator.worlds import Opening

if TYPE_CHECKING:
    from simulator.testing.server import Server
    from simulator.testing.webhooks import Received, Webhooks


class Recorded(msgspec.Struct, frozen=True):
    """A request that the cloud answered."""

    operation: str
    """Its operationId; "" where the path is none of the API."""
    method: str
    path: str
    status: int
    code: str
    """Of an error, else ""."""
    message: str
    fault: str
    """The id of the rule that injected the answer, else ""."""
    query: str
    body: dict[str, Any] | None
    """The JSON object that was sent, without secrets; None for another body, and for a long one."""
    request_id: str
    at: datetime


class OpenRelay:
    """A cloud of one test's own. Virtual time stands still until `advance` or `run_until`."""

    def __init__(self, server: Server, simulator: Simulator) -> None:
        self.server = server
        self._simulator = simulator
        self.receivers: dict[str, Callable[[Outgoing], Outcome]] = {}
        """Receivers of webhooks in this process, by the host of their URL; all others are really called."""
        self._on_close: list[Callable[[], object]] = []
        simulator.courier = self._deliver

    @property
    def simulator(self) -> Simulator:
        """The world itself, for what the handle has no words for. Raises RuntimeError when it is closed."""
        if self.closed:
            text = "it lives as long as its test, or its `with` block"
            raise RuntimeError(f"the cloud {self._simulator.name!r} is closed; {text}")
        return self._simulator

    # -- where it is ---------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """For a client's base URL."""
        return self.server.url

    @cached_property
    def environment(self) -> dict[str, str]:
        """OPENRELAY_BASE_URL, OPENRELAY_API_KEY and ORG_ID: what clients read; for subprocesses."""
        return variables(self.simulator, self.base_url)

    @property
    def api_key(self) -> str:
        """A key with full access to `org_id`."""
        return self._credential("OPENRELAY_API_KEY")

    @property
    def org_id(self) -> str:
        """The organization of the key."""
        return self._credential("ORG_ID")

    def _credential(self, name: str) -> str:
        if name not in self.environment:
            raise LookupError(
                f"world {self.opening.fixture!r} has no key with full access; make one with do('…')"
            )
        return self.environment[name]

    @property
    def opening(self) -> Opening:
        """What the world began from."""
        return self.server.worlds.opening(self.simulator.name)

    # -- time ----------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The cloud's present moment, in UTC."""
        return _moment(self.simulator.now_ms)

    def advance(
        self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> Advanced:
        """Let virtual time pass. When it returns, everything due has happened, and every webhook due has been
        delivered and answered."""
        span = timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
        return self.simulator.advance(span.total_seconds())

    def run_until(self, what: Literal["idle", "next"] | str, status: str = "") -> Advanced:
        """Let time pass until nothing is under way ("idle"), until the next thing happens ("next"), or until
        the resource of an id has a status. Raises Refusal, and nothing moves, where that will never be."""
        if status:
            return self.simulator.advance_until_status(what, status)
        if what not in ("idle", "next"):
            raise ValueError(
                f"run_until({what!r}): take 'idle', 'next', or the id of a resource and a status"
            )
        return self.simulator.advance_until(what)

    # -- what happens to it --------------------------------------------------------------------------------

    def do(self, action: str, /, **arguments: Any) -> Any:
        """Let the outside world act: `do("node.offline", node_of="trainer")`. The catalogue is
        `openrelay-simulator actions`. Raises Refusal with what would be right."""
        return self.simulator.do(action, arguments)

    def fault(self, *, on: str = "request", do: Mapping[str, Any], **rule: Any) -> Fault:
        """Let something go wrong from now on, or within a `with` block. `rule` has the members of a rule in a
        scenario file: operation, event, where, after, times, probability, from_, until. Raises Refusal."""
        document = {"on": on, "do": dict(do), **{name.rstrip("_"): value for name, value in rule.items()}}
        return Fault(self, document)

    def scenario(self, name: str | Mapping[str, Any]) -> None:
        """Back to the first moment of a scenario: a bundled one by name, a file, or a document. Clock and
        settings are kept. Raises ValueError or Refusal."""
        from simulator.testing.server import opening_of

        before = self.opening
        opening = opening_of(name, settings=before.settings).but(clock=self.simulator.clock)
        self.server.collect(self.simulator)
        self.server.worlds.reset(self.simulator.name, opening)

    def checkpoint(self, name: str = "checkpoint") -> None:
        """Keep the present moment."""
        self.simulator.mark(name)

    def restore(self, name: str = "checkpoint") -> None:
        """Back to a moment that was kept, clock and journal too."""
        self.server.collect(self.simulator)
        self.simulator.restore(name)

    def fork(self) -> OpenRelay:
        """A twin in the present state, with a key of its own; it is closed together with this one."""
        simulator = self.server.worlds.fork(self.simulator.name, self.server.free_name(self.simulator.name))
        twin = OpenRelay(self.server, simulator)
        twin.receivers.update(self.receivers)
        self.on_close(twin.close)
        return twin

    # -- what became of it ---------------------------------------------------------------------------------

    def calls(self, operation: str | None = None, *, status: int | None = None) -> list[Recorded]:
        """The requests that were answered, oldest first; as many as the journal keeps. Raises Refusal for an
        operation that the API does not have."""
        _check_operation(operation)
        with self.simulator.reading() as world:
            return [
                call
                for call in _recorded(world)
                if operation in (None, call.operation) and status in (None, call.status)
            ]

    def assert_called(
        self,
        operation: str,
        *,
        times: int | None = None,
        at_least: int = 1,
        at_most: int | None = None,
        status: int | None = None,
    ) -> None:
        """That an operation was called so many times, or answered with a status so many times."""
        __tracebackhide__ = True
        least, most = (times, times) if times is not None else (at_least, at_most)
        _check_operation(operation)
        with self.simulator.reading() as world:
            answered = {code: n for (name, code), n in world.journal.answered.items() if name == operation}
            others = {name for name, _ in world.journal.answered if name}
        number = sum(n for code, n in answered.items() if status in (None, code))
        if least <= number and (most is None or number <= most):
            return
        wanted = (
            f"exactly {least}"
            if least == most
            else f"at least {least}" + (f", at most {most}" if most else "")
        )
        with_status = "" if status is None else f" with status {status}"
        found = ", ".join(f"{n} × {code}" for code, n in sorted(answered.items())) or "no call"
        hint = "" if answered else f"; called were {', '.join(sorted(others)) or 'none at all'}"
        raise AssertionError(f"{operation}{with_status}: {wanted} wanted, {number} found ({found}{hint})")

    def assert_not_called(self, operation: str, *, status: int | None = None) -> None:
        """That an operation was never called, or never answered with a status."""
        __tracebackhide__ = True
        self.assert_called(operation, times=0, status=status)

    def leaks(self) -> list[Leak]:
        """What is billed now and was not at the first moment, oldest first."""
        with self.simulator.reading() as world:
            return leaks(world, self.simulator.genesis)

    def assert_no_leaks(self) -> None:
        """That nothing is left behind that costs money."""
        __tracebackhide__ = True
        left = self.leaks()
        if left:
            lines = [f"{leak.text}, since {leak.since} ({leak.id})" for leak in left]
            raise AssertionError("left behind, and billed on:\n" + "\n".join(f"  {line}" for line in lines))

    def spend_cents(self) -> int:
        """What was used since the first moment, machines and inference, in cents."""
        with self.simulator.reading() as world:
            return spend_cents(world, self.simulator.genesis)

    def assert_spend(self, *, max_cents: int | None = None, min_cents: int = 0) -> None:
        """That so much money was spent."""
        __tracebackhide__ = True
        spent = self.spend_cents()
        if spent < min_cents or (max_cents is not None and spent > max_cents):
            bounds = (
                f"at least {dollars(min_cents)}"
                if spent < min_cents
                else f"at most {dollars(max_cents or 0)}"
            )
            raise AssertionError(f"{dollars(spent)} was spent, {bounds} wanted")

    def verdict(self) -> list[Finding]:
        """The expectations of the scenario, each with whether it holds."""
        with self.simulator.reading() as world:
            return verdict(world, self.simulator.genesis)

    def assert_expectations(self) -> None:
        """That every expectation of the scenario holds. Raises ValueError where there is none."""
        __tracebackhide__ = True
        found = self.verdict()
        if not found:
            raise ValueError("nothing is expected: the world lives in no scenario that has expectations")
        broken = [finding for finding in found if not finding.holds]
        if broken:
            lines = [f"  {finding.expect}: {finding.found}" for finding in broken]
            raise AssertionError("expectations of the scenario that do not hold:\n" + "\n".join(lines))

    def findings(self) -> list[ClientFinding]:
        """What the client did that the documentation asks it not to do."""
        with self.simulator.reading() as world:
            return findings(world, self.simulator.genesis)

    def assert_no_findings(self, *but: str) -> None:
        """That the client did nothing of the kind, but for the rules named. Raises ValueError for a rule
        that there is not."""
        __tracebackhide__ = True
        unknown = sorted(set(but) - set(RULES))
        if unknown:
            raise ValueError(f"no rule {unknown[0]!r}{nearest(unknown[0], list(RULES))}")
        found = [finding for finding in self.findings() if finding.rule not in but]
        if found:
            lines = [f"  {finding.rule}: {finding.text} ({finding.says})" for finding in found]
            raise AssertionError("findings about the client:\n" + "\n".join(lines))

    def explain(self, id: str) -> str:
        """Why something is as it is, down to the call, timer, action or fault: of a resource, a charge, a
        delivery, or the requestId of an error. Raises Refusal when the journal knows nothing of it."""
        with self.simulator.reading() as world:
            chains = explain(world, id).chains
        lines = []
        for chain in chains:
            lines.append(f"{chain.what.at} {chain.what.text}")
            lines += [f"  because {line.text} ({line.at})" for line in chain.because]
        return "\n".join(lines)

    # -- the program under test ----------------------------------------------------------------------------

    def client(self, kind: str = "httpx") -> Any:
        """A client with base URL and key: "httpx", "httpx-async" or "requests"."""
        from simulator.testing.clients import client

        return client(self, kind)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API in this process, with the key; answers the decoded body. Raises AssertionError for an
        error."""
        sent = {"authorization": f"Bearer {self.api_key}", "content-type": "application/json"}
        path, _, query = path.partition("?")
        raw = b"" if body is None else msgspec.json.encode(body)
        reply = self.simulator.call(Request(method, path, query, sent, raw))
        if reply.status >= 400:
            raise AssertionError(f"{method} {path}: {reply.status} {reply.body.decode()}")
        return msgspec.json.decode(reply.body) if reply.body else None

    @cached_property
    def webhooks(self) -> Webhooks:
        """A receiver of webhooks on loopback; it listens from its first use on."""
        from simulator.testing.webhooks import Webhooks

        return Webhooks(self)

    @property
    def received(self) -> list[Received]:
        """What has arrived at `webhooks`; nothing, where nobody has asked for that receiver."""
        return self.webhooks.received if "webhooks" in self.__dict__ else []

    def intercept(self, url: str = "") -> AbstractContextManager[None]:
        """Answer calls of requests and httpx to `https://api.openrelay.inc`, or another base URL, in this
        process; all other calls go where they would have gone."""
        from simulator.testing.intercept import intercept

        return intercept(self, url)

    def time_travel(self, limit_days: float = 30) -> AbstractContextManager[None]:
        """Make the test's time the cloud's: sleeping lets virtual time pass, and waits for nothing. After so
        many days of it a sleep raises TimeTravelError."""
        from simulator.testing.time_travel import time_travel

        return time_travel(self, limit_days)

    # -- the end -------------------------------------------------------------------------------------------

    def on_close(self, act: Callable[[], object]) -> None:
        """Have something done when the world is closed; the last one first."""
        self._on_close.append(act)

    @property
    def closed(self) -> bool:
        """Whether its time is over."""
        worlds = self.server.worlds
        return self._simulator.name not in worlds or worlds.get(self._simulator.name) is not self._simulator

    def close(self) -> None:
        """Close the world, and what was opened for it; once or more."""
        while self._on_close:
            self._on_close.pop()()
        if not self.closed:
            self.server.close(self._simulator)

    def _deliver(self, outgoing: Outgoing) -> Outcome:
        receiver = self.receivers.get(urlsplit(outgoing.url).hostname or "")
        return receiver(outgoing) if receiver else self.server.courier(outgoing)

    def __repr__(self) -> str:
        return f"<OpenRelay world {self._simulator.name!r} at {self.base_url}, {iso(self._simulator.now_ms)}>"


class Fault(AbstractContextManager["Fault"]):
    """A rule that is in force, until `remove` or the end of its `with` block."""

    def __init__(self, openrelay: OpenRelay, document: dict[str, Any]) -> None:
        self._simulator = openrelay.simulator
        loaded: list[Rule] = self._simulator.let(
            "faults.load", {"items": [document]}, lambda world: rules.load_rules_or_refuse(world, [document])
        )
        self._known = loaded[0]
        self.id = self._known.id
        """What stands in the X-Sim-Fault header of the answers it injects."""

    @property
    def hits(self) -> int:
        """How often it struck."""
        return self._rule.hits

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it may."""
        return self._rule.spent

    def remove(self) -> None:
        """Let it strike no more; its counts stay."""
        if self._rule is self._there:
            self._simulator.let(
                "faults.delete", {"id": self.id}, lambda world: rules.remove_rules(world, self.id)
            )

    @property
    def _there(self) -> Rule | None:
        with self._simulator.reading() as world:
            return world.find(Rule, self.id)

    @property
    def _rule(self) -> Rule:
        """As it is, or as it was last known."""
        self._known = self._there or self._known
        return self._known

    def __exit__(self, *failure: object) -> None:
        self.remove()


def _check_operation(operation: str | None) -> None:
    if operation is not None and operation not in OPERATIONS:
        raise Refusal("not_found", f"no operation {operation!r}{nearest(operation, list(OPERATIONS))}")


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _recorded(world: World) -> Iterator[Recorded]:
    for entry in world.journal:
        facts = entry.facts
        if entry.kind == "request" and "status" in facts:
            yield Recorded(
                operation=facts.get("operation", ""),
                method=facts["method"],
                path=facts["path"],
                status=facts["status"],
                code=facts.get("code", ""),
                message=facts.get("message", ""),
                fault=facts.get("fault", ""),
                query=facts.get("query", ""),
                body=facts.get("sent"),
                request_id=facts["id"],
                at=_moment(entry.at_ms),
            )
