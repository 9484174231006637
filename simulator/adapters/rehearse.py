"""Lets a command live through a scenario: a simulator of its own, the variables a client reads, and in the
end what became of it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from simulator.adapters.greeting import variables
from simulator.adapters.server import Server
from simulator.insight.coverage import coverage, met
from simulator.insight.findings import ClientFinding, findings
from simulator.insight.money import Leak, leaks, spend_cents
from simulator.insight.story import Moment, lines, moments
from simulator.insight.verdict import Finding, verdict
from simulator.scenario.document import story_of
from simulator.worlds import DEFAULT, Worlds

STOPS = (signal.SIGINT, signal.SIGTERM)


class CannotStart(Exception):
    """The command is not to be had; the text says which, and why."""


class Outcome(msgspec.Struct, frozen=True):
    """How a rehearsal went."""

    title: str
    command: Sequence[str]
    exit_code: int
    """The command's own; negative: the signal that ended it."""
    findings: list[Finding]
    moments: list[Moment]
    spend_cents: int
    leaks: list[Leak]
    client: list[ClientFinding]
    """What the command did that the documentation asks it not to do."""
    met_percent: float
    """Of all behaviours of the cloud."""
    started_ms: int
    ended_ms: int
    clock: str
    """The mode that the clock ended in."""
    rests: bool
    """Whether nothing was under way any more at the end."""
    journal: list[str]
    """All that happened, a line each."""

    @property
    def verdict_code(self) -> int:
        """The exit code that says how it went: a broken expectation outweighs what the command says."""
        if not all(finding.holds for finding in self.findings):
            return 1
        return self.exit_code if self.exit_code >= 0 else 128 - self.exit_code


def rehearse(worlds: Worlds, command: Sequence[str], environment: Mapping[str, str]) -> Outcome:
    """Run a command against the default world, on a free port; afterwards what is under way comes to rest.

    Raises CannotStart.
    """
    one = worlds.get(DEFAULT)
    with Server(worlds, port=0) as server:
        exit_code = _run(command, {**environment, **variables(one, server.url)})
        rests = one.come_to_rest()
    with one.reading() as world:
        story = story_of(world)
        return Outcome(
            title=story.title if story else "",
            command=command,
            exit_code=exit_code,
            findings=verdict(world, one.genesis),
            moments=moments(world),
            spend_cents=spend_cents(world, one.genesis),
            leaks=leaks(world, one.genesis),
            client=findings(world, one.genesis),
            met_percent=coverage(met(world, one.genesis)).percent,
            started_ms=one.genesis.now_ms,
            ended_ms=world.now_ms,
            clock=one.clock.mode,
            rests=rests,
            journal=list(lines(world)),
        )


# -- the command -------------------------------------------------------------------------------------------


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end; answers its exit code."""
    with _stops_handed_on() as runs:
        try:
            process = subprocess.Popen(command, env=environment)
        except OSError as problem:
            raise CannotStart(f"{command[0]}: {problem.strerror}") from None
        runs.append(process)
        return process.wait()


@contextmanager
def _stops_handed_on() -> Iterator[list[subprocess.Popen[bytes]]]:
    """While the command in the list runs, what asks us to stop is for it to hear; the verdict follows."""
    runs: list[subprocess.Popen[bytes]] = []

    def hand_on(number: int, frame: Any) -> None:
        if not runs:
            raise KeyboardInterrupt
        if number != signal.SIGINT or not _is_typed():
            runs[0].send_signal(number)

    before = [(number, signal.signal(number, hand_on)) for number in STOPS]
    try:
        yield runs
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _is_typed() -> bool:
    """Whether Ctrl-C comes from the terminal that we are in front of: then the command has heard it too."""
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
