"""Commands that talk to a simulator that runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.adapters.cli import files
from simulator.adapters.cli.options import at, option, span, until

if TYPE_CHECKING:
    from simulator.adapters.remote import Remote


def reaches(command: Any) -> Any:
    """The options of a command that talks to a running simulator."""
    command = option("--control-token", default="", metavar="TOKEN", help="What serve was given.")(command)
    command = option("--in-world", default="", metavar="NAME", help="Which of its worlds.")(command)
    return at(command)


def _remote(given: dict[str, Any]) -> Remote:
    from simulator.adapters.remote import Remote

    return Remote(given["url"], given["in_world"], given["control_token"])


def _ask(ask: Callable[..., Any], *call: Any) -> Any:
    from simulator.adapters.remote import Refused, Unreachable

    try:
        return ask(*call)
    except (Refused, Unreachable) as problem:
        raise click.ClickException(str(problem)) from None


@click.command()
@at
@option("--timeout", default="30s", type=span, help="How long to wait.")
def wait(url: str, timeout: int) -> None:
    """Wait until a simulator answers. Exit code 1 when it does not in time."""
    from simulator.adapters.remote import Refused, Remote, Unreachable

    until_s = time.monotonic() + timeout / 1000
    while True:
        try:
            health = Remote(url).ask("GET", "/_sim/health", None, 2.0)
            click.echo(f"{url} answers: {health['status']}, version {health['version']}")
            return
        except (Refused, Unreachable, KeyError, TypeError) as problem:
            if time.monotonic() >= until_s:
                raise click.ClickException(f"{problem} (waited {timeout / 1000:g} s)") from None
        time.sleep(0.05)


@click.command()
@click.argument("seconds", metavar="[SPAN]", type=span, required=False)
@click.option(
    "--until", type=until, metavar="next|idle|ID=STATUS", help="The next event, rest, or a resource's status."
)
@click.option("--to", metavar="MOMENT", help="A moment such as 2026-07-01T00:00:00Z.")
@reaches
def advance(seconds: int | None, **given: Any) -> None:
    """Let time pass, by a SPAN such as 90s. The deliveries that fall due are made."""
    ways = {
        "seconds": None if seconds is None else seconds / 1000,
        "to": given["to"],
        "until": given["until"],
    }
    body = {way: value for way, value in ways.items() if value is not None}
    if len(body) != 1:
        raise click.UsageError("give exactly one of SPAN, --until, --to")
    done = _ask(_remote(given).ask, "POST", "/_sim/clock/advance", body)
    click.echo(f"{done['from']} to {done['now']}: {done['events']} events, {done['deliveries']} deliveries")


@click.command()
@click.option("--seed", type=int, help="Begin with another seed.")
@click.option("--fixture", metavar="WORLD", help="Begin as another bundled world.")
@reaches
def reset(seed: int | None, fixture: str | None, **given: Any) -> None:
    """Take a world back to its first moment."""
    body = {key: value for key, value in (("seed", seed), ("fixture", fixture)) if value is not None}
    world = _ask(_remote(given).ask, "POST", "/_sim/reset", body)
    click.echo(f"world {world['name']} is at its first moment, {world['clock']['now']}")


@click.group(no_args_is_help=True)
def state() -> None:
    """Save a world as a document, or let it go on from one."""


@state.command()
@click.argument("file")
@option("--with-secrets", is_flag=True, help="With what the world keeps secret: signing keys, environments.")
@reaches
def save(file: str, with_secrets: bool, **given: Any) -> None:
    """Write the whole state of a world to FILE."""
    raw = _ask(_remote(given).send, "GET", "/_sim/state" + ("?secrets=include" if with_secrets else ""))
    if not raw.startswith(b"{"):
        raise click.ClickException(f"what answers at {given['url']} sends no state of a world")
    files.write(file, raw)
    click.echo(f"{file}: {len(raw)} bytes, secrets {'included' if with_secrets else 'omitted'}")


@state.command()
@click.argument("file")
@reaches
def load(file: str, **given: Any) -> None:
    """Let a world go on from the state in FILE; `reset` comes back to it."""
    try:
        raw = Path(file).read_bytes()
    except OSError as problem:
        raise click.UsageError(f"{file}: {problem.strerror}") from None
    remote = _remote(given)
    _ask(remote.send, "PUT", "/_sim/state", raw)
    clock = _ask(remote.ask, "GET", "/_sim/clock")
    click.echo(f"{file} is loaded; it is {clock['now']}")


COMMANDS = (wait, advance, reset, state)
