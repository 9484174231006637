"""Which rule strikes: matching, counting, chance and the window of time.

The rules of a seam are asked in order, and the first that strikes is the only one. A rule is a row of the
world, so that a fork, a saved state and a checkpoint have its counts; chance comes from the world's seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

import msgspec

from simulator.kernel.globs import as_text, like
from simulator.kernel.instant import LATEST_MS
from simulator.kernel.world import Index, Row, World

Seconds = Annotated[float, msgspec.Meta(ge=0, le=10_000_000)]
"""Of virtual time."""

DEFAULT_LAG_S = 5
"""How far a stale answer lies back where a rule does not say."""
PRECISION = 1_000_000
"""A probability is drawn in millionths."""


def _in_order(rule: Rule) -> tuple[int, str]:
    return rule.position, rule.id


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kind of fault; its fields are the arguments."""


F = TypeVar("F", bound=Fault)


class Rule(Row, frozen=True, kw_only=True):
    """One fault rule. `seen` counts what matched inside its window, `hits` how often it struck."""

    indexes: ClassVar = {
        "seam": Index(lambda rule: rule.seam, _in_order),
        "looking_back": Index(lambda rule: "all" if rule.name == "stale" else None, _in_order),
    }

    position: int
    """The order among all rules."""
    seam: str
    chosen: dict[str, tuple[str, ...]] = {}
    """Selector to globs, one of which has to match: operation, event, resource, stage, model, purpose."""
    where: dict[str, tuple[str, ...]] = {}
    """Name of a value to globs, one of which has to match."""
    after: int = 0
    """So many matches pass first."""
    times: int | None = None
    """So many matches are struck, then the rule is spent; None: all."""
    probability: float = 1.0
    from_ms: int = 0
    until_ms: int = LATEST_MS
    """The window on the virtual clock: from the first moment, before the last."""
    name: str
    """The fault that it does."""
    arguments: dict[str, Any] = {}
    seen: int = 0
    hits: int = 0

    def fits(self, facts: Mapping[str, str], values: Mapping[str, Any]) -> bool:
        return fits(facts, self.chosen) and fits(values, self.where)

    @property
    def look_back_ms(self) -> int:
        """How far back it looks."""
        seconds: float = self.arguments.get("seconds", DEFAULT_LAG_S)
        return round(seconds * 1000)

    @property
    def spent(self) -> bool:
        return self.times is not None and self.hits >= self.times


class Hit(NamedTuple):
    """A rule that struck: its id, the fault, and the journal entry that says so."""

    rule_id: str
    effect: Any
    serial: int


def strike(
    world: World,
    seam: str,
    effects: Mapping[str, type[Fault]],
    facts: Mapping[str, str],
    what: Mapping[str, Any] | msgspec.Struct,
) -> Hit | None:
    """The fault that strikes here and now, counted and written down; None on an ordinary day.

    `facts` are what selectors match, the values or fields of `what` are what `where` does.
    """
    found = next(about_to_strike(world, seam, effects, facts, what), None)
    return found and struck(world, *found, facts)


def about_to_strike(
    world: World,
    seam: str,
    effects: Mapping[str, type[F]],
    facts: Mapping[str, str],
    what: Mapping[str, Any] | msgspec.Struct,
) -> Iterator[tuple[Rule, F]]:
    """The rules whose turn it is, one after the other, until one strikes."""
    rules = world.bucket(Rule, "seam", seam)
    if not rules:
        return
    values = msgspec.structs.asdict(what) if isinstance(what, msgspec.Struct) else what
    for entry in rules:
        rule = world.get(Rule, entry[-1])
        in_time = rule.from_ms <= world.now_ms < rule.until_ms
        if rule.spent or not in_time or not rule.fits(facts, values):
            continue
        rule = world.tally(rule, seen=rule.seen + 1)
        if rule.seen > rule.after and _chance(world, rule):
            yield rule, msgspec.convert(rule.arguments, effects[rule.name])


def struck(world: World, rule: Rule, effect: Fault, facts: Mapping[str, str]) -> Hit:
    """Count a rule that strikes, and write it down."""
    world.tally(rule, hits=rule.hits + 1)
    serial = world.note("fault", rule=rule.id, seam=rule.seam, fault=rule.name, **facts)
    return Hit(rule.id, effect, serial)


def look_back(world: World) -> None:
    """Keep the state of now, as long as a rule may ask for it."""
    rules = world.select(Rule, "looking_back", "all")
    if rules:
        world.remember(max(rule.look_back_ms for rule in rules))


def _chance(world: World, rule: Rule) -> bool:
    if rule.probability >= 1:
        return True
    return world.streams.below(f"fault {rule.id}", PRECISION) < rule.probability * PRECISION


def fits(values: Mapping[str, Any], wanted: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether each value that is wanted is like one of its globs; dots in a name reach into objects."""
    return all(_matches(_reach(values, name), globs) for name, globs in wanted.items())


def _reach(values: Any, name: str) -> Any:
    """The value of a name; where there is none of the whole name, dots lead into objects."""
    if not isinstance(values, Mapping):
        return None
    if name in values:
        return values[name]
    first, _, rest = name.partition(".")
    return _reach(values.get(first), rest) if rest else None


def _matches(value: Any, globs: tuple[str, ...]) -> bool:
    """Whether a value, or a member of a list, is like one of the globs; what is not there matches none."""
    if isinstance(value, list | tuple):
        return any(_matches(member, globs) for member in value)
    if value is None:
        return False
    return like(as_text(value), globs)
