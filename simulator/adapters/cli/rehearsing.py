"""`run`: a command that lives through a scenario."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Any

import click

from simulator.adapters.cli import files, opening
from simulator.adapters.cli.options import clocked, option, pair, shelved


@click.command()
@click.argument("scenario")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@clocked("stepped")
@shelved
@option("--seed", type=int, help="Another seed than the scenario's.")
@option("--set", multiple=True, type=pair, metavar="KEY=VALUE", help="A setting; `settings` lists them.")
@option("--journal", default="", metavar="FILE", help="Where to write all that happened, a line each.")
def run(scenario: str, command: tuple[str, ...], **given: Any) -> None:
    """Let COMMAND live through SCENARIO and print the verdict. It is a bundled one or a file.

    COMMAND finds the simulator by OPENRELAY_BASE_URL, OPENRELAY_SIM_URL, OPENRELAY_API_KEY and ORG_ID. What
    it sleeps by itself takes real time, and moves the clock only with --clock live, where --rate 60 makes a
    second a minute. When it has ended, the cloud goes on until nothing is under way.

    Exit code 0 says that all expectations hold and the command ended well, 1 that an expectation does not
    hold; otherwise it is the command's own. Write -- before COMMAND, or its options are taken for those of
    run.
    """
    from rich.console import Console

    from simulator.adapters.courier import Courier
    from simulator.adapters.rehearse import CannotStart, rehearse
    from simulator.adapters.verdict_page import show
    from simulator.worlds import Opening

    def begin() -> Opening:
        its_own = opening.of_scenario(scenario, given)
        return its_own.but(seed=given["seed"], settings=dict(given["set"]))

    worlds = opening.opened(begin, Courier(), scenario)
    files.check_place("--journal", given["journal"])
    try:
        outcome = rehearse(worlds, command, os.environ)
    except CannotStart as problem:
        raise click.UsageError(str(problem)) from None
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has a tick
    show(Console(), outcome)
    if given["journal"]:
        files.write(given["journal"], "".join(f"{line}\n" for line in outcome.journal).encode())
    sys.exit(outcome.verdict_code)
