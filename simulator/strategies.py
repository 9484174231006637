"""Hypothesis strategies for clouds: worlds to begin from, faults, scenarios, and calls of the API.

    @given(strategies.faults(seams=["request"]))
    def test_my_client(rule):
        with Server() as server, server.open() as openrelay:
            openrelay.fault(**rule)

Everything is drawn from the registries that the cloud itself reads, so what is drawn is accepted, and what is
new is drawn too. Plain documents come out, as they stand in scenario files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from simulator import assets
from simulator.contract import Contract, OperationSpec
from simulator.contract.spec import node_at
from simulator.domain.events import EVENT_TYPES
from simulator.domain.faults import SEAMS, lifecycle, placement
from simulator.kernel.refusal import CODES
from simulator.kernel.settings import SETTINGS
from simulator.registry import OPERATIONS
from simulator.resources.billing.payments import DECLINE_CODES

try:
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy
except ImportError:  # pragma: no cover
    raise ImportError(
        'simulator.strategies needs hypothesis: pip install "openrelay-simulator[pytest]"'
    ) from None

Document = dict[str, Any]

PROFILES = SETTINGS["profile"].choices
SMALL_WORLDS = ("default", "empty", "full", "broke")
"""Bundled worlds that open in no time."""
LONGEST_S = 600
WORDS: dict[str, SearchStrategy[Any]] = {
    "code": st.sampled_from(sorted(CODES)),
    "decline_code": st.sampled_from(DECLINE_CODES),
    "status": st.sampled_from((429, 500, 502, 503)),
    "message": st.just("injected"),
    "reason": st.just("injected"),
    "title": st.just("Bad Gateway"),
}
"""Arguments whose type says less than what they may be."""
ACTIONS: tuple[Document, ...] = (
    {"node.offline": {"select": "first", "seconds": 300}},
    {"capacity.seize": {"gpu_model": "rtx-3090", "gpus": 1}},
    {"balance.debit": {"name": "acme", "cents": 1000}},
    {"balance.credit": {"name": "acme", "cents": 1000}},
    {"price.set": {"id": "rtx-3090", "cents": 40}},
    {"vm.exit": {"select": "random"}},
    {"vm.fail": {"select": "first", "reason": "injected"}},
)
"""What the outside does in a drawn timeline; what cannot be done then is passed over."""


# -- worlds ------------------------------------------------------------------------------------------------


def worlds() -> SearchStrategy[Document]:
    """Options of `Server.open`: a bundled world, a seed, and a profile of the service."""
    return st.fixed_dictionaries(
        {
            "world": st.sampled_from(SMALL_WORLDS),
            "seed": st.integers(0, 1000),
            "settings": st.builds(lambda profile: {"profile": profile}, st.sampled_from(PROFILES)),
        }
    )


# -- faults ------------------------------------------------------------------------------------------------


def faults(seams: Sequence[str] = tuple(SEAMS)) -> SearchStrategy[Document]:
    """Fault rules of these seams, each as a document: what it strikes, when, and one fault of that seam."""
    return st.one_of([_faults_of(seam, name) for seam in seams for name in SEAMS[seam]])


def _faults_of(seam: str, name: str) -> SearchStrategy[Document]:
    needed: dict[str, SearchStrategy[Any]] = {
        "on": st.just(seam),
        "do": _arguments(seam, name).map(lambda given: {name: given or True}),
    }
    optional: dict[str, SearchStrategy[Any]] = {
        **_selectors(seam),
        "after": st.integers(1, 3),
        "times": st.integers(1, 3),
        "probability": st.sampled_from((0.5, 0.1)),
        "until": st.sampled_from(("1m", "10m")),
    }
    return st.fixed_dictionaries(needed, optional=optional)


def _arguments(seam: str, name: str) -> SearchStrategy[Document]:
    """The arguments of a fault, read from its type."""
    fields = msgspec.structs.fields(SEAMS[seam][name])
    needed = {field.encode_name: _value(seam, field) for field in fields if field.required}
    optional = {field.encode_name: _value(seam, field) for field in fields if not field.required}
    return st.fixed_dictionaries(needed, optional=optional)


def _value(seam: str, field: msgspec.structs.FieldInfo) -> SearchStrategy[Any]:
    if seam == "placement" and field.name == "code":
        return st.sampled_from(placement.CODES)
    if seam == "webhook" and field.name == "status":
        return st.sampled_from((410, 500, 503))
    return WORDS[field.name] if field.name in WORDS else _of_type(field.type)


def _of_type(kind: Any, least: float = 0, most: float = LONGEST_S) -> SearchStrategy[Any]:
    """Values of an annotated type, small ones."""
    if get_origin(kind) is not None and hasattr(kind, "__metadata__"):
        bounds = kind.__metadata__[0]
        least = next((bound for bound in (bounds.ge, bounds.gt) if bound is not None), least)
        most = min(most, next((bound for bound in (bounds.le, bounds.lt) if bound is not None), most))
        return _of_type(kind.__origin__, least, most)
    if get_origin(kind) in (Union, type(int | None)):
        return _of_type(next(part for part in get_args(kind) if part is not type(None)), least, most)
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(int(least), int(most))
    if kind is float:
        return st.integers(int(least), int(most)).map(float)
    return st.text("abc", min_size=1, max_size=5)


def _selectors(seam: str) -> dict[str, SearchStrategy[Any]]:
    """What the rules of a seam may choose by, by names that there are."""
    names: dict[str, dict[str, Sequence[str]]] = {
        "request": {"operation": tuple(OPERATIONS)},
        "webhook": {"event": tuple(EVENT_TYPES)},
        "lifecycle": {"resource": tuple(lifecycle.STAGES)},
        "placement": {"model": ("rtx-*", "cpu", "*")},
        "payment": {"purpose": ("deposit", "recharge")},
    }
    return {selector: st.sampled_from(known) for selector, known in names[seam].items()}


# -- scenarios ---------------------------------------------------------------------------------------------


def scenarios(seams: Sequence[str] = tuple(SEAMS)) -> SearchStrategy[Document]:
    """Scenario documents: a small world, some faults, and what the outside does at some moments."""
    entry = st.builds(
        lambda at, do: {"at": f"{at}s", "do": do}, st.integers(0, 3600), st.sampled_from(ACTIONS)
    )
    return st.fixed_dictionaries(
        {"scenario": st.just(1), "title": st.just("Drawn")},
        optional={
            "seed": st.integers(0, 1000),
            "world": st.sampled_from(SMALL_WORLDS),
            "faults": st.lists(faults(seams), max_size=3),
            "timeline": st.lists(entry, max_size=3),
        },
    )


# -- calls -------------------------------------------------------------------------------------------------


class Call(msgspec.Struct, frozen=True):
    """A call of the API."""

    operation: str
    method: str
    path: str
    query: str
    body: Any


def calls(ids: Sequence[str] = ()) -> SearchStrategy[Call]:
    """Calls of every operation, their bodies drawn from the contract's schemas; path values are among `ids`,
    such as those of an organization and its VMs, or made up."""
    specs = list(Contract(assets.contract_document()).operations.values())
    return st.sampled_from(specs).flatmap(lambda spec: _call(spec, [*ids, "none"]))


def _call(spec: OperationSpec, ids: list[str]) -> SearchStrategy[Call]:
    parts = spec.path.split("/")
    path = st.tuples(*(st.sampled_from(ids) if part.startswith("{") else st.just(part) for part in parts))
    query = (
        st.lists(st.sampled_from(sorted(spec.parameter_names)), unique=True, max_size=2)
        if (spec.parameter_names)
        else st.just([])
    )
    body = _body(spec)
    return st.builds(
        lambda values, names, sent: Call(
            spec.id, spec.method, "/".join(values), "&".join(f"{name}=1" for name in names), sent
        ),
        path,
        query,
        body,
    )


def _body(spec: OperationSpec) -> SearchStrategy[Any]:
    if spec.body is None or spec.body.schema is None:
        return st.none()
    document = assets.contract_document()
    return _of_schema(document, node_at(document, spec.body.schema), 3)


def _of_schema(document: Document, schema: Document, depth: int) -> SearchStrategy[Any]:
    """Values that a schema mostly accepts: bounds of texts and numbers are kept, patterns are not."""
    if "$ref" in schema:
        return _of_schema(document, node_at(document, schema["$ref"]), depth)
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return st.one_of([_of_schema(document, one, depth) for one in schema[several]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" or "properties" in schema:
        return _of_object(document, schema, depth)
    if kind == "array":
        items = _of_schema(document, schema.get("items", {}), depth - 1) if depth else st.none()
        return st.lists(items, max_size=2)
    if kind in ("integer", "number"):
        least = int(schema.get("minimum", 0))
        return st.integers(least, max(least, int(min(schema.get("maximum", 100), 1000))))
    simple: dict[Any, SearchStrategy[Any]] = {"boolean": st.booleans(), "null": st.none()}
    return simple.get(kind, st.text("abc-1", min_size=schema.get("minLength", 1), max_size=12))


def _of_object(document: Document, schema: Document, depth: int) -> SearchStrategy[Any]:
    required = set(schema.get("required", ()))
    members = {
        name: _of_schema(document, member, depth - 1)
        for name, member in schema.get("properties", {}).items()
        if depth or name in required
    }
    return st.fixed_dictionaries(
        {name: member for name, member in members.items() if name in required},
        optional={name: member for name, member in members.items() if name not in required},
    )
