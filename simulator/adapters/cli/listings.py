"""Commands that list what there is, and check files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from simulator.adapters.cli.options import shelved


@click.command()
@shelved
@click.argument("name", required=False)
def scenarios(name: str | None) -> None:
    """List the scenarios, or print that of a NAME. run and serve take them."""
    from simulator import assets
    from simulator.fixture import FixtureError

    if name is None:
        _table(assets.titles("scenarios"))
        return
    try:
        click.echo(assets.text_of("scenarios", name), nl=False)
    except FixtureError as problem:
        raise click.UsageError(str(problem)) from None


@click.command()
@shelved
def worlds() -> None:
    """List the worlds that serve --world takes."""
    from simulator import assets

    _table(assets.titles("fixtures"))


@click.command()
@click.option("--schemas", is_flag=True, help="One JSON object a line, with the schema of what it takes.")
def actions(schemas: bool) -> None:
    """List what the outside world can do. POST /_sim/actions/NAME lets it happen."""
    from simulator.registry import ACTIONS

    if schemas:
        for row in ACTIONS.values():
            click.echo(json.dumps(row.described))
    else:
        _table((row.name, row.meaning) for row in ACTIONS.values())


@click.command()
def faults() -> None:
    """List what a fault rule can do, by the seam it belongs to."""
    from simulator.domain.faults import catalogue

    _table(
        (kind["on"], kind["name"], kind["meaning"], ", ".join(_arguments(kind["arguments"])))
        for kind in catalogue()
    )


def _arguments(schema: dict[str, Any]) -> list[str]:
    found = schema["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return list(found.get("properties", ()))


@click.command()
def settings() -> None:
    """List the settings with their defaults, for --set KEY=VALUE."""
    from simulator.kernel.settings import SETTINGS

    _table((key, _plain(row.default), row.meaning) for key, row in SETTINGS.items())


def _plain(default: object) -> str:
    """A default as --set takes it."""
    if isinstance(default, bool):
        return str(default).lower()
    return ",".join(f"{part:g}" for part in default) if isinstance(default, tuple) else str(default)


@click.command()
def operations() -> None:
    """List the operations of the API."""
    from simulator import assets
    from simulator.contract import Contract

    specs = Contract(assets.contract_document()).operations.values()
    _table((spec.id, spec.method, spec.path, spec.tag) for spec in specs)


@click.command()
@click.option("--control", is_flag=True, help="That of the control surface instead.")
def openapi(control: bool) -> None:
    """Print the OpenAPI document of the API."""
    from simulator import assets

    click.echo((assets.PACKAGE / ("control.json" if control else "openapi.json")).read_text("utf-8"))


@click.command()
def schema() -> None:
    """Print the JSON schema of scenario files, for an editor."""
    from simulator import assets

    click.echo((assets.PACKAGE / "scenario.schema.json").read_text("utf-8"), nl=False)


@click.command()
@shelved
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
def check(files: tuple[str, ...]) -> None:
    """Say whether FILES describe worlds and scenarios. Exit code 1 when one does not."""
    from simulator.adapters.check import check_file, is_scenario

    problems = {file: check_file(file) for file in files}
    for file, problem in problems.items():
        kind = "a scenario" if is_scenario(Path(file)) else "a world"
        click.echo(problem or f"{file}: {kind}", err=problem is not None)
    if any(problems.values()):
        sys.exit(1)


def _table(rows: Iterable[tuple[object, ...]]) -> None:
    """One line per row, the columns aligned."""
    lines = [[" ".join(str(cell).split()) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


COMMANDS = (scenarios, worlds, actions, faults, settings, operations, openapi, schema, check)
