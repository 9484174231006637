"""The command line's client of a running simulator: one call, one answer, straight to the address."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit


class Unreachable(Exception):
    """Nobody answers at the URL, or nobody who speaks as a simulator does."""


class Refused(Exception):
    """The simulator answered with an error; the text is its message."""


class Remote(NamedTuple):
    """A simulator at a base URL, and one of its worlds."""

    url: str
    world: str = ""
    token: str = ""

    def ask(self, method: str, path: str, body: Any = None, timeout_s: float | None = None) -> Any:
        """The value of an answer. Raises Unreachable or Refused."""
        sent = None if body is None else json.dumps(body).encode()
        raw = self.send(method, path, sent, timeout_s)
        return self._value(raw) if raw else None

    def send(
        self, method: str, path: str, body: bytes | None = None, timeout_s: float | None = None
    ) -> bytes:
        """The bytes of an answer, of a path that may have a query. Raises Unreachable or Refused."""
        status, raw = self._exchange(method, self._target(path), body, timeout_s)
        if status >= 400:
            value = self._value(raw)
            raise Refused(value.get("error", value) if isinstance(value, dict) else str(value))
        return raw

    def _value(self, raw: bytes) -> Any:
        try:
            return json.loads(raw)
        except ValueError as problem:
            raise self._unreachable(problem) from None

    def _unreachable(self, problem: Exception) -> Unreachable:
        where = "--url or OPENRELAY_SIM_URL says where it is"
        return Unreachable(f"no simulator answers at {self.url}: {problem}; {where}")

    def _target(self, path: str) -> str:
        base = urlsplit(self.url).path.rstrip("/")
        mark = "&" if "?" in path else "?"
        return f"{base}{path}{mark}world={quote(self.world)}" if self.world else f"{base}{path}"

    def _exchange(
        self, method: str, target: str, body: bytes | None, timeout_s: float | None
    ) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self.token}".encode()} if self.token else {}
        try:
            parts = urlsplit(self.url)
            connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            raw = response.read()
            connection.close()
            return response.status, raw
        except (OSError, HTTPException, ValueError) as problem:
            raise self._unreachable(problem) from None
