"""Files of the Batch API: sent as a form, or put to a signed address, and kept for 30 days [2026-07].

A file holds one record per line. It is taken as it comes, up to 200 MB and 50,000 lines; what is wrong with
a record shows when a batch looks at it. A signed address is one of the simulator's own and holds for 15
minutes; the file is there once the upload has been completed.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, ClassVar

from simulator.domain import access, multipart
from simulator.domain.multipart import Part
from simulator.kernel.clock import Grade
from simulator.kernel.instant import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, iso
from simulator.kernel.operation import Area, Call, Content
from simulator.kernel.refusal import Refusal
from simulator.kernel.streams import BASE62
from simulator.kernel.world import Index, Row, World

MOST_BYTES = 200 << 20
MOST_RECORDS = 50_000
KEPT_MS = 30 * DAY_MS
ADDRESS_MS = 15 * MINUTE_MS
COMPLETED_WITHIN_MS = DAY_MS
"""After that an upload that nobody completed is forgotten [choice]."""
LONGEST_NAME = 255
DEFAULT_NAME = "upload.jsonl"
UPLOADS = "/_sim/uploads/"
"""Where signed addresses lead: a path of the simulator, for the contract has none."""

area = Area("Files", scope="inference", feature="batch")


class File(Row, frozen=True, kw_only=True):
    """A file as it was sent or made."""

    organization_id: str
    filename: str
    purpose: str
    """batch, batch_output or batch_error."""
    content: bytes
    expires_at_ms: int


class Upload(Row, frozen=True, kw_only=True):
    """The sending of a file, of the same id; through a form it is completed at once."""

    indexes: ClassVar = {
        "organization": Index(lambda upload: upload.organization_id),
        "token": Index(lambda upload: upload.digest or None),
    }

    organization_id: str
    filename: str
    size: int
    """Bytes that were announced."""
    digest: str = ""
    """Of the token in the signed address; the token itself is not kept."""
    content: bytes | None = None
    """What was put to the address, until the upload is completed."""
    completed: bool = False


# -- operations --------------------------------------------------------------------------------------------


@area.operation("uploadFile", write=True, effects="kept for 30 days")
def upload_file(call: Call) -> dict[str, Any]:
    """A form with `purpose` and `file` [2026-07]; its other fields are ignored [choice]."""
    world, organization_id = call.world, call.organization_id
    form = multipart.read_form(call.headers.get("content-type", ""), call.body)
    sent = _field(form, "file")
    purpose = _field(form, "purpose").content.decode(errors="replace")
    if purpose != "batch":
        raise Refusal("bad_request", f"purpose {purpose[:80]!r} is unknown; known is batch")
    check_content(sent.content, "payload_too_large")
    _check_rate(world, organization_id)
    name = _name(sent.filename)
    file = add(world, organization_id, name, sent.content)
    _put_upload(world, file.id, organization_id, name, len(sent.content), completed=True)
    return _file(file)


@area.operation("presignFileUpload", write=True, effects="an address for 15 minutes")
def presign_file_upload(call: Call) -> dict[str, Any]:
    """The id of the file to come, and where to PUT it. Exactly the bytes announced are taken [choice]."""
    world, organization_id, size = call.world, call.organization_id, call.body["bytes"]
    if not 1 <= size <= MOST_BYTES:
        raise Refusal("bad_request", f"bytes {size} is out of bounds; take 1 to {MOST_BYTES}")
    _check_rate(world, organization_id)
    token = access.mint(world, "upl_", "upload")
    name = _name(call.body.get("filename", ""))
    file_id = _new_id(world)
    upload = _put_upload(world, file_id, organization_id, name, size, digest=access.digest(token))
    forgotten_ms = world.now_ms + COMPLETED_WITHIN_MS
    world.clock.at(forgotten_ms, "file.forget", (file_id,), cause=world.cause, grade=Grade.calendar)
    ends_ms = upload.created_at_ms + ADDRESS_MS
    return {
        "file_id": file_id,
        "put_url": call.origin + UPLOADS + token,
        "expires_at": ends_ms // SECOND_MS,
    }


@area.operation("getFile", finds=File)
def get_file(call: Call, file: File) -> dict[str, Any]:
    """What is known of it, without its content."""
    return _file(file)


@area.operation("completeFileUpload", write=True, finds=Upload, effects="kept for 30 days")
def complete_file_upload(call: Call, upload: Upload) -> dict[str, Any]:
    """Completing again answers the same file [2026-07]."""
    world = call.world
    if upload.completed:
        return _file(world.get(File, upload.id))
    if upload.content is None:
        raise Refusal("bad_request", f"nothing was put to the address of {upload.id} yet")
    check_content(upload.content, "bad_request")
    world.change(upload, content=None, completed=True)
    return _file(add(world, upload.organization_id, upload.filename, upload.content, file_id=upload.id))


@area.operation("getFileContent", finds=File)
def get_file_content(call: Call, file: File) -> Content:
    """The bytes as they were uploaded, or the results of a batch."""
    return Content(file.content, "application/octet-stream")


# -- rows --------------------------------------------------------------------------------------------------


def add(world: World, organization_id: str, filename: str, content: bytes, **more: str) -> File:
    """Keep a file for 30 days; `more` may give its `file_id` and its `purpose`."""
    file = world.put(
        File(
            id=more.get("file_id") or _new_id(world),
            created_at_ms=world.now_ms,
            organization_id=organization_id,
            filename=filename,
            purpose=more.get("purpose", "batch"),
            content=content,
            expires_at_ms=world.now_ms + KEPT_MS,
        )
    )
    args = (file.id,)
    world.clock.at(file.expires_at_ms, "file.expire", args, cause=world.cause, grade=Grade.calendar)
    return file


def records(content: bytes) -> list[bytes]:
    """The lines of a file that hold something."""
    return [line for line in content.split(b"\n") if not line.isspace() and line]


def _new_id(world: World) -> str:
    return "file-" + world.streams.text("file", 24, BASE62)


def _put_upload(
    world: World, file_id: str, organization_id: str, name: str, size: int, **more: Any
) -> Upload:
    return world.put(
        Upload(
            id=file_id,
            created_at_ms=world.now_ms,
            organization_id=organization_id,
            filename=name,
            size=size,
            **more,
        )
    )


# -- checks ------------------------------------------------------------------------------------------------


def _field(form: dict[str, Part], name: str) -> Part:
    if name not in form:
        given = ", ".join(form) or "none"
        raise Refusal("bad_request", f"field {name!r} is missing; given were {given[:80]}")
    return form[name]


def check_content(content: bytes, too_large: str) -> None:
    """Not empty, and within the limits; `too_large` is the code that refuses what exceeds them."""
    if len(content) > MOST_BYTES:
        raise Refusal(too_large, f"the file has {len(content)} bytes; {MOST_BYTES} at most")
    count = len(records(content))
    if count > MOST_RECORDS:
        raise Refusal(too_large, f"the file has {count} records; {MOST_RECORDS} at most")
    if not count:
        raise Refusal("bad_request", "the file is empty; it holds one record per line")


def _check_rate(world: World, organization_id: str) -> None:
    """Too many uploads are refused for a while [2026-07; figures choice]."""
    most = world.settings.whole("files.uploads_per_hour")
    bucket = world.bucket(Upload, "organization", organization_id)
    first = bisect_left(bucket, (world.now_ms - HOUR_MS + 1,))
    if len(bucket) - first >= most:
        free_ms = bucket[len(bucket) - most][0] + HOUR_MS
        seconds = -(-(free_ms - world.now_ms) // SECOND_MS)
        message = f"{most} files were sent within an hour; the next may come at {iso(free_ms)}"
        raise Refusal("rate_limited", message, retry_after_s=seconds)


def _name(given: str) -> str:
    """A file's name without the folders that some clients send along."""
    name = given.replace("\\", "/").rpartition("/")[2][-LONGEST_NAME:]
    return name if name.isprintable() and name else DEFAULT_NAME


