"""What a model is asked, in a record of a batch or online: whether it can be read, and its canned answer.

Answers are canned [choice: enough to test what surrounds them]. Everything about one follows from the record
itself, so the same record is answered alike in every world.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from simulator.kernel.streams import digest_number

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
APIS = {CHAT: "chat_completions", COMPLETIONS: "completions"}
"""Endpoints of batches, and what a model must support to serve them."""

BYTES_PER_TOKEN = 4
WORDS = (
    "the", "model", "answers", "with", "words", "from", "a", "seed", "so", "that", "every", "run", "of",
    "a", "test", "reads", "same", "text", "and", "counts", "as", "many", "tokens",
)  # fmt: skip
LEAST_WORDS, SPREAD = 8, 24
"""An answer has so many words, and up to so many more; a word is a token."""
_TEXT = WORDS * 3


class Record(msgspec.Struct, frozen=True):
    """A line of an input file."""

    custom_id: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    url: str
    body: dict[str, Any]
    method: str = "POST"


class Answer(msgspec.Struct, frozen=True):
    """What a model makes of a record."""

    text: str
    input_tokens: int
    output_tokens: int
    cut: bool
    """The answer ends at max_tokens."""


def read(line: bytes) -> Record:
    """The record of a line. Raises ValueError with what is wrong with it."""
    try:
        return msgspec.json.decode(line, type=Record)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeError) as problem:
        raise ValueError(str(problem)) from None


def fault(endpoint: str, body: dict[str, Any]) -> str:
    """Why a model cannot answer a body; "" when it can."""
    field = "messages" if endpoint == CHAT else "prompt"
    asked = body.get(field)
    fits = _are_messages(asked) if endpoint == CHAT else isinstance(asked, str | list) and bool(asked)
    if not fits:
        return f"{field}: {_shown(asked)} is no {'list of messages' if endpoint == CHAT else 'text'}"
    if body.get("stream"):
        return "stream: a batch answers as a whole"
    most = _limit(body)
    if most is not None and (type(most) is not int or most < 1):
        return f"max_tokens: {_shown(most)} is no number of tokens"
    return ""


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(message, dict) and isinstance(message.get("role"), str) for message in value)
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _limit(body: dict[str, Any]) -> Any:
    return body.get("max_completion_tokens", body.get("max_tokens"))


def answer(endpoint: str, body: dict[str, Any]) -> Answer:
    """The canned answer to a body without a fault."""
    asked = msgspec.json.encode(body["messages" if endpoint == CHAT else "prompt"])
    draw = digest_number(f"{endpoint}\0{asked.decode()}")
    wanted = LEAST_WORDS + draw % SPREAD
    most = _limit(body)
    count = wanted if most is None else min(wanted, most)
    begin = draw % len(WORDS)
    text = " ".join(_TEXT[begin : begin + count])
    return Answer(text, -(-len(asked) // BYTES_PER_TOKEN), count, count < wanted)


def output_line(record: Record, found: Answer, model: str, created_s: int) -> dict[str, Any]:
    """The line of an output file."""
    name = _name(record)
    body = {**shape(record.url, found, name), "created": created_s, "model": model}
    return _line(record, name, 200, body)


def error_line(record: Record, message: str) -> dict[str, Any]:
    """The line of an error file."""
    error = {"message": message, "type": "invalid_request_error", "code": "bad_request"}
    return _line(record, _name(record), 400, {"error": error})


def _line(record: Record, name: str, status: int, body: dict[str, Any]) -> dict[str, Any]:
    response = {"status_code": status, "request_id": f"req_{name}", "body": body}
    return {"id": f"batch_req_{name}", "custom_id": record.custom_id, "response": response, "error": None}


def _name(record: Record) -> str:
    return f"{digest_number('record/' + record.custom_id):064x}"[:24]


def shape(endpoint: str, found: Answer, name: str) -> dict[str, Any]:
    """An answer as the host writes it, without its model and moment."""
    end = {"index": 0, "finish_reason": "length" if found.cut else "stop"}
    usage = {
        "prompt_tokens": found.input_tokens,
        "completion_tokens": found.output_tokens,
        "total_tokens": found.input_tokens + found.output_tokens,
    }
    if endpoint == CHAT:
        choice = {**end, "message": {"role": "assistant", "content": found.text}}
        return {"id": f"chatcmpl-{name}", "object": "chat.completion", "choices": [choice], "usage": usage}
    choice = {**end, "text": found.text}
    return {"id": f"cmpl-{name}", "object": "text_completion", "choices": [choice], "usage": usage}
