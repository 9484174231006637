"""Forms with files: multipart/form-data as browsers, curl and HTTP libraries write it (RFC 7578)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import msgspec

from simulator.kernel.refusal import Refusal

MOST_PARTS = 20
LONGEST_HEAD = 8192

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s";]{1,70}))', re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([a-z*]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s";]*))', re.IGNORECASE)


class Part(msgspec.Struct, frozen=True):
    """One field of a form; `filename` is "" unless it is a file."""

    name: str
    filename: str
    content: bytes


def read_form(content_type: str, body: bytes) -> dict[str, Part]:
    """The parts of a form by name. Raises Refusal `bad_request` with what is wrong with it."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise _malformed(f"content-type {content_type[:80]!r} names no boundary")
    form: dict[str, Part] = {}
    for head, content in _split(body, (found[1] or found[2]).encode()):
        part = _part(head, content)
        if part.name in form:
            raise _malformed(f"field {part.name[:80]!r} comes twice")
        form[part.name] = part
        if len(form) > MOST_PARTS:
            raise _malformed(f"it has more than {MOST_PARTS} fields")
    return form


def _split(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Head and content of each part. What stands before the first and after the last counts for nothing."""
    delimiter = b"\r\n--" + boundary
    begin = -2 if body.startswith(delimiter[2:]) else _find(body, delimiter, 0)
    at = begin + len(delimiter)
    while not body.startswith(b"--", at):
        line_end = _find(body, b"\r\n", at)
        if body[at:line_end].strip(b" \t"):
            raise _malformed("a boundary does not end its line")
        head_end = body.find(b"\r\n\r\n", line_end, line_end + LONGEST_HEAD)
        if head_end < 0:
            raise _malformed("the head of a part has no end")
        end = _find(body, delimiter, head_end + 2)
        yield body[line_end + 2 : head_end], body[head_end + 4 : end]
        at = end + len(delimiter)


def _find(body: bytes, what: bytes, start: int) -> int:
    at = body.find(what, start)
    if at < 0:
        raise _malformed("it ends before its last boundary")
    return at


def _part(head: bytes, content: bytes) -> Part:
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        raise _malformed("the head of a part is not UTF-8") from None
    disposition = next((line for line in lines if line.lower().startswith("content-disposition:")), "")
    values = {
        found[1].lower(): found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
        for found in _PARAMETER.finditer(disposition)
    }
    if "name" not in values:
        raise _malformed("a part has no name in its Content-Disposition")
    extended = values.get("filename*", "").rpartition("'")[2]
    return Part(values["name"], unquote(extended) or values.get("filename", ""), content)


def _malformed(what: str) -> Refusal:
    return Refusal("bad_request", f"the form cannot be read: {what}")
