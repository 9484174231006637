"""One OpenAPI document as a contract: routes requests, checks them and the answers.

The road of a request: read (bytes to values), plan (compiled checks, which accept nearly everything that is
right), and only where the plan is not sure the judge (openapi-core), which decides and explains.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.contract.compiled import Answer, Plan, Schemas
from simulator.contract.novelty import Novelty
from simulator.contract.reading import (
    Problem,
    ReadingError,
    masked,
    masked_query,
    problem,
    read_body,
    read_path_values,
    read_query,
    shown,
    without_blanks,
)
from simulator.contract.route import NoRoute, Route, Router
from simulator.contract.spec import OperationSpec, bare_media_type, node_at, read_operations

if TYPE_CHECKING:
    from simulator.contract.judge import Judge

__all__ = [
    "Answer",
    "Checked",
    "Contract",
    "NoRoute",
    "OperationSpec",
    "Problem",
    "Route",
    "masked",
    "masked_query",
]


class Checked(msgspec.Struct, frozen=True):
    """What a request says. With a problem, as much of it as could be read."""

    query: dict[str, Any]
    body: Any = None
    unknown_fields: tuple[str, ...] = ()  # top-level names the contract does not know: ignored, but reported
    problem: Problem | None = None


class Contract:
    """One OpenAPI document, ready to route and check. Cheap to make: schemas are compiled on first use."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.operations = read_operations(document)
        self._router = Router(self.operations.values())
        self._plan = Plan(Schemas(document))

    def route(self, method: str, path: str) -> Route | NoRoute:
        return self._router.route(method, path)

    def check_request(self, route: Route, query: str, headers: Mapping[str, str], body: bytes) -> Checked:
        """Never raises, whatever the bytes. Header names are lower case."""
        operation = route.operation
        values: dict[str, Any] = {}
        unknown: tuple[str, ...] = ()
        try:
            read_path_values(route.path_values)
            if query:
                query = without_blanks(query, operation)
                values, unknown = read_query(query, operation)
            value = read_body(operation.body, headers, body)
        except ReadingError as error:
            return Checked(values, None, unknown, error.problem)
        fits = self._plan.accepts_query(operation, values) and (
            not body or self._plan.accepts_body(operation, value)
        )
        found = None if fits else self._judge.request_problem(route, query, body)
        return Checked(values, value, unknown + _unknown_fields(operation, value), found)

    def check_response(self, operation: OperationSpec, answer: Answer) -> Problem | None:
        """A problem here is the simulator's own mistake."""
        spec = operation.response(answer.status)
        if spec is None:
            return problem("status", f"{answer.status} is not among those of {operation.id}")
        if self._plan.accepts_answer(spec, answer):
            return None
        if not spec.media_types and answer.raw:
            return problem(
                "body", f"{operation.id} answers {answer.status} without one, not {shown(answer.raw)}"
            )
        if spec.media_types and bare_media_type(answer.media_type) not in spec.media_types:
            promised = " or ".join(spec.media_types)
            return problem("header.content-type", f"{answer.media_type!r} is sent, {promised} is promised")
        return self._judge.response_problem(operation, answer)

    def surprising(self, operation: OperationSpec, answer: Any, *, member: bool, null: bool) -> Any:
        """An operation's answer as the contract allows it and few expect it; see `novelty`."""
        spec = operation.response(operation.success)
        if spec is None or spec.schema is None:
            return answer
        novelty = Novelty(self.document, member=member, null=null)
        return novelty.within(node_at(self.document, spec.schema), answer)

    @cached_property
    def _judge(self) -> Judge:
        from simulator.contract.judge import Judge  # openapi-core takes longer than all the rest of a start

        return Judge(self.document)


def _unknown_fields(operation: OperationSpec, value: Any) -> tuple[str, ...]:
    known = operation.body.fields if operation.body else None
    if known is None or not isinstance(value, dict) or known.issuperset(value):
        return ()
    return tuple(name for name in value if name not in known)
