"""Options that several commands share, and the values that they take."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any
from urllib.parse import urlsplit

import click

PREFIX = "OPENRELAY_SIM_"
URL = "http://127.0.0.1:8080"
MODES = ("live", "manual", "stepped")


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


def clocked(mode: str) -> Callable[[Any], Any]:
    """The options that say how the clock runs, by default in this mode."""
    step = "Stepped: what each request moves the clock by."
    options = (
        option("--clock", default=mode, type=click.Choice(MODES), help="How time runs."),
        option("--rate", default=1.0, help="Live: virtual seconds per real one."),
        option("--step", default="5s", type=span, help=step),
    )
    return lambda command: reduce(lambda inner, add: add(inner), reversed(options), command)
