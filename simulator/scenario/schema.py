"""The scenario file as a JSON schema, for editors: every name there is, and what faults and actions take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from simulator.domain.events import EVENT_TYPES
from simulator.domain.faults import SEAMS
from simulator.domain.faults.lifecycle import STAGES
from simulator.kernel.settings import SETTINGS
from simulator.registry import ACTIONS, OPERATIONS
from simulator.scenario.document import Scenario
from simulator.scenario.expectations import RESOURCES
from simulator.scenario.rules import PURPOSES

Schema = dict[str, Any]

NAMES: dict[tuple[str, str], Iterable[str]] = {
    ("RuleForm", "operation"): OPERATIONS,
    ("RuleForm", "event"): EVENT_TYPES,
    ("RuleForm", "resource"): STAGES,
    ("RuleForm", "stage"): {stage for stages in STAGES.values() for stage in stages},
    ("RuleForm", "purpose"): PURPOSES,
    ("When", "call"): OPERATIONS,
    ("When", "event"): EVENT_TYPES,
    ("Expectation", "calls"): OPERATIONS,
    ("Expectation", "event"): EVENT_TYPES,
    ("Expectation", "delivered"): EVENT_TYPES,
    ("Expectation", "action"): ACTIONS,
}
"""Where a name is wanted or a glob, by form and key."""

SPANS = (("RuleForm", "from"), ("RuleForm", "until"), ("Entry", "at"), ("Entry", "after"))
SECONDS = r"\d+(\.\d{1,3})?"
SPAN_TEXT = rf"^((\d+d)?(\d+h)?(\d+m)?({SECONDS}s)?|{SECONDS})$"
SPAN = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "minLength": 1, "pattern": SPAN_TEXT}]}
GLOB = {"type": "string", "pattern": r"[*?\[]"}


def scenario_schema() -> Schema:
    """What `simulator/scenario.schema.json` holds."""
    effects = [effect for kinds in SEAMS.values() for effect in kinds.values()]
    types = [Scenario, *effects, *(row.arguments for row in ACTIONS.values())]
    (whole, *parts), forms = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    taken = {kind: _or_true(part, forms) for kind, part in zip(types[1:], parts, strict=True)}
    forms["RuleForm"]["allOf"] = [
        _at_seam(seam, {name: taken[kind] for name, kind in kinds.items()}) for seam, kinds in SEAMS.items()
    ]
    forms["Entry"]["properties"]["do"] = _one_of(
        {name: taken[row.arguments] for name, row in ACTIONS.items()}
    )
    for (form, key), names in NAMES.items():
        forms[form]["properties"][key] = _globs(names)
    for form, key in SPANS:
        forms[form]["properties"][key] = SPAN
    forms["Expectation"]["properties"]["resource"] = {"enum": list(RESOURCES)}
    settings = {key: {"description": row.meaning} for key, row in SETTINGS.items()}
    forms["Scenario"]["properties"]["settings"] |= {"properties": settings, "additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Scenario of the OpenRelay simulator",
        **whole,
        "$defs": dict(sorted(forms.items())),
    }


def _at_seam(seam: str, faults: dict[str, Schema]) -> Schema:
    """What a rule of this seam may do."""
    return {"if": {"properties": {"on": {"const": seam}}}, "then": {"properties": {"do": _one_of(faults)}}}


def _one_of(members: dict[str, Schema]) -> Schema:
    """An object with exactly one of these members."""
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": members,
    }


def _or_true(part: Schema, forms: dict[str, Schema]) -> Schema:
    """Arguments; where none has to be given, `true` will do."""
    needed = forms[part["$ref"].rpartition("/")[2]].get("required")
    return part if needed else {"anyOf": [{"const": True}, part]}


def _globs(names: Iterable[str]) -> Schema:
    """One of the names, a glob, or a list of those."""
    one = {"anyOf": [{"enum": sorted(names)}, GLOB]}
    return {"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]}
