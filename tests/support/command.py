"""The command `openrelay-simulator` in a process of its own, as a shell runs it."""

from __future__ import annotations

import os
import subprocess
import sys

PATIENCE_S = 60


def environment(**variables: str) -> dict[str, str]:
    """That of the tests, without what would reach into the command, and with these OPENRELAY_SIM_…"""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENRELAY_")}
    return kept | {f"OPENRELAY_SIM_{name.upper()}": value for name, value in variables.items()}


def run(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simulator", *(str(word) for word in words)]
    return subprocess.run(
        command, env=environment(**variables), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The only thing on standard error."""
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("openrelay-simulator: ")
    return line
