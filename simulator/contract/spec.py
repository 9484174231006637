"""What an OpenAPI document says about each operation, read once into plain values.

Reading is cheap on purpose: nothing is compiled here, schemas are only pointed at. A pointer such as
`#/paths/~1v1~1me/get/responses/200/content/application~1json/schema` is all the compiled checks need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
JSON = "application/json"

# Words about a value, not demands on it: a schema that holds only these and a type needs no compiled check.
_REMARKS = {"type", "title", "description", "default", "example", "examples", "deprecated"}
_TEXT_TYPES = {"string", "integer", "boolean", "number"}


class Parameter(msgspec.Struct, frozen=True):
    """A value that travels as text: a query parameter or a response header."""

    name: str
    type: str  # string, integer, boolean or number
    required: bool
    pointer: str  # to its schema
    plain: bool  # the type is the whole demand


class BodySpec(msgspec.Struct, frozen=True):
    required: bool
    media_types: tuple[str, ...]
    schema: str | None  # pointer to the schema of the JSON body; None: the operation reads the bytes itself
    fields: frozenset[str] | None  # known names at the top; None: the schema names none
    meaning: str = ""  # what the schema says of itself


class ResponseSpec(msgspec.Struct, frozen=True):
    """What one status may carry."""

    media_types: tuple[str, ...]  # none: no body
    schema: str | None  # pointer to the schema of the JSON answer
    headers: tuple[Parameter, ...]


class OperationSpec(msgspec.Struct, frozen=True):
    id: str
    method: str  # upper case
    path: str
    tag: str
    auth: str
    later_auth: tuple[str, str] | None  # since which version, and what then
    host: str
    success: int
    statuses: frozenset[str]
    problem_status: int
    parameters: tuple[Parameter, ...]  # in the query
    parameter_names: frozenset[str]
    body: BodySpec | None
    responses: dict[str, ResponseSpec]  # by status, as written: 200, 4XX, default

    @property
    def names(self) -> list[str]:
        """What a request may hold: parameters of the query, members of the body."""
        return sorted(self.parameter_names | ((self.body and self.body.fields) or frozenset()))

    def response(self, status: int) -> ResponseSpec | None:
        """The exact status wins over its range, the range over `default`."""
        known = self.responses
        return known.get(str(status)) or known.get(f"{status // 100}XX") or known.get("default")


def bare_media_type(text: str) -> str:
    """`Application/JSON; charset=utf-8` → `application/json`."""
    return text.partition(";")[0].strip().lower()


def read_operations(document: dict[str, Any]) -> dict[str, OperationSpec]:
    """Every operation by its id, in the document's order."""
    reader = _Reader(document)
    operations: dict[str, OperationSpec] = {}
    for path, item in document["paths"].items():
        assert "parameters" not in item, f"{path}: parameters are read per operation, not per path"
        for method in METHODS:
            if method in item:
                operation = reader.operation(path, method, item[method])
                assert operation.id not in operations, f"operationId {operation.id} stands twice"
                operations[operation.id] = operation
    return operations


class _Reader:
    """Follows references; shared responses, such as the 401 of every operation, become one object."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._responses: dict[str, ResponseSpec] = {}

    def operation(self, path: str, method: str, raw: dict[str, Any]) -> OperationSpec:
        pointer = f"#/paths/{_escaped(path)}/{method}"
        responses: dict[str, Any] = raw["responses"]
        later = raw.get("x-later-auth")
        parameters = tuple(self._query_parameters(pointer, raw))
        return OperationSpec(
            id=raw["operationId"],
            method=method.upper(),
            path=path,
            tag=next(iter(raw.get("tags", ())), ""),
            auth=raw.get("x-auth", "none"),
            later_auth=(later["since"], later["auth"]) if later else None,
            host=raw.get("x-host", ""),
            success=next((int(status) for status in responses if status[0] == "2" and status.isdigit()), 200),
            statuses=frozenset(responses),
            problem_status=400 if "400" in responses else 422,
            parameters=parameters,
            parameter_names=frozenset(parameter.name for parameter in parameters),
            body=self._body(f"{pointer}/requestBody") if "requestBody" in raw else None,
            responses={status: self._response(f"{pointer}/responses/{status}") for status in responses},
        )

    def _query_parameters(self, pointer: str, raw: dict[str, Any]) -> Iterator[Parameter]:
        for index in range(len(raw.get("parameters", ()))):
            place, parameter = self._resolved(f"{pointer}/parameters/{index}")
            if parameter["in"] == "query":
                yield self._parameter(place, parameter["name"], parameter)
            else:
                schema = parameter["schema"]
                plain_path = (
                    parameter["in"] == "path" and schema.get("type") == "string" and _is_plain(schema)
                )
                assert plain_path, f"{place}: only the query and plain strings in the path are checked"

    def _parameter(self, pointer: str, name: str, raw: dict[str, Any]) -> Parameter:
        _, schema = self._resolved(f"{pointer}/schema")
        kind = schema.get("type", "string")
        assert kind in _TEXT_TYPES, f"{pointer}: {kind!r} does not travel as one text"
        required = raw.get("required", False)
        return Parameter(name, kind, required, f"{pointer}/schema", _is_plain(raw["schema"]))

    def _body(self, pointer: str) -> BodySpec:
        place, raw = self._resolved(pointer)
        media_types, schema = _content(place, raw)
        fields = frozenset(self._fields(schema)) if schema else None
        meaning = self._resolved(schema)[1].get("description", "") if schema else ""
        return BodySpec(raw.get("required", False), media_types, schema, fields or None, meaning)

    def _fields(self, pointer: str) -> set[str]:
        """The property names of a schema and of the parts it is composed of."""
        place, schema = self._resolved(pointer)
        names = set(schema.get("properties", ()))
        for keyword in ("allOf", "anyOf", "oneOf"):
            for index in range(len(schema.get(keyword, ()))):
                names |= self._fields(f"{place}/{keyword}/{index}")
        return names

    def _response(self, pointer: str) -> ResponseSpec:
        place, raw = self._resolved(pointer)
        known = self._responses.get(place)
        if known is None:
            known = ResponseSpec(*_content(place, raw), tuple(self._headers(place, raw)))
            self._responses[place] = known
        return known

    def _headers(self, pointer: str, raw: dict[str, Any]) -> Iterator[Parameter]:
        for name in raw.get("headers", ()):
            place, header = self._resolved(f"{pointer}/headers/{_escaped(name)}")
            yield self._parameter(place, name, header)

    def _resolved(self, pointer: str) -> tuple[str, dict[str, Any]]:
        """The node at a pointer and its own pointer, after following references."""
        node = node_at(self._document, pointer)
        return self._resolved(node["$ref"]) if "$ref" in node else (pointer, node)


def node_at(document: Mapping[str, Any], pointer: str) -> Any:
    """The node of a document at a pointer such as `#/components/schemas/Error`."""
    node: Any = document
    for part in pointer[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        node = node[int(key)] if isinstance(node, list) else node[key]
    return node


def _content(pointer: str, raw: Mapping[str, Any]) -> tuple[tuple[str, ...], str | None]:
    """The media types, and the pointer to the schema of JSON among them."""
    content = raw.get("content", {})
    return tuple(content), f"{pointer}/content/{_escaped(JSON)}/schema" if JSON in content else None


def _is_plain(schema: Mapping[str, Any]) -> bool:
    return all(keyword in _REMARKS or keyword.startswith("x-") for keyword in schema)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
