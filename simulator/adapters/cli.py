"""The command `openrelay-simulator`. What a command needs is imported by it: a listing needs no Flask."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from simulator import __version__

if TYPE_CHECKING:
    from simulator.adapters.remote import Remote
    from simulator.engine import ClockState
    from simulator.worlds import Worlds

PREFIX = "OPENRELAY_SIM_"
URL = "http://127.0.0.1:8080"
PROFILES = ("2026-06", "2026-07", "2026-10")


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


def option(name: str, **more: Any) -> Callable[[Any], Any]:
    """An option that is also a variable OPENRELAY_SIM_…: service containers of a CI cannot pass flags."""
    variable = PREFIX + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, envvar=variable, show_envvar=True, show_default="default" in more, **more)


def span(text: str) -> int:
    """Milliseconds of a span written as 90s, 2m or 1h30m."""
    from simulator.kernel.instant import parse_span

    try:
        return parse_span(text)
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from None


def token(text: str) -> str:
    """A control token."""
    from simulator.adapters.control import check_token

    try:
        return check_token(text)
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from None


def address(text: str) -> str:
    """The base URL of a simulator; `http://` may be left out."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        good = parts.scheme == "http" and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise click.BadParameter(f"{text!r} is no address such as {URL}")
    return url.rstrip("/")


def until(text: str) -> Any:
    """What an advance goes to: next, idle, or the status of a resource."""
    resource, equals, status = text.rpartition("=")
    if equals and resource and status:
        return {"resource": resource, "status": status}
    if text not in ("next", "idle"):
        raise click.BadParameter(f"{text!r} is none of next, idle, ID=STATUS")
    return text


