"""Files of the Batch API: forms, signed addresses, limits, and their end after 30 days."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain import access
from simulator.kernel.refusal import Refusal
from simulator.resources import files
from simulator.resources.files import File, Upload
from tests.support.batches import BOUNDARY, MULTIPART, form, jsonl, lines, record, send, upload
from tests.support.cloud import Answer, Cloud
from tests.support.people import refused

DAY_S = 86_400
LINE = b'{"custom_id": "a"}\n'


def presign(cloud: Cloud, size: int = len(LINE), **body: Any) -> dict[str, Any]:
    answer = cloud.post("/v1/files/presign", {"bytes": size, **body}, host="localhost:8080")
    assert answer.status == 200, answer
    minted: dict[str, Any] = answer.body
    return minted


def put(cloud: Cloud, minted: dict[str, Any], content: bytes = LINE) -> None:
    """What the control surface does with a PUT."""
    files.receive(cloud.world, minted["put_url"].rpartition("/")[2], content)


def complete(cloud: Cloud, minted: dict[str, Any]) -> Answer:
    return cloud.post(f"/v1/files/{minted['file_id']}/complete")


# -- forms


def test_a_file_comes_back_as_it_was_sent(cloud: Cloud) -> None:
    content = jsonl(record("a"), record("b")) + b"\r\nnot json, \xff, --" + BOUNDARY.encode() + b"\n"
    file = upload(cloud, content)
    assert file["id"].startswith("file-")
    assert (file["object"], file["bytes"], file["purpose"]) == ("file", len(content), "batch")
    assert file["filename"] == "in.jsonl"
    assert file["expires_at"] - file["created_at"] == 30 * DAY_S
    assert cloud.get(f"/v1/files/{file['id']}").body == file
    answer = cloud.get(f"/v1/files/{file['id']}/content")
    assert (answer.body, answer.headers["Content-Type"]) == (content, "application/octet-stream")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"purpose": b"batch"}, "'file' is missing; given were purpose"),
        ({"file": LINE}, "'purpose' is missing"),
        ({"purpose": b"fine-tune", "file": LINE}, "'fine-tune' is unknown"),
        ({"purpose": b"\xff", "file": LINE}, "is unknown"),
        ({"purpose": b"batch", "file": b""}, "empty"),
        ({"purpose": b"batch", "file": b" \r\n\n\t\n"}, "empty"),
    ],
)
def test_a_form_that_makes_no_sense_is_400(cloud: Cloud, fields: dict[str, bytes], named: str) -> None:
    version = cloud.world.version
    answer = cloud.call("POST", "/v1/files", form(**fields), content_type=MULTIPART)
    assert named in refused(answer, 400)
    assert cloud.world.version == version


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "text/plain", None])
def test_a_body_that_is_no_form_is_400(cloud: Cloud, content_type: str | None) -> None:
    headers = {"content_type": content_type} if content_type else {}
    refused(cloud.call("POST", "/v1/files", form(purpose=b"batch", file=LINE), **headers), 400)


def test_a_record_too_many_is_413(cloud: Cloud) -> None:
    assert send(cloud, b"{}\n" * 50_000).status == 200
    assert "50001 records" in refused(send(cloud, b"{}\n" * 50_001), 413)


def test_a_byte_too_many_is_413(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 20)
    assert send(cloud, b"x" * 20).status == 200
    assert "21 bytes" in refused(send(cloud, b"x" * 21), 413)


def test_blank_lines_are_no_records() -> None:
    assert files.records(b"a\n\n \r\nb") == [b"a", b"b"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.jsonl", "a.jsonl"),
        ("C:\\data\\a.jsonl", "a.jsonl"),
        ("../../etc/passwd", "passwd"),
        ("", "upload.jsonl"),
        ("a\u0007", "upload.jsonl"),
        ("x" * 300, "x" * 255),
        ("Montréal.jsonl", "Montréal.jsonl"),
    ],
)
def test_a_file_keeps_its_name_without_folders(cloud: Cloud, given: str, kept: str) -> None:
    minted = presign(cloud, filename=given)
    put(cloud, minted)
    assert complete(cloud, minted).body["filename"] == kept


# -- signed addresses


def test_a_file_put_to_a_signed_address_is_there_once_completed(cloud: Cloud) -> None:
    minted = presign(cloud)
    assert minted["put_url"].startswith("http://localhost:8080/_sim/uploads/")
    assert minted["expires_at"] == 1781514000 + 900
    refused(cloud.get(f"/v1/files/{minted['file_id']}"), 404)
    assert "nothing was put" in refused(complete(cloud, minted), 400)
    put(cloud, minted, b"x" * len(LINE))
    put(cloud, minted)
    first = complete(cloud, minted)
    assert first.status == 200
    assert first.body["id"] == minted["file_id"]
    assert cloud.get(f"/v1/files/{minted['file_id']}/content").body == LINE
    cloud.advance(5)
    assert complete(cloud, minted).body == first.body, "completing again is the same"
    with pytest.raises(Refusal, match="has been completed"):
        put(cloud, minted)


def test_the_address_follows_the_callers_host(cloud: Cloud) -> None:
    answer = cloud.post("/v1/files/presign", {"bytes": 1}, host="sim.example", x_forwarded_proto="https")
    assert answer.body["put_url"].startswith("https://sim.example/_sim/uploads/upl_")


def test_an_address_holds_for_15_minutes(cloud: Cloud) -> None:
    minted = presign(cloud)
    cloud.advance(900 - 0.001)
    put(cloud, minted)
    cloud.advance(0.001)
    with pytest.raises(Refusal, match="held until 2026-06-15T09:15") as caught:
        put(cloud, minted)
    assert caught.value.status(cloud.world.settings) == 403
    assert complete(cloud, minted).status == 200, "what was put in time can be completed"


def test_only_what_was_announced_is_taken(cloud: Cloud) -> None:
    minted = presign(cloud, size=5)
    for content in (b"1234", b"123456"):
        with pytest.raises(Refusal, match="5 were announced"):
            put(cloud, minted, content)
    with pytest.raises(Refusal, match="no upload has this address"):
        files.receive(cloud.world, "upl_unknown", b"x")


@pytest.mark.parametrize("size", [0, -1, (200 << 20) + 1, 2**63 - 1])
def test_a_size_out_of_bounds_is_400(cloud: Cloud, size: int) -> None:
    assert str(size) in refused(cloud.post("/v1/files/presign", {"bytes": size}), 400)


def test_an_empty_upload_is_refused_when_completed(cloud: Cloud) -> None:
    minted = presign(cloud, size=2)
    put(cloud, minted, b"\n\n")
    assert "empty" in refused(complete(cloud, minted), 400)


def test_an_upload_that_nobody_completes_is_forgotten_after_a_day(cloud: Cloud) -> None:
    minted = presign(cloud)
    put(cloud, minted)
    cloud.advance(DAY_S)
    refused(complete(cloud, minted), 404)
    assert cloud.rows(Upload) == []


def test_the_token_of_an_address_is_not_kept(cloud: Cloud) -> None:
    token = presign(cloud)["put_url"].rpartition("/")[2]
    assert all(token not in str(row) for row in cloud.rows(Upload))
    assert all(token not in str(entry) for entry in cloud.world.journal)


# -- the end, and too many


def test_a_file_is_kept_for_30_days(cloud: Cloud) -> None:
    file = upload(cloud, LINE)
    cloud.advance(30 * DAY_S - 1)
    assert cloud.get(f"/v1/files/{file['id']}").status == 200
    cloud.advance(1)
    for path in (f"/v1/files/{file['id']}", f"/v1/files/{file['id']}/content"):
        refused(cloud.get(path), 404)
    refused(cloud.post(f"/v1/files/{file['id']}/complete"), 404)
    assert (cloud.rows(File), cloud.rows(Upload)) == ([], [])


def test_too_many_uploads_are_429_and_say_when_the_next_may_come(open_cloud: Callable[..., Cloud]) -> None:
    cloud = open_cloud(files__uploads_per_hour=2)
    upload(cloud, LINE)
    cloud.advance(600)
    presign(cloud)
    answer = send(cloud, LINE)
    refused(answer, 429, "rate_limited")
    assert answer.headers["Retry-After"] == "3000"
    refused(cloud.post("/v1/files/presign", {"bytes": 1}), 429)
    cloud.advance(3000)
    assert send(cloud, LINE).status == 200


def test_another_organizations_file_is_404(cloud: Cloud) -> None:
    file = upload(cloud, LINE)
    globex = next(secret for key, secret in access.fixture_keys(cloud.world) if key.name == "globex")
    for path in (f"/v1/files/{file['id']}", f"/v1/files/{file['id']}/content"):
        refused(cloud.get(path, key=globex), 404, "not_found")
    refused(cloud.post(f"/v1/files/{file['id']}/complete", key=globex), 404)


def test_the_key_may_come_as_x_api_key(cloud: Cloud) -> None:
    file = upload(cloud, LINE)
    assert cloud.get(f"/v1/files/{file['id']}", key="", x_api_key=cloud.key).status == 200


def test_what_cannot_be_decoded_still_comes_back(cloud: Cloud) -> None:
    file = upload(cloud, jsonl({"custom_id": "é"}))
    assert lines(cloud, file["id"]) == [{"custom_id": "é"}]
