"""The verdict of a rehearsal, as a person wants to read it in a terminal."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from simulator.adapters.rehearse import Outcome
from simulator.insight.findings import TIMED
from simulator.insight.money import dollars
from simulator.insight.story import Moment, clock_text

MOST_MOMENTS = 60
"""Lines of the story; the middle of a longer one is left out."""

LONGEST_COMMAND = 200

UNSEEN_SLEEPS = (
    "  (a stepped clock does not see what the command sleeps by itself: let it call "
    "$OPENRELAY_SIM_URL/_sim/clock/advance in place of a sleep, or run it with --clock live --rate 60)"
)

COLOURS = {
    "request": "cyan",
    "reads": "dim",
    "action": "yellow",
    "refusal": "red",
    "transition": "white",
    "event": "blue",
    "delivery": "blue",
    "charge": "magenta",
    "fault": "bold red",
    "bug": "bold red",
}


def show(console: Console, outcome: Outcome) -> None:
    """Print how it went: what happened, what was expected, what it cost, and the word."""
    span = clock_text(outcome.ended_ms - outcome.started_ms)
    console.rule(f"[bold]{escape(outcome.title)}")
    ran = f"{escape(_short(outcome.command))}: {_end(outcome)}, {span} of virtual time"
    console.print(ran, highlight=False, soft_wrap=True)
    console.print()
    console.print(_story(outcome.moments))
    console.print()
    if outcome.findings:
        console.print(_expectations(outcome))
    console.print(_bill(outcome), highlight=False, soft_wrap=True)
    for finding in outcome.client:
        told = f"[yellow]finding[/yellow] {finding.rule}: {escape(finding.text)} ({escape(finding.says)})"
        console.print(told, highlight=False, soft_wrap=True)
    if outcome.clock == "stepped" and any(finding.rule in TIMED for finding in outcome.client):
        console.print(UNSEEN_SLEEPS, highlight=False, soft_wrap=True)
    console.print(f"{outcome.met_percent:.1f} % of the cloud's behaviours met", highlight=False)
    console.print()
    console.print(_word(outcome), highlight=False)


def _story(moments: Sequence[Moment]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    half, left_out = MOST_MOMENTS // 2, len(moments) - MOST_MOMENTS
    for number, moment in enumerate(moments):
        if left_out > 0 and half <= number < len(moments) - half:
            if number == half:
                table.add_row("…", "", f"[dim]{left_out} more; --journal writes all of them into a file")
            continue
        colour = COLOURS[moment.mark]
        table.add_row(f"+{clock_text(moment.at_ms)}", f"[{colour}]{moment.mark}", escape(moment.text))
    return table


def _expectations(outcome: Outcome) -> Table:
    table = Table(
        title="expectations", title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False
    )
    for finding in outcome.findings:
        mark = "[green]✓" if finding.holds else "[red]✗"
        table.add_row(mark, escape(json.dumps(finding.expect)), escape(finding.found))
    return table


def _bill(outcome: Outcome) -> str:
    lines = [f"spent {dollars(outcome.spend_cents)}"]
    if outcome.leaks:
        total = sum(leak.cents_per_hour for leak in outcome.leaks)
        lines.append(
            f"[red]left behind[/red], {dollars(total)} an hour and {dollars(total * 24)} a day from now on:"
        )
        lines += [f"  {escape(leak.text)}, since {leak.since}" for leak in outcome.leaks]
    if not outcome.rests:
        lines.append("[red]not at rest[/red]: something is still under way a day after the command")
    return "\n".join(lines)


def _word(outcome: Outcome) -> str:
    broken = sum(not finding.holds for finding in outcome.findings)
    if broken:
        plural = "expectation does" if broken == 1 else "expectations do"
        return f"[bold red]FAILED[/bold red]: {broken} {plural} not hold"
    if outcome.exit_code:
        return (
            f"[bold red]FAILED[/bold red]: all expectations hold, but the command ended with {_end(outcome)}"
        )
    number = len(outcome.findings)
    return f"[bold green]PASSED[/bold green]: {number} of {number} expectations hold"


def _short(command: Sequence[str]) -> str:
    """A command in a line; of a long one the beginning."""
    line = " ".join(shlex.join(command).split())
    return line if len(line) <= LONGEST_COMMAND else f"{line[:LONGEST_COMMAND]} …"


def _end(outcome: Outcome) -> str:
    """How the command ended: exit code 1, or signal SIGKILL."""
    code = outcome.exit_code
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
