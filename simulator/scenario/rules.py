"""Fault rules as documents: read, checked against all names there are, and laid into a world.

The form is one for all seams, in scenario files, on the control surface and in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec

from simulator.domain import events
from simulator.domain.faults import SEAMS, SELECTORS, lifecycle, placement
from simulator.domain.faults.rules import Rule
from simulator.domain.products import GpuModel
from simulator.kernel.form import FormProblem, inside, read
from simulator.kernel.instant import LATEST_MS
from simulator.kernel.refusal import CODES, Refusal, nearest
from simulator.kernel.world import World
from simulator.registry import OPERATIONS
from simulator.resources.billing.payments import DECLINE_CODES, SENSITIVE_CODES
from simulator.scenario.words import Globs, Span, Where, globs_of, known_globs, span_ms

Seam = Literal["request", "webhook", "lifecycle", "placement", "payment"]
assert set(get_args(Seam)) == set(SEAMS)

MOST_RULES = 1000
PURPOSES = ("deposit", "recharge")

Whole = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class RuleForm(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename={"from_": "from"}):
    """A rule as it is written."""

    id: Id | None = None
    """Sent as X-Sim-Fault; by default the fault's name and a number."""
    on: Seam
    operation: Globs | None = None
    event: Globs | None = None
    resource: Globs | None = None
    stage: Globs | None = None
    model: Globs | None = None
    purpose: Globs | None = None
    where: Where = {}
    after: Whole = 0
    times: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    from_: Span = 0
    """From when on: a span from loading, such as 10s."""
    until: Span | None = None
    """Until when: a span from loading."""
    do: dict[str, Any]
    """One fault, and its arguments or `true`."""


def load_rules(world: World, documents: Sequence[Any], *, keep: bool = True) -> list[Rule]:
    """Put rules into a world, behind those that are there or in their place. All or none: raises FormProblem
    with the place."""
    there = list(world.rows(Rule)) if keep else []
    taken = {rule.id for rule in there}
    position = max((rule.position for rule in there), default=0)
    if len(there) + len(documents) > MOST_RULES:
        raise FormProblem(f"{len(there) + len(documents)} rules; {MOST_RULES} at the most", "faults")
    rules = []
    for number, document in enumerate(documents):
        with inside(f"faults[{number}]"):
            rule = rule_of(world, document, position + 1 + number, taken)
        taken.add(rule.id)
        rules.append(rule)
    if not keep:
        remove_rules(world)
    return [world.put(rule) for rule in rules]


def load_rules_or_refuse(world: World, documents: Sequence[Any], *, keep: bool = True) -> list[Rule]:
    """The same for somebody who waits for an answer: what is wrong with them is refused."""
    try:
        return load_rules(world, documents, keep=keep)
    except FormProblem as problem:
        raise Refusal("bad_request", str(problem)) from None


def remove_rules(world: World, rule_id: str | None = None) -> None:
    """Take one rule from a world, or all."""
    if rule_id is not None and world.find(Rule, rule_id) is None:
        known = [rule.id for rule in world.rows(Rule)]
        raise Refusal("not_found", f"no fault rule {rule_id[:80]!r}{nearest(rule_id, known)}")
    for rule in world.rows(Rule):
        if rule_id in (None, rule.id):
            world.delete(rule)


def rule_of(world: World, document: Any, position: int, taken: set[str]) -> Rule:
    """The rule that a document describes. Raises FormProblem with the place and what would be right."""
    form: RuleForm = read(document, RuleForm)
    name, arguments = _fault(form)
    chosen = _chosen(world, form)
    from_ms = world.now_ms + span_ms(form.from_, "from")
    until_ms = LATEST_MS if form.until is None else world.now_ms + span_ms(form.until, "until")
    if until_ms <= from_ms:
        raise FormProblem(f"{form.until!r} is not after from, {form.from_!r}", "until")
    rule_id = form.id or _free_id(name, taken)
    if rule_id in taken:
        raise FormProblem(f"there is a rule {rule_id!r} already", "id")
    return Rule(
        id=rule_id,
        created_at_ms=world.now_ms,
        position=position,
        seam=form.on,
        chosen=chosen,
        where=globs_of(form.where),
        after=form.after,
        times=form.times,
        probability=form.probability,
        from_ms=from_ms,
        until_ms=until_ms,
        name=name,
        arguments=arguments,
    )


