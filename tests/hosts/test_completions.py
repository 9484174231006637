"""Completions online: shapes, streams, money, and who may ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain.inference import InferenceUse
from tests.support.cloud import Cloud

Open = Callable[..., Cloud]
CHAT, TEXT, MESSAGES = "/v1/chat/completions", "/v1/completions", "/v1/messages"
HELLO = [{"role": "user", "content": "hello"}]
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "qwen3-32b", "messages": HELLO},
    TEXT: {"model": "qwen3-32b", "prompt": "hello"},
    MESSAGES: {"model": "qwen3-32b", "messages": HELLO, "max_tokens": 500},
}


def events(body: bytes) -> list[Any]:
    """The data of a stream, decoded where it is JSON."""
    lines = [line.removeprefix("data: ") for line in body.decode().splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def text_of(path: str, answer: Any) -> str:
    if path == MESSAGES:
        return str(answer["content"][0]["text"])
    choice = answer["choices"][0]
    return str(choice["message"]["content"] if path == CHAT else choice["text"])


@pytest.mark.parametrize("path", BODIES)
def test_a_completion_is_canned_and_always_the_same(cloud: Cloud, path: str) -> None:
    first, again = (cloud.post(path, BODIES[path]) for _ in range(2))
    assert first.status == 200
    assert text_of(path, first.body) == text_of(path, again.body) != ""
    assert first.body["id"] != again.body["id"]
    assert first.body["model"] == "qwen3-32b"


@pytest.mark.parametrize("path", [CHAT, TEXT])
def test_a_stream_brings_the_same_words_and_ends_with_done(cloud: Cloud, path: str) -> None:
    whole = text_of(path, cloud.post(path, BODIES[path]).body)
    answer = cloud.post(path, {**BODIES[path], "stream": True})
    assert answer.headers["Content-Type"] == "text/event-stream"
    *chunks, end, done = events(answer.body)
    assert done == "[DONE]"
    pieces = [chunk["choices"][0] for chunk in chunks]
    words = [piece["delta"]["content"] if path == CHAT else piece["text"] for piece in pieces]
    assert "".join(words) == whole
    assert end["choices"][0]["finish_reason"] == "stop"


def test_a_stream_of_messages_has_the_events_of_one(cloud: Cloud) -> None:
    whole = cloud.post(MESSAGES, BODIES[MESSAGES]).body
    found = events(cloud.post(MESSAGES, {**BODIES[MESSAGES], "stream": True}).body)
    kinds = [event["type"] for event in found]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    text = "".join(event["delta"]["text"] for event in found if event["type"] == "content_block_delta")
    assert text == whole["content"][0]["text"]
    assert found[-2]["usage"]["output_tokens"] == whole["usage"]["output_tokens"]


def test_an_answer_is_cut_at_max_tokens(cloud: Cloud) -> None:
    chat = cloud.post(CHAT, {**BODIES[CHAT], "max_tokens": 2}).body
    assert (chat["choices"][0]["finish_reason"], chat["usage"]["completion_tokens"]) == ("length", 2)
    message = cloud.post(MESSAGES, {**BODIES[MESSAGES], "max_tokens": 2}).body
    assert (message["stop_reason"], message["usage"]["output_tokens"]) == ("max_tokens", 2)


def test_tokens_are_paid_at_the_price_of_the_model(cloud: Cloud) -> None:
    usage = cloud.post(CHAT, BODIES[CHAT]).body["usage"]
    (use,) = cloud.rows(InferenceUse)
    assert use.nano_usd == usage["prompt_tokens"] * 100 + usage["completion_tokens"] * 300
    assert (use.batch, use.requests) == (False, 1)


def test_what_is_online_and_what_was_a_batch_are_told_apart_in_the_ledger(cloud: Cloud) -> None:
    body = {**BODIES[CHAT], "messages": [{"role": "user", "content": "x" * 900_000}]}
    assert cloud.post(CHAT, body).status == 200
    cloud.advance(24 * 3600)
    lines = cloud.get("/v1/orgs/{org}/billing/balance").body["transactions"]
    (line,) = [line for line in lines if line["type"] == "inference_debit"]
    assert [model["batch"] for model in line["inferenceDetails"]["models"]] == [False]


def test_the_key_may_come_as_x_api_key(cloud: Cloud) -> None:
    assert cloud.call("POST", CHAT, BODIES[CHAT], key="", x_api_key=cloud.key).status == 200


@pytest.mark.parametrize(
    ("change", "status", "kind", "told"),
    [
        ({"model": "gpt-1"}, 404, "not_found_error", "model 'gpt-1' does not serve chat_completions"),
        ({"model": None}, 400, "invalid_request_error", "model: None is no name"),
        ({"model": "bge-m3"}, 404, "not_found_error", "does not serve chat_completions"),
        ({"messages": []}, 400, "invalid_request_error", "messages: [] is no list of messages"),
        ({"max_tokens": 0}, 400, "invalid_request_error", "max_tokens: 0 is no number of tokens"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_the_hosts_own_form(
    cloud: Cloud, change: dict[str, Any], status: int, kind: str, told: str
) -> None:
    answer = cloud.post(CHAT, {**BODIES[CHAT], **change})
    assert answer.status == status
    assert answer.body["error"]["type"] == kind
    assert told in answer.body["error"]["message"]
    assert cloud.rows(InferenceUse) == []


def test_bodies_that_are_no_json_objects(cloud: Cloud) -> None:
    for body in (b"", b"{", b"[]", b"\xff", b"[" * 5000):
        assert cloud.post(CHAT, body).status == 400


def test_who_may_not_ask(cloud: Cloud) -> None:
    assert cloud.post(CHAT, BODIES[CHAT], key="").status == 401
    made = cloud.post("/v1/orgs/{org}/api-keys/create", {"name": "vms", "scopes": ["vms:read"]}).body
    refused = cloud.post(CHAT, BODIES[CHAT], key=made["key"])
    assert (refused.status, refused.body["error"]["type"]) == (403, "permission_error")


def test_without_money_nothing_is_answered(open_cloud: Open) -> None:
    broke = open_cloud("broke")
    broke.do("balance.debit", name="acme", cents=1000)
    refused = broke.post(CHAT, BODIES[CHAT])
    assert (refused.status, refused.code) == (402, "insufficient_balance")


def test_other_methods_and_paths_are_none(cloud: Cloud) -> None:
    assert cloud.get(CHAT).status == 404
    assert cloud.post("/v1/chat", BODIES[CHAT]).status == 404
