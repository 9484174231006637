"""What checking against the contract costs, as ratios measured in one process, turn by turn.

    python -m benchmarks.validation [--quick] [--json FILE]

A ratio compares two ways to do the same thing a moment apart, so it holds on a busy machine where seconds do
not. To add a comparison, write a function that returns `Comparison`s and list it in `COMPARISONS`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import msgspec
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from simulator.contract import Answer, Contract, Route
from tests.contract.soundness import search

DOCUMENT = json.loads((Path(__file__).parents[1] / "simulator" / "openapi.json").read_text(encoding="utf-8"))
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


class Comparison(NamedTuple):
    """How many times as long `ours` takes as `other`, and the bound the ratio shall keep, if any."""

    name: str
    ours: Callable[[], object]
    other: Callable[[], object]
    at_most: float | None = None


class Exchange(NamedTuple):
    """One request and its answer, the same for every competitor."""

    route: Route
    query: str
    body: bytes
    answer: Answer


def exchanges() -> dict[str, Exchange]:
    return {
        "create": _exchange("POST", "/v1/orgs/org_1/vms/create", "", BODY, VM),
        "list of 50": _exchange("GET", "/v1/orgs/org_1/vms", "limit=50", b"", PAGE),
    }


def _exchange(method: str, path: str, query: str, body: bytes, value: dict[str, Any]) -> Exchange:
    route = API.route(method, path)
    assert isinstance(route, Route)
    return Exchange(route, query, body, Answer(200, JSON, value, msgspec.json.encode(value)))


def against_bare_plan() -> list[Comparison]:
    """Decoding and two compiled schemas: what no check of these messages can do without."""
    return [
        Comparison(f"contract / bare plan, {name}", checked(exchange), bare_plan(exchange))
        for name, exchange in exchanges().items()
    ]


def against_openapi_core() -> list[Comparison]:
    """Stock openapi-core with one reused OpenAPI object."""
    openapi = OpenAPI.from_dict(DOCUMENT)
    bounds = {"create": 1 / 20, "list of 50": 1 / 50}
    return [
        Comparison(
            f"contract / openapi-core, {name}", checked(exchange), stock(openapi, exchange), bounds[name]
        )
        for name, exchange in exchanges().items()
    ]


# The comparison of one Flask app with and without validation belongs here too.
COMPARISONS: list[Callable[[], list[Comparison]]] = [against_bare_plan, against_openapi_core]


def checked(exchange: Exchange) -> Callable[[], object]:
    route, query, body, answer = exchange
    headers = {"content-type": JSON} if body else {}

    def run() -> None:
        assert API.check_request(route, query, headers, body).problem is None
        assert API.check_response(route.operation, answer) is None

    return run


def bare_plan(exchange: Exchange) -> Callable[[], object]:
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


class Measured(NamedTuple):
    name: str
    ratio: float
    ours_us: float
    other_us: float
    at_most: float | None


def measure(comparison: Comparison, rounds: int, seconds: float) -> Measured:
    """They take turns; each round yields one ratio, and the median counts. The microseconds are the best."""
    ours_count, other_count = _repeats(comparison.ours, seconds), _repeats(comparison.other, seconds)
    ours, other = [], []
    for _ in range(rounds):
        ours.append(_seconds_per_call(comparison.ours, ours_count))
        other.append(_seconds_per_call(comparison.other, other_count))
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, other, strict=True))
    return Measured(comparison.name, ratio, min(ours) * 1e6, min(other) * 1e6, comparison.at_most)


def _repeats(call: Callable[[], object], seconds: float) -> int:
    call()  # compiles on first use
    return max(1, int(seconds / _seconds_per_call(call, 3)))


def _seconds_per_call(call: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def soundness() -> dict[str, int]:
    """How often each plan accepted what openapi-core refuses: 0 for ours, more for each control."""
    return {name: len(found) for name, found in search(DOCUMENT).unsound.items()}


def printed(measured: list[Measured], unsound: dict[str, int]) -> None:
    print(f"{'comparison':<42}{'ratio':>9}{'1 / ratio':>11}{'ours µs':>10}{'other µs':>11}  bound")
    for row in measured:
        bound = "" if row.at_most is None else ("kept" if row.ratio <= row.at_most else "MISSED")
        figures = f"{row.ratio:>9.4f}{1 / row.ratio:>11.1f}{row.ours_us:>10.1f}{row.other_us:>11.1f}"
        print(f"{row.name:<42}{figures}  {bound}")
    for name, count in unsound.items():
        print(f"{'unsound acceptances, ' + name:<42}{count:>9}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What checking against the contract costs, as ratios.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and no fuzz")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    rounds, seconds = (5, 0.02) if options.quick else (21, 0.1)
    measured = [measure(each, rounds, seconds) for compare in COMPARISONS for each in compare()]
    unsound = {} if options.quick else soundness()
    printed(measured, unsound)
    if options.json:
        figures = {"ratios": [row._asdict() for row in measured], "unsound": unsound}
        options.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