def view(rule: Rule) -> dict[str, Any]:
    """A rule as it is shown: as it was written, with what it has done so far."""
    start = rule.created_at_ms
    document: dict[str, Any] = {"id": rule.id, "on": rule.seam}
    document |= {name: list(globs) for name, globs in rule.chosen.items()}
    where = {name: globs[0] if len(globs) == 1 else list(globs) for name, globs in rule.where.items()}
    document |= {"where": where} if where else {}
    document |= {"after": rule.after} if rule.after else {}
    document |= {"times": rule.times} if rule.times is not None else {}
    document |= {"probability": rule.probability} if rule.probability < 1 else {}
    document |= {"from": f"{(rule.from_ms - start) / 1000:g}s"} if rule.from_ms > start else {}
    document |= {"until": f"{(rule.until_ms - start) / 1000:g}s"} if rule.until_ms < LATEST_MS else {}
    done = {"seen": rule.seen, "hits": rule.hits, "spent": rule.spent}
    return {**document, "do": {rule.name: rule.arguments or True}, **done}


# -- reading -----------------------------------------------------------------------------------------------


def _fault(form: RuleForm) -> tuple[str, dict[str, Any]]:
    """The name of the fault and its arguments, all of them right."""
    effects = SEAMS[form.on]
    if len(form.do) != 1:
        raise FormProblem(f"{len(form.do)} faults; name one: {', '.join(effects)}", "do")
    ((name, given),) = form.do.items()
    if name not in effects:
        elsewhere = [seam for seam, others in SEAMS.items() if name in others]
        hint = f"; it is one of the seam {elsewhere[0]}" if elsewhere else nearest(name, list(effects))
        raise FormProblem(f"no fault {name!r} at the seam {form.on}{hint}", "do")
    arguments = {} if given is True or given is None else given
    if not isinstance(arguments, dict):
        raise FormProblem(f"{given!r:.80} is no mapping of arguments; write true, or {{…}}", f"do.{name}")
    with inside(f"do.{name}"):
        effect = read(arguments, effects[name])
    _check_words(name, effect)
    return name, arguments


def _check_words(name: str, effect: Any) -> None:
    """Words within arguments, which have to be ones that clients can meet."""
    for field, known in (("code", _codes(effect)), ("decline_code", (*DECLINE_CODES, *SENSITIVE_CODES))):
        word = getattr(effect, field, "")
        if word and word not in known:
            raise FormProblem(f"no code {word!r}{nearest(word, list(known))}", f"do.{name}.{field}")


def _codes(effect: Any) -> tuple[str, ...]:
    return placement.CODES if isinstance(effect, placement.Refuse) else tuple(CODES)


def _chosen(world: World, form: RuleForm) -> dict[str, tuple[str, ...]]:
    """Selectors and their globs; each glob has to match a name that there is."""
    chosen = {}
    for selector in sorted({name for names in SELECTORS.values() for name in names}):
        given = getattr(form, selector)
        if given is None:
            continue
        if selector not in SELECTORS[form.on]:
            ways = " and ".join(SELECTORS[form.on])
            raise FormProblem(f"on: {form.on} chooses by {ways}, and by where", selector)
        chosen[selector] = known_globs(selector, given, _known(world, selector), selector)
    return chosen


def _known(world: World, selector: str) -> list[str]:
    """All names that a selector can meet."""
    return {
        "operation": lambda: list(OPERATIONS),
        "event": lambda: list(events.EVENT_TYPES),
        "resource": lambda: list(lifecycle.STAGES),
        "stage": lambda: sorted({stage for stages in lifecycle.STAGES.values() for stage in stages}),
        "model": lambda: [*(model.id for model in world.rows(GpuModel)), "cpu"],
        "purpose": lambda: list(PURPOSES),
    }[selector]()


def _free_id(name: str, taken: set[str]) -> str:
    word = name.replace("_", "-")
    numbers = range(1, len(taken) + 2)
    return next(made for number in numbers if (made := f"{word}-{number}") not in taken)
