"""`serve`: a simulator in the foreground."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from simulator.adapters.cli import files, opening
from simulator.adapters.cli.options import clocked, option, pair, shelved, token

if TYPE_CHECKING:
    from simulator.adapters.fast import FastServer
    from simulator.adapters.server import Server
    from simulator.worlds import Opening, Worlds

PROFILES = ("2026-06", "2026-07", "2026-10")
STRICT = ("off", "warn", "error")
SERVERS = ("waitress", "granian")


@click.command()
@option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 in a container.")
@option("--port", default=8080, type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@option(
    "--server",
    default="waitress",
    type=click.Choice(SERVERS),
    help="granian is faster; it cuts no connections.",
)
@clocked("live")
@option("--world", default="default", help="What the cloud begins as: a bundled world, or a file.")
@option("--scenario", default="", metavar="NAME|FILE", help="A story that it lives through.")
@shelved
@option("--seed", default=0, help="Seed of everything random.")
@option("--profile", type=click.Choice(PROFILES), help="Which version of the service.")
@option("--strict", type=click.Choice(STRICT), help="What becomes of fields that the API does not know.")
@option("--set", multiple=True, type=pair, metavar="KEY=VALUE", help="A setting; `settings` lists them.")
@option("--state", default="", metavar="FILE", help="Go on from a saved state instead.")
@option("--save-on-exit", default="", metavar="FILE", help="Where to save the state at the end.")
@option("--with-secrets", is_flag=True, help="With what the world keeps secret, in what is saved.")
@option("--control-token", default="", type=token, metavar="TOKEN", help="What /_sim then asks for.")
@option("--allow-webhooks-to", multiple=True, metavar="HOST", help="A public host that webhooks may go to.")
@option("--rewrite-webhooks", multiple=True, type=pair, metavar="HOST=HOST", help="Where to go instead.")
def serve(**given: Any) -> None:
    """Start the simulator and print what a client needs.

    With one FILE for --state and --save-on-exit it goes on where it ended; the first time, there is none yet.
    """
    from simulator.adapters.courier import Courier
    from simulator.adapters.greeting import greeting
    from simulator.adapters.server import CannotListen

    courier = Courier(given["allow_webhooks_to"], dict(given["rewrite_webhooks"]))
    worlds = opening.opened(lambda: _opening(given), courier, given["scenario"])
    loaded = _go_on(worlds, given)
    files.check_place("--save-on-exit", given["save_on_exit"])
    try:
        server = _server(given["server"])(worlds, given["host"], given["port"], given["control_token"])
    except CannotListen as problem:
        raise click.UsageError(f"{problem}; take another with --host or --port") from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    click.echo(greeting(worlds, server.url, given["control_token"], loaded))
    server.run()
    if given["save_on_exit"]:
        _save_at_the_end(worlds, given)


def _server(name: str) -> type[Server | FastServer]:
    if name == "waitress":
        from simulator.adapters.server import Server

        return Server
    try:
        from simulator.adapters.fast import FastServer
    except ImportError:
        told = 'pip install "openrelay-simulator[fast]"'
        raise click.UsageError(f"--server granian needs a package that is not installed: {told}") from None
    return FastServer


def _opening(given: dict[str, Any]) -> Opening:
    """What the options say; a scenario has a world and a seed of its own, and a seed that is given wins."""
    from simulator.worlds import Opening

    named = {"profile": given["profile"], "requests.strict": given["strict"]}
    settings = dict(given["set"]) | {key: value for key, value in named.items() if value}
    if not given["scenario"]:
        clock = opening.clock_state(given)
        return Opening(fixture=given["world"], seed=given["seed"], settings=settings, clock=clock)
    if _is_given("world"):
        raise click.UsageError("--scenario brings a world of its own; leave out --world")
    seed = given["seed"] if _is_given("seed") else None
    return opening.of_scenario(given["scenario"], given).but(seed=seed, settings=settings)


def _is_given(option: str) -> bool:
    """Whether the command line or a variable says something of an option."""
    source = click.get_current_context().get_parameter_source(option)
    return source is not ParameterSource.DEFAULT


def _go_on(worlds: Worlds, given: dict[str, Any]) -> str:
    """Load the state that was asked for; answers its file, "" where the world begins afresh."""
    from simulator.kernel.refusal import Refusal
    from simulator.worlds import DEFAULT

    file, resumes = given["state"], given["state"] == given["save_on_exit"]
    if not file or (resumes and not Path(file).exists()):
        return ""
    for name in () if resumes else ("world", "scenario", "seed", "profile", "set"):
        if _is_given(name):
            raise click.UsageError(f"--state brings world, seed and settings of its own; leave out --{name}")
    try:
        worlds.get(DEFAULT).load(Path(file).read_bytes())
    except OSError as problem:
        raise click.UsageError(f"--state {file}: {problem.strerror}") from None
    except Refusal as problem:
        raise click.UsageError(f"--state {file}: {problem}") from None
    return str(file)


def _save_at_the_end(worlds: Worlds, given: dict[str, Any]) -> None:
    from simulator.state import written
    from simulator.worlds import DEFAULT

    document = worlds.get(DEFAULT).save(secrets=given["with_secrets"])
    files.write(given["save_on_exit"], written(document))
