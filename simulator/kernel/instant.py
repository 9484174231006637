"""Moments and spans: integer milliseconds since 1970 inside, RFC 3339 in UTC outside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_MS = 253_402_300_799_999
"""The last moment RFC 3339 can write: 9999-12-31T23:59:59.999Z."""
EARLIEST_MS = -62_135_596_800_000
"""The first one: 0001-01-01T00:00:00.000Z."""
LAST_NOW_MS = LATEST_MS - 366 * DAY_MS
"""Where virtual time ends: what is planned a year ahead can still be written there."""


@lru_cache(maxsize=4096)
def iso(moment_ms: int) -> str:
    """2026-06-15T09:00:00.000Z; the milliseconds are always there, so that text sorts as time does.

    What RFC 3339 cannot write is written as the nearest moment it can. The same resources are listed again
    and again: without the cache this is a third of a page.
    """
    moment = _EPOCH + timedelta(milliseconds=min(max(moment_ms, EARLIEST_MS), LATEST_MS))
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def iso_seconds(moment_ms: int) -> str:
    """The same moment to the second, as webhook bodies carry it."""
    return (_EPOCH + timedelta(milliseconds=moment_ms)).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_iso(text: str) -> int:
    """Milliseconds of an RFC 3339 moment; ValueError when it is none, or names no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no offset; write it as {text}Z")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d{1,3})?)s)?", re.ASCII)
_SECONDS = re.compile(r"\d+(\.\d{1,3})?", re.ASCII)


def parse_span(text: str) -> int:
    """Milliseconds of a span: 5s, 2m, 1h30m, 7d, or plain seconds; ValueError when it is none."""
    found = _SPAN.fullmatch(f"{text}s" if _SECONDS.fullmatch(text) else text)
    if not text or len(text) > 40 or found is None:
        raise ValueError(f"{text[:40]!r} is no span of time; write it as 90s, 2m, 1h30m or 7d")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return round(days * DAY_MS + hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS)


def day_of(moment_ms: int) -> str:
    """The UTC calendar day, as 2026-06-15."""
    return iso(moment_ms)[:10]


def month_of(moment_ms: int) -> str:
    """The UTC calendar month, as 2026-06."""
    return _month_of_day(moment_ms // DAY_MS)


@lru_cache(maxsize=1000)
def _month_of_day(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).strftime("%Y-%m")


def month_start(month: str) -> int:
    """The first moment of a month written as 2026-06."""
    year, number = month.split("-")
    return (datetime(int(year), int(number), 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


def next_month(month: str) -> str:
    """2026-06 gives 2026-07, 2026-12 gives 2027-01."""
    year, number = (int(part) for part in month.split("-"))
    return f"{year + number // 12:04d}-{number % 12 + 1:02d}"
