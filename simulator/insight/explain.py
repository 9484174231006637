"""Why something is as it is: from what the journal says of it, cause by cause, down to the call, the timer,
the action or the fault that began it."""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.kernel.instant import iso
from simulator.kernel.journal import Entry
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World

MOST_CHAINS = 50
"""The newest; older ones are left out, and counted."""
DEEPEST = 100
EXPLAINED = "; it explains the id of a resource, a delivery, an event, a session or a rule, and a requestId"


class Line(msgspec.Struct, frozen=True):
    """One thing that happened, in a sentence."""

    serial: int
    at: str
    kind: str
    text: str


class Chain(msgspec.Struct, frozen=True):
    """What happened to the thing that was asked about, and why: each line is the cause of the one before."""

    what: Line
    because: list[Line]
    complete: bool
    """False where the journal has dropped the cause."""


class Explanation(msgspec.Struct, frozen=True):
    """Everything the journal knows about an id, oldest first."""

    id: str
    chains: list[Chain]
    left_out: int


def explain(world: World, wanted: str) -> Explanation:
    """The chains behind a resource, a charge, a delivery, an event, a session, a fault rule or a requestId.

    Raises Refusal 404 when the journal knows nothing of it.
    """
    about = [entry for entry in world.journal if _is_about(entry, wanted)]
    if not about:
        dropped = world.journal.dropped
        text = f"; {dropped} older entries are gone" if dropped else EXPLAINED
        raise Refusal("not_found", f"the journal says nothing of {wanted[:80]!r}{text}")
    known = {entry.serial: entry for entry in world.journal}
    shown = about[-MOST_CHAINS:]
    return Explanation(wanted, [_chain(entry, known) for entry in shown], len(about) - len(shown))


def _is_about(entry: Entry, wanted: str) -> bool:
    """Whether an entry says what became of a thing: a mention in a path or among arguments is none."""
    facts = entry.facts
    if entry.kind == "request":
        return bool(facts.get("id") == wanted)
    names = ("resource", "id", "transaction", "session", "rule", "event", "webhook")
    return entry.kind not in ("timer", "action") and any(facts.get(name) == wanted for name in names)


def _chain(entry: Entry, known: dict[int, Entry]) -> Chain:
    because: list[Line] = []
    cause = entry.cause
    while cause is not None and cause in known and len(because) < DEEPEST:
        because.append(_line(known[cause]))
        cause = known[cause].cause
    return Chain(_line(entry), because, complete=cause is None)


def _line(entry: Entry) -> Line:
    return Line(entry.serial, iso(entry.at_ms), entry.kind, tell(entry))


# -- words -------------------------------------------------------------------------------------------------


def tell(entry: Entry) -> str:
    """An entry in a sentence."""
    return _SENTENCES[entry.kind](entry.facts)


def what_became(facts: dict[str, Any]) -> str:
    """What became of a request, as the rest of a sentence."""
    fault = f", by fault {facts['fault']}" if "fault" in facts else ""
    if "lost" in facts:
        carried_out = facts["status"] < 400
        became = "carried out and its answer lost" if carried_out else "cut off and not carried out"
        return f"was {became}{fault}"
    why = f": {facts['message']}" if "message" in facts else ""
    return f"was answered {facts.get('status', 'not yet')}{fault}{why}"


def _request(facts: dict[str, Any]) -> str:
    operation = f" ({facts['operation']})" if "operation" in facts else ""
    return f"{facts['method']} {facts['path']}{operation} {what_became(facts)}"


def _timer(facts: dict[str, Any]) -> str:
    args = ", ".join(map(str, facts["args"]))
    return f"timer {facts['name']} fired{f' for {args}' if args else ''}"


def _action(facts: dict[str, Any]) -> str:
    place = f" from the timeline, entry {facts['timeline']}," if "timeline" in facts else ""
    arguments = ", ".join(f"{name}={value!r}" for name, value in facts["arguments"].items())
    return f"action {facts['name']}{place} was carried out{f' with {arguments}' if arguments else ''}"


def _transition(facts: dict[str, Any]) -> str:
    name = facts.get("name") or facts["resource"]
    if "stage" in facts:
        return f"{name} entered stage {facts['stage']}"
    reason = f", reason {facts['reason']!r}" if facts.get("reason") else ""
    return f"{name} went from {facts['from']} to {facts['to']} by {facts.get('trigger', 'itself')}{reason}"


def _event(facts: dict[str, Any]) -> str:
    return f"event {facts['type']} was recorded as {facts['id']}"


def _delivery(facts: dict[str, Any]) -> str:
    came = f"answer {facts['status_code']}" if facts["status_code"] else "no answer"
    error = f": {facts['error']}" if facts["error"] else ""
    return f"attempt {facts['attempt']} to deliver {facts['type']} is {facts['status']} with {came}{error}"


def _charge(facts: dict[str, Any]) -> str:
    if "transaction" in facts:
        return f"{facts['type']} of {facts['cents']} cents was written into the ledger"
    span = f"{facts['seconds']} s at {facts['rate_cents']} cents an hour"
    return f"a billing session ended: {facts['cents']} cents for {span}"


def _fault(facts: dict[str, Any]) -> str:
    names = ("operation", "event", "resource", "stage", "model", "purpose")
    where = " ".join(str(facts[name]) for name in names if name in facts)
    return f"fault rule {facts['rule']} struck {facts['seam']} {where}: {facts['fault']}"


def _refusal(facts: dict[str, Any]) -> str:
    return f"action {facts['name']} could not be carried out: {facts['message']}"


def _bug(facts: dict[str, Any]) -> str:
    return f"the simulator broke its contract in {facts['operation']}: {facts['message']}"


_SENTENCES = {
    "request": _request,
    "timer": _timer,
    "action": _action,
    "transition": _transition,
    "event": _event,
    "delivery": _delivery,
    "charge": _charge,
    "fault": _fault,
    "refusal": _refusal,
    "bug": _bug,
}
