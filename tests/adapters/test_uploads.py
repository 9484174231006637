"""Files over HTTP: forms and signed addresses, with bodies larger than any other call may have."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from simulator.adapters.web import BATCH_LIMIT, BODY_LIMIT
from tests.support.batches import CHAT, MULTIPART, form, jsonl, record
from tests.support.http import Client, Heard
from tests.support.surface import Surface, refused

CONTENT = jsonl(record("a"))


def presign(client: Client, size: int) -> tuple[str, str]:
    """The id of the file to come, and the path of its address."""
    heard = client.post("/v1/files/presign", {"bytes": size})
    assert heard.status == 200, heard
    return heard.body["file_id"], urlsplit(heard.body["put_url"]).path


def put(client: Client, path: str, body: bytes, **headers: str) -> Heard:
    """As a client that knows nothing but the address."""
    return client.send("PUT", path, headers, body)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/octet-stream"},
        {"Content-Type": "application/json"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "anything at all"},
        {"Authorization": "Bearer unknown"},
    ],
)
def test_a_signed_address_takes_a_put_without_a_credential(client: Client, headers: dict[str, str]) -> None:
    file_id, path = presign(client, len(CONTENT))
    heard = put(client, path, CONTENT, **headers)
    assert (heard.status, heard.raw) == (200, b"")
    assert client.post(f"/v1/files/{file_id}/complete").status == 200
    heard = client.get(f"/v1/files/{file_id}/content")
    assert (heard.raw, heard.headers["content-type"]) == (CONTENT, "application/octet-stream")


def test_what_does_not_fit_the_address_is_refused(sim: Surface) -> None:
    _, path = presign(sim, len(CONTENT))
    refused(put(sim, path, CONTENT + b"x"), 400, "bad_request", str(len(CONTENT)))
    refused(put(sim, path, b""), 400, "bad_request", "missing")
    refused(put(sim, "/_sim/uploads/upl_unknown", CONTENT), 404, "not_found")
    refused(sim.send("GET", path, {}, b""), 405, "method_not_allowed")
    sim.simulator.advance(900)
    refused(put(sim, path, CONTENT), 403, "forbidden", "held until")


def test_an_address_is_open_where_the_surface_asks_for_a_token() -> None:
    sim = Surface(control_token="s3cret")
    file_id, path = presign(sim, len(CONTENT))
    assert put(sim, path, CONTENT).status == 200
    assert sim.post(f"/v1/files/{file_id}/complete").status == 200


def test_an_address_leads_to_the_world_of_its_key(sim: Surface) -> None:
    other = sim.post("/_sim/worlds", {"name": "other"}).body
    heard = sim.post("/v1/files/presign", {"bytes": 1}, authorization=f"Bearer {other['apiKey']}")
    assert put(sim, urlsplit(heard.body["put_url"]).path, b"x").status == 200
    (action,) = sim.get("/_sim/journal?world=other&kind=action").body["items"]
    assert action["facts"] == {"name": "file.put", "arguments": {"bytes": 1}}
    assert sim.get("/_sim/journal?kind=action").body["items"] == []


def test_an_upload_may_be_larger_than_other_bodies(client: Client) -> None:
    content = CONTENT + b" " * BODY_LIMIT
    heard = client.post("/v1/files", form(purpose=b"batch", file=content), content_type=MULTIPART)
    assert (heard.status, heard.body["bytes"]) == (200, len(content))
    _, path = presign(client, len(content))
    assert put(client, path, content).status == 200


def test_a_batch_may_bring_its_requests_along_up_to_its_own_limit(client: Client) -> None:
    def create(size: int) -> Heard:
        body = {"endpoint": CHAT, "completion_window": "24h", "requests": [record("a")]}
        return client.post(
            "/v1/batches", json.dumps(body).encode().ljust(size), content_type="application/json"
        )

    assert create(BODY_LIMIT + 1).status == 200
    heard = create(BATCH_LIMIT + 1)
    assert (heard.status, heard.body["error"]["code"]) == (413, "payload_too_large")
