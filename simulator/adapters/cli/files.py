"""Files that a command writes, and what stands in the way."""

from __future__ import annotations

from pathlib import Path

import click


def check_place(option: str, file: str) -> None:
    """Refuse a file that could not be written, before there is something to lose; "" is none."""
    from simulator.adapters import statefile

    try:
        if file:
            statefile.check_place(Path(file))
    except OSError as problem:
        raise click.UsageError(f"{option} {file}: {problem.strerror}") from None


def write(file: str, content: bytes) -> None:
    """Write a file, whole or not at all."""
    from simulator.adapters.statefile import write_whole

    try:
        write_whole(Path(file), content)
    except OSError as problem:
        raise click.ClickException(f"{file} is not written: {problem.strerror}") from None
