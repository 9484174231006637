"""The plan: compiled checks that accept at once what surely fits.

A plan never rejects. It accepts, or it is not sure, and then openapi-core decides. So it may be stricter than
openapi-core but never more lenient: what the plan accepts, openapi-core must accept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import msgspec

from simulator.contract.reading import cast
from simulator.contract.spec import JSON, OperationSpec, Parameter, ResponseSpec, bare_media_type

_URN = "urn:contract"

_DAY = (
    r"(?:[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|[1-9][0-9](?:0[48]|[2468][048]|[13579][26])-02-29)"
)
_HOUR = r"(?:[01][0-9]|2[0-3])"
_TIME = rf"{_HOUR}:[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?:Z|[+-]{_HOUR}:[0-5][0-9])"

# Each format as keywords that are checked natively: a call back into Python per date would cost three times
# the rest of a page, and custom formats are never asked about numbers. What a pattern leaves out (lower-case
# `t`, 29 February of 2000) is only not sure.
STRICT_FORMATS: Mapping[str, Mapping[str, Any]] = {
    "int32": {"minimum": -(2**31), "maximum": 2**31 - 1},
    "int64": {"minimum": -(2**63), "maximum": 2**63 - 1},
    "date": {"pattern": f"^{_DAY}$"},
    "date-time": {"pattern": f"^{_DAY}T{_TIME}$"},
    "uuid": {"pattern": "^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
    "uri": {"pattern": r"^https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?$"},
    # openapi-core demands nothing of these.
    "float": {},
    "double": {},
    "binary": {},
    "password": {},
}
_UNSURE: Mapping[str, Any] = {"not": {"type": "string"}}


class Schemas:
    """The document's schemas by pointer, each compiled when it is first asked."""

    def __init__(
        self, document: dict[str, Any], formats: Mapping[str, Mapping[str, Any]] = STRICT_FORMATS
    ) -> None:
        self._document = document
        self._formats = formats
        self._checks: dict[str, Callable[[Any], bool]] = {}

    def accept(self, pointer: str, value: Any) -> bool:
        check = self._checks.get(pointer) or self._compile(pointer)
        try:
            return check(value)
        except ValueError:  # a value JSON does not know, such as half a surrogate pair
            return False

    def _compile(self, pointer: str) -> Callable[[Any], bool]:
        validator = jsonschema_rs.Draft202012Validator(
            {"$ref": _URN + quote(pointer, safe="#/~")}, registry=self._registry, validate_formats=False
        )
        check = self._checks[pointer] = validator.is_valid
        return check

    @cached_property
    def _registry(self) -> jsonschema_rs.Registry:
        parts = {name: self._strict(self._document.get(name, {})) for name in ("paths", "components")}
        return jsonschema_rs.Registry([(_URN, parts)])

    def _strict(self, node: Any) -> Any:
        """A copy of the document in which every `format` is spelled out in keywords."""
        if isinstance(node, list):
            return [self._strict(item) for item in node]
        if not isinstance(node, dict):
            return node
        copy = {name: self._strict(item) for name, item in node.items()}
        form = copy.get("format")
        if isinstance(form, str):  # else it is a property that happens to be called so
            copy["allOf"] = [*copy.get("allOf", ()), self._formats.get(form, _UNSURE)]
        return copy


class Answer(msgspec.Struct, frozen=True):
    """An answer about to leave: the value and the bytes it was written as. Header names are lower case."""

    status: int
    media_type: str
    value: Any
    raw: bytes
    headers: Mapping[str, str] = {}


class Plan:
    """What is surely right with a request or an answer."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def accepts_query(self, operation: OperationSpec, values: Mapping[str, Any]) -> bool:
        for parameter in operation.parameters:
            if parameter.name in values:
                if not self._accepts_text(parameter, values[parameter.name]):
                    return False
            elif parameter.required:
                return False
        return True

    def accepts_body(self, operation: OperationSpec, value: Any) -> bool:
        """A body that is not JSON has no schema to meet here: the operation reads it."""
        body = operation.body
        return body is None or body.schema is None or self._schemas.accept(body.schema, value)

    def accepts_answer(self, spec: ResponseSpec, answer: Answer) -> bool:
        if spec.headers and not self._accepts_headers(spec, answer.headers):
            return False
        if not spec.media_types:
            return not answer.raw
        known = answer.media_type in spec.media_types
        media_type = answer.media_type if known else bare_media_type(answer.media_type)
        if media_type == JSON and spec.schema:
            return bool(answer.raw) and self._schemas.accept(spec.schema, answer.value)
        return media_type in spec.media_types

    def _accepts_headers(self, spec: ResponseSpec, headers: Mapping[str, str]) -> bool:
        return all(
            self._accepts_text(header, cast(header, headers[name]))
            if (name := header.name.lower()) in headers
            else not header.required
            for header in spec.headers
        )

    def _accepts_text(self, parameter: Parameter, value: Any) -> bool:
        if value == "":
            return False
        if isinstance(value, str) and parameter.type != "string":
            return False
        return parameter.plain or self._schemas.accept(parameter.pointer, value)
