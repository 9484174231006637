"""One request: route, contract, access, find, operation, reply.

The order of refusals is the same for every operation [choice]: 404 and 405 of the route, 401, 429, 403, 404
of the resource, 400 or 422 of the contract, then whatever the operation refuses. A contract problem is
therefore kept until access has been granted: nothing leaks.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlencode
from zlib import crc32

import msgspec

from simulator.contract import Answer, Checked, Contract, NoRoute, OperationSpec, Route, masked, masked_query
from simulator.domain import access, limits, timeline
from simulator.domain.faults.request import Surprise, strike_request
from simulator.domain.faults.rules import Rule, look_back
from simulator.domain.timeline import Cue
from simulator.hosts import completions, guests
from simulator.kernel.operation import Call, Content, Operation, Principal, Reply, Request
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.world import Row, World
from simulator.registry import OPERATIONS

JSON = "application/json"
LONGEST_MESSAGE = 600
"""Error bodies stay under 4 KiB: a real client stops reading there [client]. A character takes up to six."""
LONGEST_SENT = 2048
"""Bytes of a body that the journal keeps [choice]."""

ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
"""`type` in errors of the inference host [client (legacy)]; see `_error` for the others."""


UNKNOWN_FIELDS = "X-Sim-Unknown-Fields"
"""Names in a request that the contract does not know: ignored, as the service ignores them, but told."""
FAULT = "X-Sim-Fault"
"""The rule that had an answer its way."""
BESIDE = NoRoute(())
_HEADER_WORD = re.compile(r"[\w.-]+", re.ASCII)

CREDENTIAL_KINDS = ("api-key", "session", "api-key-or-session")
"""x-auth values that a bearer key or session answers; machines authenticate in their own operations."""

NOBODY = Principal("nobody", "", "", "")


def dispatch(
    world: World, contract: Contract, request: Request, refusal_already: Refusal | None = None
) -> Reply:
    """Answer a request; the journal entry written here is the cause of all that follows from it.

    A refusal that stands already is the answer: for a request that could not be read, or met our own mistake.
    """
    exchange = _Exchange(world, contract, request)
    if refusal_already is not None:
        reply = exchange.refuse(refusal_already)
    else:
        reply = exchange.meet_fault() if world.bucket(Rule, "seam", "request") else exchange.answer()
        exchange.tell(reply)
        look_back(world)
    exchange.note_sent()
    world.journal.count(exchange.spec.id if exchange.spec else "", reply.status)
    world.cause = None
    return reply


def _no_route(request: Request, route: NoRoute) -> Refusal:
    path = request.path[:200]
    if not route.allowed:
        return Refusal("not_found", f"no operation at {request.method} {path}; GET /openapi.json lists them")
    allowed = ", ".join(route.allowed)
    return Refusal("method_not_allowed", f"{request.method} is not known at {path}; known are {allowed}")


class _Exchange:
    """A request and the ways to answer it: as on an ordinary day, with an error, or as a fault has it."""

    def __init__(self, world: World, contract: Contract, request: Request) -> None:
        self.world, self.contract, self.request = world, contract, request
        self.request_id = world.streams.uuid("request")
        self.facts: dict[str, Any] = {
            "id": self.request_id,
            "method": request.method,
            "path": request.path[:LONGEST_MESSAGE],
        }
        if request.query:
            self.facts["query"] = masked_query(request.query)[:LONGEST_MESSAGE]
        world.cause = world.journal.add(world.now_ms, "request", None, self.facts)
        if request.endpoint:
            self.facts["endpoint"] = request.endpoint
        self.route = BESIDE if request.endpoint else contract.route(request.method, request.path)
        self.spec = None if isinstance(self.route, NoRoute) else self.route.operation
        if self.spec is not None:
            self.facts["operation"] = self.spec.id

    def answer(self) -> Reply:
        """Carry the request out."""
        route = self.route
        if isinstance(route, NoRoute):
            return self._answer_beside(route)
        try:
            value = _Visit(self.world, self.request, route, self.checked, self.facts).carry_out()
        except Refusal as refusal:
            return self.refuse(refusal)
        return self._reply(route.operation.success, value, {})

    def _answer_beside(self, route: NoRoute) -> Reply:
        """Answer what is no operation: what a workload or the inference host serves, else 404."""
        world, request, extra = self.world, self.request, {}
        before = world.version
        try:
            if request.endpoint:
                return self._reply(200, guests.visit(world, request), {})
            if completions.serves(request):
                return self._reply(200, completions.complete(world, request, self.request_id), {})
            extra = {"Allow": ", ".join(route.allowed)} if route.allowed else {}
            raise _no_route(request, route)
        except Refusal as refusal:
            assert world.version == before, f"{request.path} refused after it had changed something"
            return self.refuse(refusal, extra)

    def meet_fault(self) -> Reply:
        """Answer as the fault that strikes has it; marked, so that nobody takes it for a bug of ours."""
        hit = None if self.spec is None else strike_request(self, self.spec.id, self._values())
        if hit is None:
            return self.answer()
        self.facts["fault"] = hit.rule_id
        reply: Reply = hit.effect.meet(self, hit.rule_id)
        self.facts["status"] = reply.status
        if reply.wire is not None and (reply.wire.cut or reply.wire.bytes is not None):
            self.facts["lost"] = True
        return msgspec.structs.replace(reply, headers={**reply.headers, FAULT: hit.rule_id})

    def note_sent(self) -> None:
        """Keep the body that came, as far as it could be read, is no secret and not long: for whoever asks
        what was done. A checksum tells longer ones apart too."""
        request = self.request
        if "idempotency-key" in request.headers:
            self.facts["idempotent"] = True
        if not request.body:
            return
        self.facts["digest"] = crc32(request.body)
        checked: Checked | None = self.__dict__.get("checked")
        if checked is not None and len(request.body) <= LONGEST_SENT and isinstance(checked.body, dict):
            self.facts["sent"] = masked(checked.body)

    def tell(self, reply: Reply) -> None:
        """Let the cues hear of it that wait for a call."""
        if self.spec is not None and self.world.bucket(Cue, "waiting", "call"):
            values = {**self._values(), "status": reply.status}
            timeline.heard(self.world, "call", self.spec.id, values, self.world.cause)

    @cached_property
    def checked(self) -> Checked:
        """What the request says, held against the contract; of a request that has found its operation."""
        route, request = self.route, self.request
        assert isinstance(route, Route)
        return self.contract.check_request(route, request.query, request.headers, request.body)

    def _values(self) -> dict[str, Any]:
        """What a rule's `where` matches: values of the body, the query and the path."""
        assert isinstance(self.route, Route)
        body = self.checked.body if isinstance(self.checked.body, dict) else {}
        return {**body, **self.checked.query, **self.route.path_values}

    @property
    def caller(self) -> str:
        """A mark of the credential, which does not tell what it is."""
        return access.digest(access.bearer(self.request.headers))[:16]

    def answer_as_of(self, moment_ms: int) -> Reply:
        """Answer a read from an earlier state of the world; what changes something is answered as ever."""
        now = self.world
        if self.request.method == "GET":
            self.world = now.as_of(moment_ms)
        reply = self.answer()
        self.world = now
        return reply

    def answer_with_novelty(self, surprise: Surprise) -> Reply:
        """Answer with what the contract allows and few expect."""
        spec = self.spec
        assert spec is not None
        if surprise.smaller_page and "limit" in spec.parameter_names:
            self.request = msgspec.structs.replace(self.request, query=_halved(self.request.query))
            del self.checked
        reply = self.answer()
        if reply.status != spec.success or reply.headers.get("Content-Type") != JSON:
            return reply
        found = msgspec.json.decode(reply.body)
        novel = self.contract.surprising(spec, found, member=surprise.unknown_member, null=surprise.nulls)
        return self._reply(reply.status, novel, {})

    def refuse(self, refusal: Refusal, extra: dict[str, str] | None = None) -> Reply:
        """Answer with an error."""
        settings = self.world.settings
        headers = dict(extra or {})
        if refusal.retry_after_s is not None:
            headers["Retry-After"] = str(refusal.retry_after_s)
            self._note_retry_after(refusal.retry_after_s)
        value = _error(self.world, refusal, self.request_id, inference=self._is_inference)
        told = {"code": refusal.wire_code(settings), "message": refusal.message[:LONGEST_MESSAGE]}
        self.facts |= told
        return self._reply(refusal.status(settings), value, headers)

    def _note_retry_after(self, seconds: int) -> None:
        """Keep how long a caller was told to wait, and who it is: a fault strikes before anybody asked."""
        self.facts["retry_after"] = seconds
        if "principal" not in self.facts:
            with suppress(Refusal):
                caller = access.authenticate(self.world, self.request.headers, inference=self._is_inference)
                self.facts["principal"] = caller.id

    @property
    def _is_inference(self) -> bool:
        """Whether the inference host is asked, whose errors have a form of their own."""
        if self.spec is not None:
            return self.spec.host == "inference"
        return not self.request.endpoint and completions.serves(self.request)

    def _reply(self, status: int, value: Any, headers: dict[str, str]) -> Reply:
        self.facts["status"] = status
        headers = {"X-Request-Id": self.request_id, **headers}
        if type(value) is dict and (value.get("nextCursor") or value.get("has_more")):
            self.facts["next"] = True
        if "unknown_fields" in self.facts:
            headers[UNKNOWN_FIELDS] = ", ".join(filter(_HEADER_WORD.fullmatch, self.facts["unknown_fields"]))
        reply = _reply(status, value, headers)
        if self.spec is not None:
            _check_answer(self.world, self.contract, self.spec, reply, value)
        return reply


