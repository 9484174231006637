"""Names and values chosen by globs: by fault rules, timelines and expectations."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any


def as_text(value: Any) -> str:
    """A value as a glob meets it: true and 4 as JSON writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def globs(given: Any) -> tuple[str, ...]:
    """One glob or a list of them as it is written, as texts; none for None."""
    if given is None:
        return ()
    return tuple(map(as_text, given)) if isinstance(given, list) else (as_text(given),)


def like(text: str, wanted: Iterable[str]) -> bool:
    """Whether a text is like one of the globs."""
    return any(fnmatchcase(text, glob) for glob in wanted)
