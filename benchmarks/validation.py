"""Targets 2 and 3: what a check against the contract costs beside openapi-core, and that it is as strict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import jsonschema_rs
import msgspec
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from benchmarks.comparison import Comparison, Effort, repeated
from simulator import assets
from simulator.contract import Answer, Contract, Route
from tests.contract.soundness import search

DOCUMENT = assets.contract_document()
API = Contract(DOCUMENT)
JSON = "application/json"

BODY = msgspec.json.encode(
    {
        "name": "trainer",
        "gpuCount": 2,
        "gpuModelId": "h100",
        "sshKeyIds": ["key_1"],
        "public": False,
        "diskSizeGb": 100,
        "imageUrl": "nvidia/cuda:12.4",
        "envVars": {"RUN": "7"},
        "containerPort": 8080,
    }
)
VM = {
    "id": "vm_1",
    "organizationId": "org_1",
    "name": "trainer",
    "status": "running",
    "gpuModelId": "h100",
    "gpuCount": 2,
    "pricePerHourCents": 500,
    "public": False,
    "createdAt": "2026-06-01T00:00:00Z",
}
PAGE = {"items": [VM] * 50, "nextCursor": "eyJpZCI6InZtXzEifQ"}


class Exchange(NamedTuple):
    """One request and its answer, the same for every competitor."""

    route: Route
    query: str
    body: bytes
    answer: Answer


def compare(effort: Effort) -> Iterator[Comparison]:
    openapi = OpenAPI.from_dict(DOCUMENT)  # one object for all calls
    exchanges = {
        "create": (1 / 20, _exchange("POST", "/v1/orgs/org_1/vms/create", "", BODY, VM)),
        "page of 50": (1 / 50, _exchange("GET", "/v1/orgs/org_1/vms", "limit=50", b"", PAGE)),
    }
    for name, (at_most, exchange) in exchanges.items():
        ours, plan = repeated(checked(exchange), effort), repeated(bare_plan(exchange), effort)
        yield Comparison(2, f"check of {name} / two compiled schemas alone", ours, plan)
        theirs = repeated(stock(openapi, exchange), effort)
        yield Comparison(2, f"check of {name} / openapi-core", ours, theirs, at_most)


def soundness(effort: Effort) -> Iterator[Comparison]:
    """Acceptances of what openapi-core refuses. A fuzz that does not catch every control proves nothing."""

    @cache
    def unsound() -> dict[str, int]:
        return {name: len(cases) for name, cases in search(DOCUMENT).unsound.items()}

    def controls() -> float:
        least = min(count for name, count in unsound().items() if name != "plan")
        assert least, unsound()
        return least

    what = "unsound acceptances / those of the least caught control"
    yield Comparison(3, what, lambda: unsound()["plan"], controls, 0, unit="cases", most_rounds=1)


def _exchange(method: str, path: str, query: str, body: bytes, value: dict[str, Any]) -> Exchange:
    route = API.route(method, path)
    assert isinstance(route, Route)
    return Exchange(route, query, body, Answer(200, JSON, value, msgspec.json.encode(value)))


def checked(exchange: Exchange) -> Callable[[], object]:
    route, query, body, answer = exchange
    headers = {"content-type": JSON} if body else {}

    def run() -> None:
        assert API.check_request(route, query, headers, body).problem is None
        assert API.check_response(route.operation, answer) is None

    return run


def bare_plan(exchange: Exchange) -> Callable[[], object]:
    """Decoding and the two schemas: what no check of these messages can do without."""
    route, _, body, answer = exchange
    registry = jsonschema_rs.Registry([("urn:contract", DOCUMENT)])

    def compiled(pointer: str) -> Callable[[Any], bool]:
        reference = f"urn:contract{pointer}".replace("{", "%7B").replace("}", "%7D")
        validator = jsonschema_rs.Draft202012Validator(
            {"$ref": reference}, registry=registry, validate_formats=True
        )
        return validator.is_valid

    spec = route.operation.body
    accepts_body = compiled(spec.schema) if spec and spec.schema else None
    promise = route.operation.responses["200"].schema
    assert promise
    accepts_answer = compiled(promise)

    def run() -> None:
        assert accepts_body is None or accepts_body(msgspec.json.decode(body))
        assert accepts_answer(answer.value)

    return run


def stock(openapi: OpenAPI, exchange: Exchange) -> Callable[[], object]:
    route, query, body, answer = exchange
    operation = route.operation
    args = dict(pair.split("=") for pair in query.split("&") if pair)
    path = operation.path.format(**route.path_values)

    def run() -> None:
        request = MockRequest(
            "http://localhost",
            operation.method.lower(),
            path,
            path_pattern=operation.path,
            args=args,
            view_args=route.path_values,
            headers={"Authorization": "Bearer vl_0000"},
            data=body,
            content_type=JSON,
        )
        openapi.validate_request(request)
        openapi.validate_response(request, MockResponse(answer.raw, status_code=200, content_type=JSON))

    return run
