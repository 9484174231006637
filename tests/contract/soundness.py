"""The fuzz behind one promise: what the plan accepts, stock openapi-core accepts.

Every schema is tried at every place it is used with values at the edges. Beside the plan stand controls, each
with one well-chosen hole; a fuzz that does not catch all of them proves nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from simulator.contract import Answer, OperationSpec
from simulator.contract.compiled import STRICT_FORMATS, Plan, Schemas
from simulator.contract.reading import ReadingError, read_body, read_query
from simulator.contract.spec import JSON, Parameter, read_operations
from tests.contract import edges

UNLISTED_STATUS = 499
HOST = "http://localhost"
HEADERS = {"Authorization": "Bearer vl_0000"}
FIRST_PLACE_CASES = 120  # where a schema is met for the first time
OTHER_PLACE_CASES = 4


class Case(NamedTuple):
    """One value at one place: how a plan takes it, and how openapi-core does."""

    place: str
    value: Any
    accepted: Callable[[Plan], bool]
    verdict: Callable[[OpenAPI], None]  # raises when openapi-core refuses


class Found(NamedTuple):
    cases: int
    accepted: dict[str, int]
    unsound: dict[str, list[Case]]


def plans(document: dict[str, Any]) -> dict[str, Plan]:
    """The plan as the simulator uses it, and the controls."""

    def with_formats(**formats: Mapping[str, Any]) -> Plan:
        return Plan(Schemas(document, {**STRICT_FORMATS, **formats}))

    return {
        "plan": Plan(Schemas(document)),
        "without int64 bounds": with_formats(int64={}),
        "lax date-time": with_formats(**{"date-time": {"pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+"}}),
        "formats off": Plan(Schemas(document, {name: {} for name in STRICT_FORMATS})),
        "required ignored": Plan(Schemas(_without(document, "required"))),
        "enum ignored": Plan(Schemas(_without(document, "enum"))),
    }


def search(document: dict[str, Any], seed: int = 7) -> Found:
    openapi = OpenAPI.from_dict(document)
    tried = plans(document)
    accepted = dict.fromkeys(tried, 0)
    unsound: dict[str, list[Case]] = {name: [] for name in tried}
    count = 0
    for case in cases(document, random.Random(seed)):
        count += 1
        takers = [name for name, plan in tried.items() if case.accepted(plan)]
        for name in takers:
            accepted[name] += 1
        if takers and not _openapi_core_accepts(openapi, case):
            for name in takers:
                unsound[name].append(case)
    return Found(count, accepted, unsound)


def cases(document: dict[str, Any], rng: random.Random) -> Iterator[Case]:
    choice = _Choice(rng)
    for operation in read_operations(document).values():
        yield from _query_cases(document, operation, choice)
        yield from _body_cases(document, operation, choice)
        for status in operation.responses:
            yield from _answer_cases(document, operation, status, choice)


class _Choice:
    """Many values where a schema is met first, a few wherever else it is used."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._met: set[str] = set()

    def among(self, pointer: str, values: Iterable[Any]) -> list[Any]:
        wanted = OTHER_PLACE_CASES if pointer in self._met else FIRST_PLACE_CASES
        self._met.add(pointer)
        known = list(values)
        return known if len(known) <= wanted else self._rng.sample(known, wanted)


def _query_cases(document: dict[str, Any], operation: OperationSpec, choice: _Choice) -> Iterator[Case]:
    for parameter in operation.parameters:
        for text in choice.among(parameter.pointer, edges.texts(document, parameter.pointer)):
            yield _query_case(operation, parameter, text)


def _body_cases(document: dict[str, Any], operation: OperationSpec, choice: _Choice) -> Iterator[Case]:
    if operation.body and operation.body.schema:
        schema, home = edges.schema_at(document, operation.body.schema)
        for value in choice.among(home, edges.values(document, schema)):
            yield _body_case(operation, value)


def _answer_cases(
    document: dict[str, Any], operation: OperationSpec, status: str, choice: _Choice
) -> Iterator[Case]:
    code = int(status) if status.isdigit() else UNLISTED_STATUS
    spec = operation.responses[status]
    if spec.schema:
        schema, home = edges.schema_at(document, spec.schema)
        for value in choice.among(home, edges.values(document, schema)):
            yield _answer_case(operation, code, value, {})
        right = edges.sample(document, schema)
        for header in spec.headers:
            for text in choice.among(header.pointer, edges.texts(document, header.pointer)):
                yield _answer_case(operation, code, right, {header.name: text})


def _query_case(operation: OperationSpec, parameter: Parameter, text: str) -> Case:
    def accepted(plan: Plan) -> bool:
        try:
            values, _ = read_query(urlencode({parameter.name: text}), operation)
        except ReadingError:
            return False
        return plan.accepts_query(operation, values)

    def verdict(openapi: OpenAPI) -> None:
        openapi.validate_request(_request(operation, args={parameter.name: text}))

    return Case(f"{operation.id} query.{parameter.name}", text, accepted, verdict)


def _body_case(operation: OperationSpec, value: Any) -> Case:
    raw = json.dumps(value).encode()

    def accepted(plan: Plan) -> bool:
        try:
            return plan.accepts_body(operation, read_body(operation.body, {}, raw))
        except ReadingError:
            return False

    def verdict(openapi: OpenAPI) -> None:
        openapi.validate_request(_request(operation, data=raw))

    return Case(f"{operation.id} body", value, accepted, verdict)


def _answer_case(operation: OperationSpec, status: int, value: Any, headers: dict[str, str]) -> Case:
    raw = json.dumps(value).encode()
    lower = {name.lower(): text for name, text in headers.items()}
    spec = operation.response(status)
    assert spec is not None

    def accepted(plan: Plan) -> bool:
        return plan.accepts_answer(spec, Answer(status, JSON, value, raw, lower))

    def verdict(openapi: OpenAPI) -> None:
        response = MockResponse(raw, status_code=status, headers=headers, content_type=JSON)
        openapi.validate_response(_request(operation), response)

    return Case(f"{operation.id} {status} {headers}", value, accepted, verdict)


def _request(operation: OperationSpec, **parts: Any) -> MockRequest:
    pattern = operation.path
    names = [part[1:-1] for part in pattern.split("/") if part.startswith("{")]
    return MockRequest(
        HOST,
        operation.method.lower(),
        pattern,
        path_pattern=pattern,
        view_args=dict.fromkeys(names, "x"),
        headers=HEADERS,
        content_type=JSON,
        **parts,
    )


def _openapi_core_accepts(openapi: OpenAPI, case: Case) -> bool:
    try:
        case.verdict(openapi)
    except OpenAPIError:
        return False
    return True


def _without(document: dict[str, Any], keyword: str) -> dict[str, Any]:
    """A copy whose schemas lack one keyword that holds a list."""

    def copy(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                name: copy(part)
                for name, part in node.items()
                if name != keyword or not isinstance(part, list)
            }
        return [copy(part) for part in node] if isinstance(node, list) else node

    return {name: copy(document.get(name, {})) for name in ("paths", "components")}