# -- signed addresses --------------------------------------------------------------------------------------


def receive(world: World, token: str, content: bytes) -> None:
    """Something was put to a signed address; until the upload is completed it may be put again [choice]."""
    upload = world.first(Upload, "token", access.digest(token))
    if upload is None:
        raise Refusal("not_found", "no upload has this address; POST /v1/files/presign gives one")
    if world.now_ms >= upload.created_at_ms + ADDRESS_MS:
        ended = iso(upload.created_at_ms + ADDRESS_MS)
        raise Refusal("forbidden", f"the address of {upload.id} held until {ended}")
    if upload.completed:
        raise Refusal("conflict", f"{upload.id} has been completed")
    if len(content) != upload.size:
        raise Refusal("bad_request", f"{len(content)} bytes were sent, {upload.size} were announced")
    world.change(upload, content=content)


# -- timers ------------------------------------------------------------------------------------------------


@area.timer("file.expire")
def expire(world: World, file_id: str) -> None:
    """The 30 days are over."""
    world.delete(world.get(File, file_id))
    upload = world.find(Upload, file_id)
    if upload:
        world.delete(upload)


@area.timer("file.forget")
def forget(world: World, file_id: str) -> None:
    """Nobody completed an upload within a day."""
    upload = world.find(Upload, file_id)
    if upload and not upload.completed:
        world.delete(upload)


# -- views -------------------------------------------------------------------------------------------------


def _file(file: File) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": len(file.content),
        "created_at": file.created_at_ms // SECOND_MS,
        "filename": file.filename,
        "purpose": file.purpose,
        "expires_at": file.expires_at_ms // SECOND_MS,
    }
