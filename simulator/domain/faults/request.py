"""Faults of a request: on its way in, in what it does, or in the answer on its way back.

Each stands around the exchange: `meet` gets it and gives the reply, and may let it be answered first, or not
at all. What happens to the connection itself is written into the reply as its `wire`; the adapter does it.
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol

import msgspec

from simulator.domain import limits
from simulator.domain.faults.rules import DEFAULT_LAG_S, Fault, Hit, about_to_strike, struck
from simulator.kernel.operation import Reply, Wire
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Errors = Annotated[int, msgspec.Meta(ge=400, le=599)]

BY_STATUS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    410: "gone",
    422: "unprocessable",
    429: "rate_limited",
    503: "unavailable",
}
"""The code of a status where the rule names none; `internal` for all others."""


class Exchange(Protocol):
    """A request on its way through the cloud, as a fault sees it."""

    @property
    def world(self) -> World: ...
    @property
    def caller(self) -> str:
        """Who calls, as far as the credential tells; no secret."""

    def answer(self) -> Reply:
        """Carry the request out, as on an ordinary day."""

    def refuse(self, refusal: Refusal) -> Reply:
        """Answer with an error, and carry nothing out."""

    def answer_as_of(self, moment_ms: int) -> Reply:
        """Answer a read from the state of an earlier moment; anything else as on an ordinary day."""

    def answer_with_novelty(self, surprise: Surprise) -> Reply:
        """Answer with what the contract allows, and yet nobody expects."""


class RequestFault(Fault, frozen=True):
    """A fault that stands around an exchange."""

    def spares(self, exchange: Exchange, rule_id: str) -> bool:
        """Whether it lets this one pass, as if the rule were not there."""
        return False

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        raise NotImplementedError


class Respond(RequestFault, frozen=True):
    """Answers with an error, and carries nothing out."""

    status: Errors = 500
    code: str = ""
    """By default the generic code of the status."""
    message: str = ""
    retry_after: Count | None = None
    """Whole seconds, sent as Retry-After."""

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        code = self.code or BY_STATUS.get(self.status, "internal")
        message = self.message or f"injected by fault {rule_id}"
        facts = {"status": self.status, "retry_after_s": self.retry_after}
        return exchange.refuse(Refusal(code, message, **facts))


class Delay(RequestFault, frozen=True):
    """Carries the request out, and answers late."""

    seconds: Seconds
    jitter: Seconds = 0
    """Up to so many seconds more, drawn from the world's seed."""
    real: bool = False
    """Whether real seconds pass although the clock is not live."""

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        more = exchange.world.streams.below(f"jitter {rule_id}", round(self.jitter * 1000) + 1)
        return _through(exchange.answer(), Wire(wait_s=self.seconds + more / 1000, real=self.real))


class Reset(RequestFault, frozen=True):
    """Cuts the connection before anything is carried out."""

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        return _through(exchange.refuse(Refusal("internal", "connection reset")), Wire(cut=True))


class LoseAnswer(RequestFault, frozen=True):
    """Carries the request out with all that follows, and cuts the connection in place of the answer."""

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        return _through(exchange.answer(), Wire(cut=True))


class Hang(RequestFault, frozen=True):
    """Says nothing for a while, then cuts the connection; nothing is carried out."""

    seconds: Seconds = 60
    real: bool = False
    """Whether real seconds pass although the clock is not live."""

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        silence = Wire(wait_s=self.seconds, real=self.real, cut=True, silent=True)
        return _through(exchange.refuse(Refusal("internal", "no answer")), silence)


class Truncate(RequestFault, frozen=True):
    """Carries the request out, sends so many bytes of the answer's body, and cuts the connection."""

    bytes: Count = 20

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        return _through(exchange.answer(), Wire(bytes=self.bytes))


class Dribble(RequestFault, frozen=True):
    """Carries the request out, and sends the answer's body in pieces over a span of time."""

    chunks: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 5
    seconds: Seconds = 5
    real: bool = False
    """Whether real seconds pass although the clock is not live."""

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        return _through(exchange.answer(), Wire(wait_s=self.seconds, real=self.real, chunks=self.chunks))


class Garble(RequestFault, frozen=True):
    """Carries the request out, and answers with JSON that cannot be read."""

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        reply = exchange.answer()
        body = reply.body[: len(reply.body) // 2] + b"\x00}{"
        return msgspec.structs.replace(
            reply, status=max(200, reply.status - (reply.status == 204) * 4), body=body
        )


class Html(RequestFault, frozen=True):
    """Answers as a proxy in front of the API does: a page in HTML, and nothing is carried out."""

    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 502
    title: str = "Bad Gateway"

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        refused = exchange.refuse(Refusal("internal", self.title, status=max(400, self.status)))
        head, body = f"<title>{self.status} {self.title}</title>", f"<h1>{self.title}</h1>"
        page = f"<html><head>{head}</head><body>{body}</body></html>\n"
        headers = {**refused.headers, "Content-Type": "text/html; charset=utf-8"}
        return Reply(self.status, page.encode(), headers)


class RateLimit(RequestFault, frozen=True):
    """Lets each caller send so many requests a minute, and refuses more with 429 and Retry-After."""

    per_minute: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 60
    burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1

    def spares(self, exchange: Exchange, rule_id: str) -> bool:
        return self._refusal(exchange, rule_id) is None

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        refusal = self._refusal(exchange, rule_id)
        assert refusal is not None, f"{rule_id} strikes what it has spared"
        return exchange.refuse(refusal)

    def _refusal(self, exchange: Exchange, rule_id: str) -> Refusal | None:
        """None where there is a token, which is then taken."""
        try:
            limits.take(exchange.world, f"{rule_id}/{exchange.caller}", self.per_minute, self.burst)
        except Refusal as refusal:
            return refusal
        return None


class Stale(RequestFault, frozen=True):
    """Answers a read with what was true so many seconds ago, as a replica that lags behind does."""

    seconds: Seconds = DEFAULT_LAG_S

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        return exchange.answer_as_of(exchange.world.now_ms - round(self.seconds * 1000))


class Surprise(RequestFault, frozen=True):
    """Answers what the contract allows and few expect: unknown members, null, a smaller page."""

    unknown_member: bool = True
    """Objects have a member that no client knows."""
    nulls: bool = True
    """Optional members that may be null are null."""
    smaller_page: bool = True
    """A page holds half of what was asked for, and more pages follow."""

    def meet(self, exchange: Exchange, rule_id: str) -> Reply:
        return exchange.answer_with_novelty(self)


EFFECTS: dict[str, type[RequestFault]] = {
    "respond": Respond,
    "delay": Delay,
    "reset": Reset,
    "hang": Hang,
    "truncate": Truncate,
    "dribble": Dribble,
    "garble": Garble,
    "html": Html,
    "lose_answer": LoseAnswer,
    "rate_limit": RateLimit,
    "stale": Stale,
    "surprise": Surprise,
}


def strike_request(exchange: Exchange, operation_id: str, values: dict[str, Any]) -> Hit | None:
    """The fault that strikes a request; `values` are those of its path, query and body."""
    world, facts = exchange.world, {"operation": operation_id}
    for rule, effect in about_to_strike(world, "request", EFFECTS, facts, values):
        if not effect.spares(exchange, rule.id):
            return struck(world, rule, effect, facts)
    return None


def _through(reply: Reply, wire: Wire) -> Reply:
    return msgspec.structs.replace(reply, wire=wire)
