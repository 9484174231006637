"""Answers that the contract allows and few expect: a member nobody knows, null where it may stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.contract.spec import node_at

NOVEL_MEMBER, NOVEL_VALUE = "addedLater", "a member that this contract does not know yet"


class Novelty:
    """What is new in answers: an unknown member in every object, null in every optional member that may be
    null."""

    def __init__(self, document: Mapping[str, Any], *, member: bool, null: bool) -> None:
        self._document, self._member, self._null = document, member, null

    def within(self, schema: Mapping[str, Any], value: Any) -> Any:
        """The value of a schema, with what is new."""
        schemas = list(self._flat(schema))
        if isinstance(value, list):
            items = next((each["items"] for each in schemas if "items" in each), None)
            return value if items is None else [self.within(items, each) for each in value]
        if not isinstance(value, dict):
            return value
        known = {name: part for each in schemas for name, part in each.get("properties", {}).items()}
        required = {name for each in schemas for name in each.get("required", ())}
        made = {
            name: None
            if self._null and name not in required and self._may_be_null(known.get(name, {}))
            else self.within(known.get(name, {}), each)
            for name, each in value.items()
        }
        closed = any(each.get("additionalProperties", True) is not True for each in schemas)
        return made if closed or not self._member or not known else {**made, NOVEL_MEMBER: NOVEL_VALUE}

    def _flat(self, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """A schema and those it refers to or is composed of."""
        yield schema
        if "$ref" in schema:
            yield from self._flat(node_at(self._document, schema["$ref"]))
        for keyword in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(keyword, ()):
                yield from self._flat(part)

    def _may_be_null(self, schema: Mapping[str, Any]) -> bool:
        return any("null" in _types(part) for part in self._flat(schema))


def _types(schema: Mapping[str, Any]) -> list[str]:
    kind = schema.get("type", [])
    return kind if isinstance(kind, list) else [kind]
