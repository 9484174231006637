"""The part of the control surface that rehearses bad days: faults, scenarios, and why things are so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from simulator import assets
from simulator.adapters.asked import Asked
from simulator.domain.faults import catalogue
from simulator.domain.faults.rules import Rule
from simulator.domain.timeline import Cue
from simulator.insight.explain import explain
from simulator.insight.money import leaks, spend_cents
from simulator.insight.verdict import verdict
from simulator.kernel.instant import iso
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.world import World
from simulator.scenario import rules
from simulator.scenario.document import story_of
from simulator.worlds import Opening

# -- faults ------------------------------------------------------------------------------------------------


def list_faults(asked: Asked) -> dict[str, Any]:
    with asked.simulator.reading() as world:
        return _faults(world)


def add_faults(asked: Asked) -> dict[str, Any]:
    """One rule, or several under `items`, behind those that are there."""
    return _load(asked, keep=True)


def replace_faults(asked: Asked) -> dict[str, Any]:
    return _load(asked, keep=False)


def delete_faults(asked: Asked) -> None:
    asked.simulator.let("faults.clear", {}, rules.remove_rules)


def delete_fault(asked: Asked) -> None:
    rule_id = asked.path["id"]
    asked.simulator.let("faults.delete", {"id": rule_id}, lambda world: rules.remove_rules(world, rule_id))


def _load(asked: Asked, *, keep: bool) -> dict[str, Any]:
    documents = asked.body.get("items", [asked.body])

    def happen(world: World) -> dict[str, Any]:
        rules.load_rules_or_refuse(world, documents, keep=keep)
        return _faults(world)

    loaded: dict[str, Any] = asked.simulator.let("faults.load", {"items": documents}, happen)
    return loaded


def _faults(world: World) -> dict[str, Any]:
    return {"items": [rules.view(rule) for rule in sorted(world.rows(Rule), key=lambda rule: rule.position)]}


def list_fault_kinds(asked: Asked) -> dict[str, Any]:
    return {"items": catalogue()}


# -- scenarios ---------------------------------------------------------------------------------------------


def list_scenarios(asked: Asked) -> dict[str, Any]:
    return {"items": [{"name": name, "title": title} for name, title in assets.titles("scenarios")]}


def begin_scenario(asked: Asked) -> dict[str, Any]:
    """Take a world back to the first moment of a scenario: a bundled one by name, or a document."""
    one, body = asked.simulator, asked.body
    document = bundled(body["name"]) if "name" in body else body["document"]
    if "name" not in body:
        _check_world(document)
    opening = Opening.of_scenario(document, one.clock)
    opening = opening.but(seed=body.get("seed"), settings=body.get("settings"))
    return _current(asked.worlds.reset(one.name, opening))


def bundled(name: str) -> dict[str, Any]:
    known = assets.names("scenarios")
    if name not in known:
        raise Refusal("not_found", f"no bundled scenario {name[:80]!r}{nearest(name, known)}")
    return assets.load_scenario(name)


def _check_world(document: dict[str, Any]) -> None:
    """Over HTTP no files are opened that the owner of the process did not name [choice]."""
    world, known = document.get("world", "default"), assets.names("fixtures")
    if world not in known:
        raise Refusal(
            "bad_request", f"world: no bundled world {str(world)[:80]!r}{nearest(str(world), known)}"
        )


def current_scenario(asked: Asked) -> dict[str, Any]:
    return _current(asked.simulator)


def _current(one: Any) -> dict[str, Any]:
    """Progress and expectations. Of an ordinary day there is no title and nothing is expected."""
    with one.reading() as world:
        story, genesis = story_of(world), one.genesis
        findings = verdict(world, genesis)
        left = leaks(world, genesis)
        return {
            "title": story.title if story else "",
            "now": iso(world.now_ms),
            "timeline": [_cue_view(cue) for cue in world.select(Cue, "all", "all")],
            "faults": _faults(world)["items"],
            "expect": [msgspec.to_builtins(finding) for finding in findings],
            "holds": all(finding.holds for finding in findings),
            "spendCents": spend_cents(world, genesis),
            "leaks": [msgspec.to_builtins(leak) for leak in left],
        }


def _cue_view(cue: Cue) -> dict[str, Any]:
    view: dict[str, Any] = {"entry": cue.position, "do": {cue.action: cue.arguments}, "done": cue.done}
    return {**view, "refused": cue.refused} if cue.refused else view


# -- causes ------------------------------------------------------------------------------------------------


def explain_id(asked: Asked) -> dict[str, Any]:
    with asked.simulator.reading() as world:
        found: dict[str, Any] = msgspec.to_builtins(explain(world, asked.path["id"]))
    return found


ANSWERS: dict[str, Callable[[Asked], Any]] = {
    "listFaults": list_faults,
    "addFaults": add_faults,
    "replaceFaults": replace_faults,
    "deleteFaults": delete_faults,
    "deleteFault": delete_fault,
    "listFaultKinds": list_fault_kinds,
    "listScenarios": list_scenarios,
    "beginScenario": begin_scenario,
    "currentScenario": current_scenario,
    "explain": explain_id,
}
