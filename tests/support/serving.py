"""`openrelay-simulator serve` in a process of its own, and what it printed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import requests

from tests.support.command import PATIENCE_S, environment


class Serving:
    """The process; it ends when the test does."""

    def __init__(self, *words: object, **variables: str) -> None:
        command = [sys.executable, "-m", "simulator", "serve", *(str(word) for word in words)]
        variables.setdefault("port", "0")
        self.process = subprocess.Popen(
            command, env=environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.printed = self._read()

    def _read(self) -> str:
        """All it prints before it serves: the end is an empty line after the calls."""
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line)
            if line == "\n" and lines[-2].startswith("curl"):
                return "".join(lines)
        raise AssertionError(self.process.communicate()[1])

    def says(self, what: str) -> str:
        found = re.search(rf"^  {what} +(\S+)$", self.printed, re.MULTILINE)
        assert found, self.printed
        return found[1]

    @property
    def url(self) -> str:
        return self.says("base URL")

    @property
    def exports(self) -> dict[str, str]:
        """The variables it gives to the shell that its lines are pasted into."""
        return dict(re.findall(r"^export (\w+)=(\S+)$", self.printed, re.MULTILINE))

    @property
    def org(self) -> str:
        return self.exports["ORG_ID"]

    @property
    def calls(self) -> list[str]:
        return [line for line in self.printed.splitlines() if line.startswith("curl")]

    def sim(self, path: str = "") -> Any:
        return requests.get(f"{self.url}/_sim{path}", timeout=PATIENCE_S).json()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit code, and what came on both streams since."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


Serve = Callable[..., Serving]
