"""Options that several commands share, and the values that they take."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

PREFIX = "OPENRELAY_SIM_"
PORT = 8080
MODES = ("live", "manual", "stepped")


def option(name: str, **more: Any) -> Callable[[Any], Any]:
    """An option that is also a variable OPENRELAY_SIM_…: service containers of a CI cannot pass flags."""
    variable = PREFIX + name.removeprefix("--").replace("-", "_").upper()
    more.setdefault("show_default", "default" in more)
    return click.option(name, envvar=variable, show_envvar=True, **more)


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


def url() -> str:
    """Where a simulator answers that was started in the same environment."""
    return f"http://127.0.0.1:{os.environ.get(PREFIX + 'PORT') or PORT}"


def address(text: str) -> str:
    """The base URL of a simulator; `http://` may be left out."""
    full = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(full)
        good = parts.scheme == "http" and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise click.BadParameter(f"{text!r} is no address such as {url()}")
    return full.rstrip("/")


at = option("--url", default=url, show_default=url(), type=address, help="Where the simulator answers.")


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


def shelved(command: Any) -> Any:
    """The options that name folders of one's own files."""
    for kind, name in (("fixtures", "worlds"), ("scenarios", "scenarios")):
        command = option(
            f"--{name}",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            expose_value=False,
            callback=partial(_shelve, kind),
            help=f"A folder whose files are {name} by their names, as the bundled ones are.",
        )(command)
    return command


def _shelve(kind: str, context: click.Context, parameter: click.Parameter, place: Path | None) -> None:
    from simulator import assets

    if place is not None:
        assets.shelve(kind, place)


def clocked(mode: str) -> Callable[[Any], Any]:
    """The options that say how the clock runs, by default in this mode."""
    step = "Stepped: what each request moves the clock by."
    options = (
        option("--clock", default=mode, type=click.Choice(MODES), help="How time runs."),
        option("--rate", default=1.0, help="Live: virtual seconds per real one."),
        option("--step", default="5s", type=span, help=step),
    )
    return lambda command: reduce(lambda inner, add: add(inner), reversed(options), command)
