"""A call of the control surface, read and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from simulator.engine import Simulator
from simulator.worlds import DEFAULT, Worlds


class Asked(msgspec.Struct, frozen=True):
    """One checked call."""

    worlds: Worlds
    base_url: str
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    headers: Mapping[str, str]

    @property
    def simulator(self) -> Simulator:
        """The world of `?world=`."""
        return self.worlds.get(self.query.get("world", DEFAULT))


class Text(msgspec.Struct, frozen=True):
    """An answer that is no JSON."""

    media_type: str
    content: bytes


class Streamed(msgspec.Struct, frozen=True):
    """An answer that goes on: its chunks come as there is news."""

    media_type: str
    chunks: Iterator[bytes]
