"""Lists in pages. A page boundary is a position, never an offset: inserts do not shift it [choice]."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left
from collections.abc import Hashable
from hashlib import blake2b
from typing import TypeVar

import msgspec

from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Row, World

DEFAULT_LIMIT = 50
MAX_LIMIT = 100

R = TypeVar("R", bound=Row)


class _Cursor(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    t: int
    c: str


def encode_cursor(scope: str, created_at_ms: int, row_id: str) -> str:
    """base64url of {"id","t","c"}; the checksum ties it to one list, so a changed or foreign cursor shows."""
    check = _checksum(scope, created_at_ms, row_id)
    return urlsafe_b64encode(msgspec.json.encode(_Cursor(row_id, created_at_ms, check))).decode().rstrip("=")


def decode_cursor(scope: str, cursor: str) -> tuple[int, str]:
    """The position (created_at_ms, id) of a cursor this list has given out; anything else is refused."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found = msgspec.json.decode(urlsafe_b64decode(padded), type=_Cursor)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        found = None
    if found is None or encode_cursor(scope, found.t, found.id) != cursor:
        shown = cursor if len(cursor) <= 80 else cursor[:77] + "..."
        raise Refusal(
            "bad_request",
            f"cursor {shown!r} was not given out by this list; "
            "pass nextCursor on unchanged, or leave it out to start over",
        )
    return found.t, found.id


def clamp_limit(limit: int | None, default: int = DEFAULT_LIMIT, maximum: int = MAX_LIMIT) -> int:
    """Absent gives the default; under 1 is refused; over the maximum is cut to it [choice]."""
    if limit is None:
        return default
    if limit < 1:
        raise Refusal("bad_request", f"limit {limit} is under 1; take 1 to {maximum}")
    return min(limit, maximum)


def newest_first(
    world: World, kind: type[R], where: tuple[str, Hashable], limit: int, cursor: str | None = None
) -> tuple[list[R], str | None]:
    """One page of the rows of an index and key, and the cursor of the next page, None on the last.

    It costs the page, not the table.
    """
    index, key = where
    bucket = world.bucket(kind, index, key)
    scope = f"{kind.__name__}/{index}/{key}"
    end = bisect_left(bucket, decode_cursor(scope, cursor)) if cursor else len(bucket)
    begin = max(0, end - limit)
    rows = [world.get(kind, entry[-1]) for entry in reversed(bucket[begin:end])]
    return rows, encode_cursor(scope, *bucket[begin]) if begin > 0 else None


def _checksum(scope: str, created_at_ms: int, row_id: str) -> str:
    return blake2b(f"{scope}\0{created_at_ms}\0{row_id}".encode(), digest_size=6).hexdigest()
