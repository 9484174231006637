"""Answers that the contract allows and few expect: a member nobody knows, null where it may stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NOVEL_MEMBER, NOVEL_VALUE = "addedLater", "a member that this contract does not know yet"


def surprising(document: Mapping[str, Any], pointer: str, value: Any, *, member: bool, null: bool) -> Any:
    """The value of a schema with novelty in all its objects: an unknown member, and null in every optional
    member that may be null."""
    schemas = list(_flat(document, _at(document, pointer)))
    if isinstance(value, list):
        items = next((schema["items"] for schema in schemas if "items" in schema), None)
        return value if items is None else [_inner(document, items, each, member, null) for each in value]
    if not isinstance(value, dict):
        return value
    known = {name: part for schema in schemas for name, part in schema.get("properties", {}).items()}
    required = {name for schema in schemas for name in schema.get("required", ())}
    made = {}
    for name, each in value.items():
        inner = known.get(name, {})
        nulled = null and name not in required and _may_be_null(document, inner)
        made[name] = None if nulled else _inner(document, inner, each, member, null)
    closed = any(schema.get("additionalProperties", True) is not True for schema in schemas)
    return made if closed or not member or not known else {**made, NOVEL_MEMBER: NOVEL_VALUE}


def _inner(
    document: Mapping[str, Any], schema: Mapping[str, Any], value: Any, member: bool, null: bool
) -> Any:
    wrapped = {**document, "x-here": schema}
    return surprising(wrapped, "#/x-here", value, member=member, null=null)


def _at(document: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
    node: Any = document
    for part in pointer[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        node = node[int(key)] if isinstance(node, list) else node[key]
    found: Mapping[str, Any] = node
    return found


def _flat(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A schema and those it refers to or is composed of."""
    yield schema
    if "$ref" in schema:
        yield from _flat(document, _at(document, schema["$ref"]))
    for keyword in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(keyword, ()):
            yield from _flat(document, part)


def _may_be_null(document: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    return any(
        "null" in (kind if isinstance(kind := part.get("type", ""), list) else [kind])
        for part in _flat(document, schema)
    )
