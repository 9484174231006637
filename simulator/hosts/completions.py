"""Chat completions, completions and Anthropic-style messages [2026-07], online and at the full price.

No document describes them to the byte, so they stand beside the contract: bodies are those that clients of
such hosts send, answers are canned and follow from the request alone [choice].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from simulator.domain import access, completion, inference, limits
from simulator.domain.completion import CHAT, COMPLETIONS, Answer
from simulator.domain.inference import InferenceModel
from simulator.kernel.instant import SECOND_MS
from simulator.kernel.operation import Content, Operation, Request
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.streams import digest_number
from simulator.kernel.world import World

MESSAGES = "/v1/messages"
DONE = b"data: [DONE]\n\n"
EVENT_STREAM = "text/event-stream"


class _Asked(NamedTuple):
    """A request that can be answered, and its answer."""

    body: dict[str, Any]
    model: str
    answer: Answer
    name: str
    now_s: int

    @property
    def finish(self) -> str:
        return "length" if self.answer.cut else "stop"

    @property
    def words(self) -> list[str]:
        """The text in the pieces that a stream brings."""
        first, *rest = self.answer.text.split(" ")
        return [first, *(f" {word}" for word in rest)]


def serves(request: Request) -> bool:
    return request.method == "POST" and request.path in _SHAPES


def complete(world: World, request: Request, request_id: str) -> Any:
    """The answer to a call, which is owed for from now on. Raises Refusal, and nothing has changed."""
    principal = access.authenticate(world, request.headers, inference=True)
    limits.check_rate(world, principal)
    organization_id = principal.organization_id
    access.authorize(world, _CREATE, principal, organization_id)
    body = _body(request)
    endpoint = CHAT if request.path == MESSAGES else request.path
    model = _model(world, body.get("model"), completion.APIS[endpoint])
    problem = completion.fault(endpoint, {**body, "stream": False})
    if problem:
        raise Refusal("bad_request", problem)
    inference.check_funds(world, principal)
    found = completion.answer(endpoint, body)
    tokens = {"input_tokens": found.input_tokens, "output_tokens": found.output_tokens}
    nano_usd = inference.price_nano(model, **tokens, percent=100)
    fields = {"source_id": request_id, "model": model.id, "requests": 1, "batch": False, "nano_usd": nano_usd}
    inference.use(world, organization_id, key_id=principal.id, **fields, **tokens)
    access.remember_use(world, principal)
    name = f"{digest_number(request_id):024x}"[:24]
    asked = _Asked(body, model.id, found, name, world.now_ms // SECOND_MS)
    whole, stream = _SHAPES[request.path]
    return Content(b"".join(stream(asked)), EVENT_STREAM) if body.get("stream") is True else whole(asked)


_CREATE = Operation(
    id="createCompletion",
    function=complete,
    area="Inference",
    scope="inference",
    write=True,
    role="member",
    keys_allowed="yes",
    finds=None,
    owner="organization_id",
    effects="",
)
"""Who may ask, in the form in which access reads it."""


def _body(request: Request) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise Refusal("bad_request", f"the body is no JSON: {problem}") from None
    if not isinstance(body, dict):
        raise Refusal("bad_request", f"the body is a JSON {type(body).__name__}, an object is wanted")
    return body


def _model(world: World, name: Any, api: str) -> InferenceModel:
    """The model that is asked for; 404 where it does not serve this [choice: the status clients expect]."""
    serving = {
        model.id: model
        for model in world.rows(InferenceModel)
        if model.status == "available" and api in model.supported_apis
    }
    if not isinstance(name, str):
        raise Refusal("bad_request", f"model: {repr(name)[:80]} is no name{nearest('', list(serving))}")
    if name not in serving:
        raise Refusal("not_found", f"model {name[:80]!r} does not serve {api}{nearest(name, list(serving))}")
    return serving[name]


# -- chat completions and completions ----------------------------------------------------------------------


def _chat(asked: _Asked) -> dict[str, Any]:
    return _completed(asked, CHAT)


def _text(asked: _Asked) -> dict[str, Any]:
    return _completed(asked, COMPLETIONS)


def _completed(asked: _Asked, endpoint: str) -> dict[str, Any]:
    shape = completion.shape(endpoint, asked.answer, asked.name)
    return {**shape, "created": asked.now_s, "model": asked.model}


def _chat_stream(asked: _Asked) -> Iterable[bytes]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in asked.words]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": asked.finish})
    return _chunks(asked, f"chatcmpl-{asked.name}", "chat.completion.chunk", choices)


def _text_stream(asked: _Asked) -> Iterable[bytes]:
    choices: list[dict[str, Any]] = [
        {"index": 0, "text": word, "finish_reason": None} for word in asked.words
    ]
    choices.append({"index": 0, "text": "", "finish_reason": asked.finish})
    return _chunks(asked, f"cmpl-{asked.name}", "text_completion", choices)


def _chunks(asked: _Asked, chunk_id: str, kind: str, choices: list[dict[str, Any]]) -> Iterable[bytes]:
    head = {"id": chunk_id, "object": kind, "created": asked.now_s, "model": asked.model}
    for choice in choices:
        yield b"data: " + msgspec.json.encode({**head, "choices": [choice]}) + b"\n\n"
    yield DONE


# -- messages ----------------------------------------------------------------------------------------------


def _message(asked: _Asked) -> dict[str, Any]:
    return {
        **_message_head(asked),
        "content": [{"type": "text", "text": asked.answer.text}],
        "stop_reason": _stop_reason(asked),
        "usage": _usage(asked),
    }


def _message_head(asked: _Asked) -> dict[str, Any]:
    head = {"id": f"msg_{asked.name}", "type": "message", "role": "assistant", "model": asked.model}
    return {**head, "content": [], "stop_reason": None, "stop_sequence": None}


def _stop_reason(asked: _Asked) -> str:
    return "max_tokens" if asked.answer.cut else "end_turn"


def _usage(asked: _Asked) -> dict[str, int]:
    return {"input_tokens": asked.answer.input_tokens, "output_tokens": asked.answer.output_tokens}


def _message_stream(asked: _Asked) -> Iterable[bytes]:
    usage = _usage(asked)
    begun = {**_message_head(asked), "usage": {**usage, "output_tokens": 0}}
    yield _event("message_start", message=begun)
    yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for word in asked.words:
        yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield _event("content_block_stop", index=0)
    end = {"stop_reason": _stop_reason(asked), "stop_sequence": None}
    yield _event("message_delta", delta=end, usage={"output_tokens": usage["output_tokens"]})
    yield _event("message_stop")


def _event(kind: str, **members: Any) -> bytes:
    data = msgspec.json.encode({"type": kind, **members})
    return f"event: {kind}\ndata: ".encode() + data + b"\n\n"


_SHAPES: dict[str, tuple[Callable[[_Asked], Any], Callable[[_Asked], Iterable[bytes]]]] = {
    CHAT: (_chat, _chat_stream),
    COMPLETIONS: (_text, _text_stream),
    MESSAGES: (_message, _message_stream),
}
"""How each path answers, as a whole and as a stream."""