class _Visit:
    """A request that has found its operation, on its way through access, find and the operation itself."""

    def __init__(
        self, world: World, request: Request, route: Route, checked: Checked, facts: dict[str, Any]
    ) -> None:
        self.world, self.request, self.route = world, request, route
        self.checked, self.facts = checked, facts
        self.spec = route.operation
        self.operation = OPERATIONS[self.spec.id]
        self.principal = NOBODY

    def carry_out(self) -> Any:
        """The value the operation answers. Raises Refusal, and then nothing has been changed, unless the
        operation returned the refusal: then what it changed stands."""
        if self.checked.unknown_fields:
            self._note_unknown_fields()
        self.principal = self._authenticated()
        operation = self.operation
        organization_id, found = self._admitted(operation)
        self._check_contract()
        before = self.world.version
        try:
            value = operation.function(self._call(organization_id), *found)
        except Refusal:
            assert self.world.version == before, f"{self.spec.id} refused after it had changed something"
            raise
        if isinstance(value, Refusal):
            raise value
        access.remember_use(self.world, self.principal)
        return value

    def _note_unknown_fields(self) -> None:
        """The service ignores what it does not know [choice]; a typo that nobody tells of is hard to find."""
        if self.world.settings.word("requests.strict") != "off":
            self.facts["unknown_fields"] = [name[:80] for name in self.checked.unknown_fields[:20]]

    def _check_contract(self) -> None:
        """Whether the request fits the contract; in a strict world it may hold nothing else."""
        found, unknown = self.checked.problem, self.checked.unknown_fields
        message = found.message if found else ""
        if not found and unknown and self.world.settings.word("requests.strict") == "error":
            name = unknown[0][:80]
            message = f"{name!r} is unknown to {self.spec.id}{nearest(name, self.spec.names)}"
        if message:
            raise Refusal("bad_request" if self.spec.problem_status == 400 else "unprocessable", message)

    def _authenticated(self) -> Principal:
        if self.spec.auth not in CREDENTIAL_KINDS:
            return NOBODY
        inference = self.spec.host == "inference"
        principal = access.authenticate(self.world, self.request.headers, inference=inference)
        self.facts["principal"] = principal.id
        limits.check_rate(self.world, principal)
        return principal

    def _admitted(self, operation: Operation) -> tuple[str, tuple[Row, ...]]:
        """The organization the call acts in, and the row its path names."""
        if self.principal is NOBODY:
            return "", ()
        self._check_kind(operation)
        organization_id = self._acting_in(operation)
        access.authorize(self.world, operation, self.principal, organization_id)
        if operation.finds is None:
            organization_id = organization_id or self.principal.organization_id
            self._check_usable(operation, organization_id)
            return organization_id, ()
        if organization_id:
            self._check_usable(operation, organization_id)
        row, owner = self._find(operation.finds, operation.owner, organization_id)
        if not organization_id:
            self._check_usable(operation, owner)
            access.authorize(self.world, operation, self.principal, owner)
        return owner, (row,)

    def _check_usable(self, operation: Operation, organization_id: str) -> None:
        """Whether the organization has what the operation needs, and is still there: a deleted one is 404 or
        403, as the contract lists them; what lists neither is the catalogue, which stays open [choice]."""
        by_person = self.principal.kind == "user" and not operation.role
        if not by_person and access.is_deleted(self.world, organization_id):
            for status, code in (("404", "not_found"), ("403", "forbidden")):
                if status in self.spec.statuses:
                    raise Refusal(code, f"organization {organization_id!r} has been deleted")
        access.check_feature(self.world, operation, organization_id)

    def _check_kind(self, operation: Operation) -> None:
        """Operations for sessions refuse keys: 401 where the contract lists no 403, else 403 [choice]."""
        allowed = operation.keys_allowed
        if self.principal.kind != "api_key" or allowed == "yes":
            return
        if allowed == "no" or self.world.settings[allowed] in (False, "session"):
            code = "forbidden" if "403" in self.spec.statuses else "unauthorized"
            raise Refusal(code, f"{self.spec.id} is for users' sessions, not for API keys")

    def _acting_in(self, operation: Operation) -> str:
        """The organization of the path, else the caller's own.

        "" for what a person does alone, and where a session's row will tell.
        """
        if self.spec.path.startswith("/v1/orgs/{orgId}"):
            return self.route.path_values["orgId"]
        row_tells = operation.finds is not None and self.principal.kind == "user"
        return "" if row_tells or not operation.role else self.principal.organization_id

    def _find(self, kind: type[Row], owner_field: str, organization_id: str) -> tuple[Row, str]:
        """The row that the last part of the path names, and its owner; 404 when the caller may not see it."""
        row_id = [value for name, value in self.route.path_values.items() if name != "orgId"][-1]
        row = self.world.find(kind, f"{organization_id}/{row_id}" if kind.id_within_organization else row_id)
        owner: str = getattr(row, owner_field, "")
        visible = owner == organization_id or (
            not organization_id and access.belongs(self.world, self.principal, owner)
        )
        if row is None or not visible:
            raise Refusal("not_found", f"{kind.__name__} {row_id[:80]!r} is unknown in this organization")
        return row, owner

    def _call(self, organization_id: str) -> Call:
        return Call(
            world=self.world,
            principal=self.principal,
            organization_id=organization_id,
            path=self.route.path_values,
            query=self.checked.query,
            body=self.checked.body,
            headers=self.request.headers,
        )


