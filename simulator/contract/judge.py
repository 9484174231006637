"""openapi-core: the authority on what the plan is not sure of, and the source of the words that explain it.

The only file that imports openapi-core, and itself imported on the first doubt: a server that meets only
good requests starts three times as fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from jsonschema.exceptions import ValidationError, best_match  # type: ignore[import-untyped]
from openapi_core import Config, OpenAPI, V31RequestValidator, V31ResponseValidator
from openapi_core.casting.schemas.exceptions import CastError
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue

from simulator.contract.compiled import Answer
from simulator.contract.reading import Problem, problem, shown
from simulator.contract.route import Route
from simulator.contract.spec import JSON, METHODS, OperationSpec

_HOST = "http://simulator"


class JudgedRequest(msgspec.Struct):
    """The request as openapi-core reads it; the operation is known, so its pattern stands for the path."""

    method: str
    path_pattern: str
    parameters: RequestParameters
    body: bytes | None = None
    content_type: str = JSON
    host_url: str = _HOST
    accepted: bool = False  # by the plan

    @property
    def path(self) -> str:
        return self.path_pattern


class JudgedResponse(msgspec.Struct):
    status_code: int
    data: bytes
    headers: Mapping[str, str]
    content_type: str = JSON
    accepted: bool = False


class PlannedRequestValidator(V31RequestValidator):
    """What the plan accepts is not asked again."""

    def iter_errors(self, request: JudgedRequest) -> Iterator[Exception]:  # type: ignore[override]
        if not request.accepted:
            yield from super().iter_errors(request)


class PlannedResponseValidator(V31ResponseValidator):
    """What the plan accepts is not asked again."""

    def iter_errors(  # type: ignore[override]
        self, request: JudgedRequest, response: JudgedResponse
    ) -> Iterator[Exception]:
        if not response.accepted:
            yield from super().iter_errors(request, response)


class Judge:
    """One openapi-core for one document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._openapi = OpenAPI.from_dict(
            _judged_part(document),
            config=Config(
                spec_validator_cls=None,  # the test suite checks the document
                request_validator_cls=PlannedRequestValidator,
                response_validator_cls=PlannedResponseValidator,
            ),
        )

    def request_problem(self, route: Route, query: str, body: bytes) -> Problem | None:
        request = _request(route.operation, route.path_values)
        request.parameters.query = dict(parse_qsl(query, keep_blank_values=True))
        request.body = body
        try:
            self._openapi.request_validator.validate(request)
        except OpenAPIError as error:
            return _explained(error)
        return None

    def response_problem(self, operation: OperationSpec, answer: Answer) -> Problem | None:
        response = JudgedResponse(answer.status, answer.raw, _headers(operation, answer))
        try:
            self._openapi.response_validator.validate(_request(operation, {}), response)
        except OpenAPIError as error:
            return _explained(error)
        return None


def _request(operation: OperationSpec, path_values: dict[str, str]) -> JudgedRequest:
    return JudgedRequest(operation.method.lower(), operation.path, RequestParameters(path=path_values))


def _headers(operation: OperationSpec, answer: Answer) -> dict[str, str]:
    """The headers under the names the document writes, which is how openapi-core looks them up."""
    spec = operation.response(answer.status)
    written = {header.name.lower(): header.name for header in spec.headers} if spec else {}
    return {written.get(name, name): text for name, text in answer.headers.items()}


def _judged_part(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what is decided elsewhere: who may call, where it is served, and bodies that are
    not JSON – openapi-core holds bytes against `type: string` and refuses every one."""
    paths = {
        path: {method: _judged_operation(item[method]) for method in METHODS if method in item}
        for path, item in document["paths"].items()
    }
    kept = {name: part for name, part in document.items() if name not in ("security", "servers")}
    return {**kept, "paths": paths}


def _judged_operation(operation: dict[str, Any]) -> dict[str, Any]:
    kept = {name: part for name, part in operation.items() if name != "security"}
    if "requestBody" in kept and not _may_be_json(kept["requestBody"]):
        del kept["requestBody"]
    kept["responses"] = {
        status: response if _may_be_json(response) else _without_content(response)
        for status, response in operation["responses"].items()
    }
    return kept


def _may_be_json(part: dict[str, Any]) -> bool:
    return JSON in part.get("content", (JSON,))


def _without_content(response: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in response.items() if name != "content"}


def _explained(error: OpenAPIError) -> Problem:
    """The most telling of the errors, as one sentence."""
    name = getattr(error, "name", None)
    where = f"{getattr(error, 'location', 'header')}.{name}" if name else "body"
    cause = error.__cause__
    if isinstance(cause, InvalidSchemaValue):
        return _schema_problem(where, best_match(cause.schema_errors))
    if isinstance(cause, CastError):
        return problem(where, f"{shown(cause.value, where)} is not of type {cause.type!r}")
    return problem(where, str(cause or error))


def _schema_problem(where: str, error: ValidationError) -> Problem:
    place = where + error.json_path.removeprefix("$")
    told = "" if error.validator == "enum" else place  # one of a few known words is no secret
    said = error.message.replace(repr(error.instance), shown(error.instance, told))
    if error.validator == "required":
        missing = next(name for name in error.validator_value if said.startswith(repr(name)))
        return problem(f"{place}.{missing}", "is required")
    return problem(place, said)
