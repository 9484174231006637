"""The command `openrelay-simulator`. What a command needs is imported by it: a listing needs no Flask."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches

import click

from simulator import __version__
from simulator.adapters.cli import listings, rehearsing, remote, serving
from simulator.adapters.cli.options import PREFIX


def main() -> None:
    """Run the command; a mistake is one line on standard error, and exit code 2."""
    try:
        sys.exit(commands.main(prog_name="openrelay-simulator", standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as nothing:
        click.echo(nothing.format_message())
        sys.exit(2)
    except click.ClickException as problem:
        click.echo(f"openrelay-simulator: {' '.join(problem.format_message().split())}", err=True)
        sys.exit(problem.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)


@click.group(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="openrelay-simulator")
def commands() -> None:
    """An offline simulator of the OpenRelay GPU cloud. `serve` starts it; the others list, check, rehearse,
    or talk to one that runs."""
    known = [
        str(row.envvar) for command in commands.commands.values() for row in command.params if row.envvar
    ]
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            click.echo(
                f"openrelay-simulator: warning: {name} is no variable of it{_near(name, known)}", err=True
            )


def _near(name: str, known: list[str]) -> str:
    """The variable that may have been meant: they all begin alike, so only their ends are compared."""
    ends = [variable.removeprefix(PREFIX) for variable in known]
    close = get_close_matches(name.removeprefix(PREFIX), ends, n=1)
    return f"; did you mean {PREFIX}{close[0]}?" if close else "; --help of a command lists them"


for each in (serving.serve, rehearsing.run, *remote.COMMANDS, *listings.COMMANDS):
    commands.add_command(each)