def pair(text: str) -> tuple[str, str]:
    """KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"{text!r} has not the form KEY=VALUE")
    return key, value


@click.group(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="openrelay-simulator")
def commands() -> None:
    """An offline simulator of the OpenRelay GPU cloud."""
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


# -- serve -------------------------------------------------------------------------------------------------


@commands.command()
@option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 in a container.")
@option("--port", default=8080, type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@option("--clock", default="live", type=click.Choice(["live", "manual", "stepped"]), help="How time runs.")
@option("--rate", default=1.0, help="Live: virtual seconds per real one.")
@option("--step", default="5s", type=span, help="Stepped: what each request moves the clock by.")
@option("--world", default="default", help="What the cloud begins as: a bundled world, or a file.")
@option("--seed", default=0, help="Seed of everything random.")
@option("--profile", type=click.Choice(PROFILES), help="Which version of the service.")
@option("--set", multiple=True, type=pair, metavar="KEY=VALUE", help="A setting; `settings` lists them.")
@option("--control-token", default="", type=token, metavar="TOKEN", help="What /_sim then asks for.")
@option("--allow-webhooks-to", multiple=True, metavar="HOST", help="A public host that webhooks may go to.")
@option("--rewrite-webhooks", multiple=True, type=pair, metavar="HOST=HOST", help="Where to go instead.")
def serve(**given: Any) -> None:
    """Start the simulator and print what a client needs."""
    from simulator.adapters.greeting import greeting
    from simulator.adapters.server import CannotListen, Server

    worlds = _open_worlds(given)
    try:
        server = Server(worlds, given["host"], given["port"], given["control_token"])
    except CannotListen as problem:
        raise click.UsageError(f"{problem}; take another with --host or --port") from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    click.echo(greeting(worlds, server.url, given["control_token"]))
    server.run()


def _open_worlds(given: dict[str, Any]) -> Worlds:
    from simulator.adapters.courier import Courier
    from simulator.fixture import FixtureError
    from simulator.kernel.refusal import Refusal
    from simulator.kernel.settings import UnknownSetting
    from simulator.worlds import DEFAULT, Opening, Worlds

    settings = dict(given["set"]) | ({"profile": given["profile"]} if given["profile"] else {})
    worlds = Worlds(Courier(given["allow_webhooks_to"], dict(given["rewrite_webhooks"])))
    opening = Opening(
        fixture=given["world"], seed=given["seed"], settings=settings, clock=_clock_state(given)
    )
    try:
        worlds.open(DEFAULT, opening)
    except (FixtureError, UnknownSetting, Refusal) as problem:
        raise click.UsageError(str(problem)) from None
    return worlds


def _clock_state(given: dict[str, Any]) -> ClockState:
    from simulator.engine import ClockState

    return ClockState(mode=given["clock"], rate=given["rate"], step_s=given["step"] / 1000)


# -- a running simulator -----------------------------------------------------------------------------------


def reaches(command: Any) -> Any:
    """The options of a command that talks to a running simulator."""
    command = option("--control-token", default="", metavar="TOKEN", help="What serve was given.")(command)
    command = option("--in-world", default="", metavar="NAME", help="Which of its worlds.")(command)
    return option("--url", default=URL, type=address, help="Where the simulator answers.")(command)


def _remote(given: dict[str, Any]) -> Remote:
    from simulator.adapters.remote import Remote

    return Remote(given["url"], given["in_world"], given["control_token"])


def _ask(remote: Remote, *call: Any) -> Any:
    from simulator.adapters.remote import Refused, Unreachable

    try:
        return remote.ask(*call)
    except (Refused, Unreachable) as problem:
        raise click.ClickException(str(problem)) from None


@commands.command()
@option("--url", default=URL, type=address, help="Where the simulator will answer.")
@option("--timeout", default="30s", type=span, help="How long to wait.")
def wait(url: str, timeout: int) -> None:
    """Wait until a simulator answers; exit code 1 when it does not in time."""
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


@commands.command()
@click.argument("seconds", metavar="[SPAN]", type=span, required=False)
@click.option(
    "--until", type=until, metavar="next|idle|ID=STATUS", help="The next event, rest, or a resource's status."
)
@click.option("--to", metavar="MOMENT", help="A moment such as 2026-07-01T00:00:00Z.")
@reaches
def advance(seconds: int | None, **given: Any) -> None:
    """Let time pass by a SPAN such as 90s, and make the deliveries that fall due."""
    ways = {
        "seconds": None if seconds is None else seconds / 1000,
        "to": given["to"],
        "until": given["until"],
    }
    body = {way: value for way, value in ways.items() if value is not None}
    if len(body) != 1:
        raise click.UsageError("give exactly one of SPAN, --until, --to")
    done = _ask(_remote(given), "POST", "/_sim/clock/advance", body)
    click.echo(f"{done['from']} to {done['now']}: {done['events']} events, {done['deliveries']} deliveries")


@commands.command()
@click.option("--seed", type=int, help="Begin with another seed.")
@click.option("--fixture", metavar="WORLD", help="Begin as another bundled world.")
@reaches
def reset(seed: int | None, fixture: str | None, **given: Any) -> None:
    """Take a world back to its first moment."""
    body = {key: value for key, value in (("seed", seed), ("fixture", fixture)) if value is not None}
    world = _ask(_remote(given), "POST", "/_sim/reset", body)
    click.echo(f"world {world['name']} is at its first moment, {world['clock']['now']}")


# -- listings ----------------------------------------------------------------------------------------------


def _table(rows: Iterable[tuple[object, ...]]) -> None:
    """One line per row, the columns aligned."""
    lines = [[" ".join(str(cell).split()) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@commands.command()
def worlds() -> None:
    """List the bundled worlds that serve --world takes."""
    from simulator import assets

    _table((name, assets.load_fixture(name).get("title", "")) for name in assets.names("fixtures"))


@commands.command()
@click.option(
    "--schemas", is_flag=True, help="One JSON object a line, with the schema of what an action takes."
)
def actions(schemas: bool) -> None:
    """List what the outside world can do, for POST /_sim/actions/NAME."""
    from simulator.registry import ACTIONS

    if schemas:
        for row in ACTIONS.values():
            click.echo(json.dumps(row.described))
    else:
        _table((row.name, row.meaning) for row in ACTIONS.values())


@commands.command()
def settings() -> None:
    """List the settings with their defaults, for --set KEY=VALUE."""
    from simulator.kernel.settings import SETTINGS

    _table((key, _plain(row.default), row.meaning) for key, row in SETTINGS.items())


def _plain(default: object) -> str:
    """A default as --set takes it."""
    if isinstance(default, bool):
        return str(default).lower()
    return ",".join(f"{part:g}" for part in default) if isinstance(default, tuple) else str(default)


@commands.command()
def operations() -> None:
    """List the operations of the API."""
    from simulator import assets
    from simulator.contract import Contract

    specs = Contract(assets.contract_document()).operations.values()
    _table((spec.id, spec.method, spec.path, spec.tag) for spec in specs)


@commands.command()
@click.option("--control", is_flag=True, help="That of the control surface instead.")
def openapi(control: bool) -> None:
    """Print the OpenAPI document of the API."""
    from simulator import assets

    click.echo((assets.PACKAGE / ("control.json" if control else "openapi.json")).read_text("utf-8"))


@commands.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
def check(files: tuple[str, ...]) -> None:
    """Say whether FILES describe worlds; exit code 1 when one does not."""
    from simulator.adapters.check import check_world_file

    problems = {file: check_world_file(file) for file in files}
    for file, problem in problems.items():
        click.echo(problem or f"{file}: a world", err=problem is not None)
    if any(problems.values()):
        sys.exit(1)