def _halved(query: str) -> str:
    """The same query for half as many items."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    asked = given.get("limit", "50")
    return urlencode({**given, "limit": max(1, int(asked) // 2)}) if asked.isdecimal() else query


# -- replies -----------------------------------------------------------------------------------------------


def _error(world: World, refusal: Refusal, request_id: str, *, inference: bool) -> dict[str, Any]:
    """The error body; the inference host wraps it its own way [2026-07]."""
    message, code = refusal.message[:LONGEST_MESSAGE], refusal.wire_code(world.settings)
    if inference:
        status = refusal.status(world.settings)
        kind = ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
        return {"error": {"message": message, "type": kind, "code": code, **refusal.facts}}
    body = {"error": message, "code": code, **refusal.facts}
    return body | {"requestId": request_id} if world.settings.flag("errors.request_id") else body


def _reply(status: int, value: Any, headers: dict[str, str]) -> Reply:
    if value is None:
        return Reply(204 if status == 200 else status, b"", headers)
    if isinstance(value, Content):
        return Reply(status, value.body, {**headers, "Content-Type": value.media_type, **value.headers})
    headers["Content-Type"] = JSON
    return Reply(status, msgspec.json.encode(value), headers)


def _check_answer(world: World, contract: Contract, spec: OperationSpec, reply: Reply, value: Any) -> None:
    """An answer that breaks the contract is our bug: it is written down, and the client still gets it."""
    answer = Answer(reply.status, reply.headers.get("Content-Type", ""), value, reply.body, reply.headers)
    problem = contract.check_response(spec, answer)
    if problem is not None:
        world.note("bug", operation=spec.id, where=problem.where, message=problem.message)
