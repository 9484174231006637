"""Batches on the clock: their states, their results, their cost, and who may use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain import access
from simulator.resources.batches.lifecycle import LIFECYCLE, STATES
from tests.support.batches import CHAT, MODEL, batch_of, jsonl, lines, look, record, send, start, upload
from tests.support.cloud import Answer, Cloud
from tests.support.invariants import check_world
from tests.support.people import refused
from tests.support.webhooks import hook_of

Open = Callable[..., Cloud]
PROFILES = ("2026-06", "2026-07", "2026-10")
DAY_S = 86_400
SLOW = {"timing__batch__record_s": 100_000}

REACHED: dict[str, tuple[dict[str, Any], float]] = {
    "validating": ({}, 0),
    "in_progress": ({}, 11),
    "finalizing": ({}, 13),
    "completed": ({}, 23),
    "failed": ({"url": "/v1/elsewhere"}, 10),
    "expired": (SLOW, DAY_S),
    "cancelling": ({}, 11),
    "cancelled": ({}, 11),
}
"""What is peculiar about a batch of three records that comes into a state, and the seconds it takes."""


def bring_to(open_cloud: Open, state: str, **settings: Any) -> tuple[Cloud, dict[str, Any]]:
    peculiar, seconds = REACHED[state]
    cloud = open_cloud(**settings, **(peculiar if peculiar is SLOW else {}))
    changed = {} if peculiar is SLOW else peculiar
    answer = start(cloud, *({**record(name), **changed} for name in "abc"))
    assert answer.status == 200, answer
    cloud.advance(seconds)
    if state in ("cancelling", "cancelled"):
        cloud.post(f"/v1/batches/{answer.body['id']}/cancel")
    if state == "cancelled":
        cloud.advance(10)
    batch = look(cloud, answer.body)
    assert batch["status"] == state
    return cloud, batch


def cancel(cloud: Cloud, batch: dict[str, Any]) -> Answer:
    return cloud.post(f"/v1/batches/{batch['id']}/cancel")


# -- the grid


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("state", STATES)
def test_cancel_in_every_state(open_cloud: Open, profile: str, state: str) -> None:
    cloud, batch = bring_to(open_cloud, state, profile=profile)
    version = cloud.world.version
    answer = cancel(cloud, batch)
    if LIFECYCLE.find(state, "cancel") is None:
        assert state in refused(answer, 409, "conflict" if profile == "2026-06" else "CONFLICT")
        assert cloud.world.version == version
        assert state in ("completed", "failed", "expired", "cancelled")
    else:
        assert (answer.status, answer.body["status"]) == (200, "cancelling")
        cloud.advance(10)
        assert look(cloud, batch)["status"] == "cancelled"
    check_world(cloud.world)


@pytest.mark.parametrize("state", STATES)
def test_the_end_of_the_window_ends_whatever_has_not_ended(open_cloud: Open, state: str) -> None:
    """Where every step takes for ever, but for those that bring a batch into the state."""
    names = {"validating": "validating", "in_progress": "record", "cancelling": "cancelling"}
    stuck = {f"timing__batch__{names.get(state, 'finalizing')}_s": "never"}
    if state in ("completed", "failed", "expired", "cancelled"):
        stuck = {}
    cloud, batch = bring_to(open_cloud, state, **stuck)
    cloud.advance(DAY_S)
    ends = LIFECYCLE.find(state, "expire")
    assert look(cloud, batch)["status"] == (ends.target if ends else state)
    check_world(cloud.world)


# -- the clock


def test_a_batch_takes_ten_seconds_one_per_record_and_ten_more(cloud: Cloud) -> None:
    batch = batch_of(cloud, 3)
    seen = []
    for seconds in (0, 9.999, 0.001, 2.999, 0.001, 9.999, 0.001):
        cloud.advance(seconds)
        seen.append(look(cloud, batch)["status"])
    assert seen == [
        *("validating", "validating", "in_progress", "in_progress"),
        *("finalizing", "finalizing", "completed"),
    ]
    done = look(cloud, batch)
    assert done["completed_at"] - done["created_at"] == 23
    assert done["expires_at"] - done["created_at"] == DAY_S


def test_counts_grow_record_by_record(cloud: Cloud) -> None:
    batch = batch_of(cloud, 3, faulty=1)
    assert look(cloud, batch)["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    cloud.advance(10)
    seen = []
    for _ in range(4):
        counts = look(cloud, batch)["request_counts"]
        seen.append((counts["total"], counts["completed"], counts["failed"]))
        cloud.advance(1)
    assert seen == [(3, 0, 0), (3, 0, 1), (3, 1, 1), (3, 2, 1)]


def test_a_look_changes_nothing(cloud: Cloud) -> None:
    batch = batch_of(cloud)
    cloud.advance(11)
    look(cloud, batch)
    version = cloud.world.version
    look(cloud, batch)
    assert cloud.world.version == version


# -- what is asked for


def test_a_batch_reads_its_records_from_a_file(cloud: Cloud) -> None:
    file = upload(cloud, jsonl(record("a"), record("b")))
    answer = start(cloud, requests=None, input_file_id=file["id"], metadata={"job": "nightly"})
    assert answer.body["input_file_id"] == file["id"]
    assert answer.body["metadata"] == {"job": "nightly"}
    cloud.advance(22)
    assert look(cloud, answer.body)["status"] == "completed"
    assert look(cloud, answer.body)["model"] == MODEL


def test_requests_in_the_body_become_a_file(cloud: Cloud) -> None:
    batch = batch_of(cloud, 2)
    file = cloud.get(f"/v1/files/{batch['input_file_id']}").body
    assert (file["purpose"], file["filename"]) == ("batch", f"{batch['id']}_input.jsonl")
    assert [line["custom_id"] for line in lines(cloud, file["id"])] == ["r0", "r1"]


def test_records_may_leave_the_model_to_the_batch(cloud: Cloud) -> None:
    bare = record("a")
    del bare["body"]["model"]
    answer = start(cloud, bare, model=MODEL)
    cloud.advance(21)
    assert look(cloud, answer.body)["status"] == "completed"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"input_file_id": "file-x"}, "both was given"),
        ({"requests": None}, "neither was given"),
        ({"requests": []}, "empty"),
        ({"requests": None, "input_file_id": "file-x"}, "'file-x' is no input file"),
        ({"endpoint": "/v1/embeddings"}, "/v1/embeddings"),
        ({"completion_window": "1h"}, "1h"),
        ({"model": "gwen3-32b"}, "did you mean 'qwen3-32b'"),
        ({"model": "pixtral-12b"}, "does not serve batches"),
        ({"model": "deepseek-r1"}, "does not serve batches"),
        ({"metadata": {"a": 1}}, "1"),
        ({"metadata": {str(at): "" for at in range(17)}}, "metadata"),
        ({"requests": [1]}, "1"),
    ],
)
def test_a_batch_that_makes_no_sense_is_400(cloud: Cloud, change: dict[str, Any], named: str) -> None:
    version = cloud.world.version
    body = {"endpoint": CHAT, "completion_window": "24h", "requests": [record("a")], **change}
    answer = cloud.post("/v1/batches", {key: value for key, value in body.items() if value is not None})
    assert named in refused(answer, 400)
    assert cloud.world.version == version


def test_a_file_of_results_is_no_input(cloud: Cloud) -> None:
    batch = batch_of(cloud)
    cloud.advance(23)
    output = look(cloud, batch)["output_file_id"]
    assert output in refused(start(cloud, requests=None, input_file_id=output), 400)


def test_an_empty_balance_is_402_in_every_profile_by_the_same_code(open_cloud: Open) -> None:
    for profile in PROFILES:
        cloud = open_cloud(profile=profile)
        cloud.do("balance.debit", name="acme", cents=10_000)
        version = cloud.world.version
        assert "0 cents available" in refused(start(cloud, record("a")), 402, "insufficient_balance")
        assert cloud.world.version == version


# -- results


def test_answers_and_errors_are_in_files_of_their_own(cloud: Cloud) -> None:
    batch = batch_of(cloud, 3, faulty=1)
    cloud.advance(23)
    done = look(cloud, batch)
    output, errors = lines(cloud, done["output_file_id"]), lines(cloud, done["error_file_id"])
    assert [line["custom_id"] for line in output] == ["r1", "r2"]
    assert [line["custom_id"] for line in errors] == ["r0"]
    body = output[0]["response"]["body"]
    assert (output[0]["response"]["status_code"], body["model"]) == (200, MODEL)
    assert body["usage"]["total_tokens"] == sum(
        body["usage"][name] for name in ("prompt_tokens", "completion_tokens")
    )
    assert len(body["choices"][0]["message"]["content"].split()) == body["usage"]["completion_tokens"]
    assert errors[0]["response"]["status_code"] == 400
    assert cloud.get(f"/v1/files/{done['output_file_id']}").body["purpose"] == "batch_output"
    assert cloud.get(f"/v1/files/{done['error_file_id']}").body["purpose"] == "batch_error"


def test_an_answer_ends_at_max_tokens(cloud: Cloud) -> None:
    answer = start(cloud, record("a", max_tokens=3))
    cloud.advance(21)
    (line,) = lines(cloud, look(cloud, answer.body)["output_file_id"])
    (choice,) = line["response"]["body"]["choices"]
    assert (choice["finish_reason"], len(choice["message"]["content"].split())) == ("length", 3)


def test_completions_answer_with_text(cloud: Cloud) -> None:
    line = {
        "custom_id": "a",
        "url": "/v1/completions",
        "method": "POST",
        "body": {"model": MODEL, "prompt": "hi"},
    }
    answer = start(cloud, line, endpoint="/v1/completions")
    cloud.advance(21)
    (found,) = lines(cloud, look(cloud, answer.body)["output_file_id"])
    assert found["response"]["body"]["object"] == "text_completion"
    assert found["response"]["body"]["choices"][0]["text"]


@pytest.mark.parametrize(
    "body", [{"messages": "hi"}, {"messages": [1]}, {"stream": True}, {"max_tokens": 0}, {"max_tokens": "x"}]
)
def test_a_record_that_no_model_answers_fails_alone(cloud: Cloud, body: dict[str, Any]) -> None:
    answer = start(cloud, record("good"), record("bad", **body))
    cloud.advance(22)
    done = look(cloud, answer.body)
    assert (done["status"], done["request_counts"]["failed"]) == ("completed", 1)
    (line,) = lines(cloud, done["error_file_id"])
    assert next(iter(body)) in line["response"]["body"]["error"]["message"]


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (b"{", "truncated"),
        (b"[" * 5000, "line"),
        (b"\xff", "line"),
        (b"[]", "object"),
        (b"{}", "custom_id"),
        (jsonl({**record("b"), "url": "/v1/completions"}).strip(), "/v1/completions"),
        (jsonl({**record("b"), "method": "GET"}).strip(), "GET"),
        (jsonl(record("a")).strip(), "comes twice"),
        (jsonl(record("b", model="pixtral-12b")).strip(), "pixtral-12b"),
        (jsonl(record("b", model=7)).strip(), "model 7"),
        (jsonl({**record("b"), "custom_id": ""}).strip(), "custom_id"),
    ],
)
def test_a_file_that_cannot_be_read_fails_the_batch_and_says_where(
    cloud: Cloud, bad: bytes, named: str
) -> None:
    file = upload(cloud, jsonl(record("a")) + bad + b"\n")
    answer = start(cloud, requests=None, input_file_id=file["id"])
    cloud.advance(10)
    done = look(cloud, answer.body)
    assert (done["status"], done["usage"]["cost_nano_usd"]) == ("failed", 0)
    (fault,) = lines(cloud, done["error_file_id"])
    assert fault["line"] == 2
    assert named in str(fault)
    assert done["failed_at"] - done["created_at"] == 10


def test_a_file_of_nothing_but_faults_lists_the_first_hundred(cloud: Cloud) -> None:
    file = upload(cloud, b"x\n" * 500)
    batch = start(cloud, requests=None, input_file_id=file["id"]).body
    cloud.advance(10)
    assert len(lines(cloud, look(cloud, batch)["error_file_id"])) == 100


def test_the_input_may_expire_while_the_batch_works(cloud: Cloud) -> None:
    file = upload(cloud, jsonl(record("a")))
    cloud.advance(30 * DAY_S - 5)
    batch = start(cloud, requests=None, input_file_id=file["id"]).body
    cloud.advance(21)
    refused(cloud.get(f"/v1/files/{file['id']}"), 404)
    assert look(cloud, batch)["status"] == "completed"


def test_the_same_records_get_the_same_answers_in_any_world(open_cloud: Open) -> None:
    def results(seed: int) -> list[Any]:
        cloud = open_cloud(seed=seed)
        batch = batch_of(cloud, 4)
        cloud.advance(24)
        return lines(cloud, look(cloud, batch)["output_file_id"])

    assert results(1) == results(2)


# -- who hears of it


@pytest.mark.parametrize("state", ["completed", "failed", "expired", "cancelled"])
def test_the_end_of_a_batch_is_told(open_cloud: Open, state: str) -> None:
    peculiar, seconds = REACHED[state]
    cloud = open_cloud(**(peculiar if peculiar is SLOW else {}))
    hook_of(cloud)
    records = [{**record(name), **({} if peculiar is SLOW else peculiar)} for name in "abc"]
    batch = start(cloud, *records).body
    cloud.advance(seconds)
    if state == "cancelled":
        cancel(cloud, batch)
        cloud.advance(10)
    assert cloud.mailbox.types() == [f"batch.{state}"]
    done, (body,) = look(cloud, batch), cloud.mailbox.bodies()
    assert body["data"] == {
        "batch_id": batch["id"],
        "status": state,
        "request_counts": done["request_counts"],
        "cost_nano_usd": done["usage"]["cost_nano_usd"],
        "output_file_id": done.get("output_file_id"),
        "error_file_id": done.get("error_file_id"),
    }


# -- cost


def test_a_batch_costs_half_the_price_of_its_tokens(open_cloud: Open) -> None:
    for percent in (50, 100, 0):
        cloud = open_cloud(batches__price_percent=percent)
        batch = batch_of(cloud, 3, faulty=1)
        cloud.advance(23)
        usage = look(cloud, batch)["usage"]
        assert (
            usage["cost_nano_usd"]
            == (usage["input_tokens"] * 100 + usage["output_tokens"] * 300) * percent // 100
        )


def test_work_done_before_a_cancel_is_billed_and_no_more(cloud: Cloud) -> None:
    whole, half = batch_of(cloud, 4), batch_of(cloud, 4)
    cloud.advance(12)
    cancel(cloud, half)
    cloud.advance(20)
    all_four, first_two = look(cloud, whole), look(cloud, half)
    assert first_two["request_counts"] == {"total": 4, "completed": 2, "failed": 0}
    assert 0 < first_two["usage"]["cost_nano_usd"] < all_four["usage"]["cost_nano_usd"]
    assert lines(cloud, first_two["output_file_id"]) == [
        {**line, "response": {**line["response"], "body": {**line["response"]["body"], "created": created}}}
        for line, created in zip(
            lines(cloud, all_four["output_file_id"])[:2], [first_two["cancelled_at"]] * 2, strict=True
        )
    ]


def test_a_batch_cancelled_before_it_worked_costs_nothing(cloud: Cloud) -> None:
    batch = batch_of(cloud)
    cancel(cloud, batch)
    cloud.advance(10)
    done = look(cloud, batch)
    assert done["usage"] == {"input_tokens": 0, "output_tokens": 0, "cost_nano_usd": 0}
    assert "output_file_id" not in done


# -- lists


def test_batches_are_paged_by_the_last_id(cloud: Cloud) -> None:
    ids = [batch_of(cloud, 1)["id"] for _ in range(5)]
    ids.sort(reverse=True)
    seen, query = [], "limit=2"
    while True:
        page = cloud.get(f"/v1/batches?{query}").body
        seen += [batch["id"] for batch in page["data"]]
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
        if not page["has_more"]:
            break
        query = f"limit=2&after={page['last_id']}"
    assert seen == ids
    empty = cloud.get(f"/v1/batches?after={seen[-1]}").body
    assert empty == {"object": "list", "data": [], "has_more": False}


def test_twenty_batches_are_listed_unless_asked_otherwise(cloud: Cloud) -> None:
    for _ in range(22):
        batch_of(cloud, 1)
    assert len(cloud.get("/v1/batches").body["data"]) == 20
    assert len(cloud.get("/v1/batches?limit=100").body["data"]) == 22


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "after=batch_x"])
def test_a_page_that_cannot_be_meant_is_400(cloud: Cloud, query: str) -> None:
    refused(cloud.get(f"/v1/batches?{query}"), 400)


# -- access


def calls(cloud: Cloud, batch: str, file: str) -> list[Answer]:
    """Every call of batches and files, each with a body that would do."""
    return [
        cloud.get("/v1/batches"),
        start(cloud, record("a")),
        cloud.get(f"/v1/batches/{batch}"),
        cloud.post(f"/v1/batches/{batch}/cancel"),
        send(cloud, b"{}"),
        cloud.post("/v1/files/presign", {"bytes": 1}),
        cloud.get(f"/v1/files/{file}"),
        cloud.post(f"/v1/files/{file}/complete"),
        cloud.get(f"/v1/files/{file}/content"),
    ]


def test_without_batch_access_there_is_nothing(cloud: Cloud) -> None:
    batch = batch_of(cloud)
    cloud.do("org.set_feature", name="acme", feature="batch", enabled=False)
    version = cloud.world.version
    for answer in calls(cloud, batch["id"], batch["input_file_id"]):
        refused(answer, 404, "not_found")
    refused(cloud.post("/v1/batches", b"{"), 404)
    assert cloud.world.version == version
    (organization,) = cloud.get("/v1/me").body["organizations"]
    assert organization["features"] == {"batch": False, "publicEndpoint": False}


def test_access_can_come_back_and_batches_went_on_meanwhile(cloud: Cloud) -> None:
    batch = batch_of(cloud)
    for enabled in (False, True, True):
        cloud.do("org.set_feature", name="acme", feature="batch", enabled=enabled)
        cloud.advance(30)
    assert look(cloud, batch)["status"] == "completed"


def test_a_fixture_may_leave_batch_access_out(open_cloud: Open, tmp_path) -> None:
    file = tmp_path / "mine.yaml"
    member = "{email: ada@acme.example, role: owner}"
    file.write_text(
        "extends: default\n"
        f"organizations+: [{{slug: new, name: New, features: [], members: [{member}], keys: [{{name: k}}]}}]"
    )
    cloud = open_cloud(str(file))
    refused(cloud.get("/v1/batches", key=access.fixed_secret("default", "vl_", "k")), 404)


def test_while_the_batch_api_is_down_nothing_is_created_or_cancelled_and_the_rest_goes_on(
    cloud: Cloud,
) -> None:
    batch = batch_of(cloud)
    for _ in range(2):
        cloud.do("batch.set_available", available=False)
        refused(start(cloud, record("r")), 503, "unavailable")
        refused(cloud.post(f"/v1/batches/{batch['id']}/cancel"), 503, "unavailable")
    cloud.advance(60)
    assert look(cloud, batch)["status"] == "completed"
    cloud.do("batch.set_available", available=True)
    assert start(cloud, record("r")).status == 200


def test_another_organizations_batch_is_404(cloud: Cloud) -> None:
    batch = batch_of(cloud)
    globex = next(secret for key, secret in access.fixture_keys(cloud.world) if key.name == "globex")
    refused(cloud.get(f"/v1/batches/{batch['id']}", key=globex), 404)
    refused(cloud.post(f"/v1/batches/{batch['id']}/cancel", key=globex), 404)
    refused(cloud.get(f"/v1/batches?after={batch['id']}", key=globex), 400)
