"""A server on loopback for the whole session, and a world of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from simulator.adapters.courier import Courier
from simulator.adapters.server import Server
from simulator.adapters.web import create_app
from simulator.engine import ClockState
from simulator.worlds import Opening, Worlds
from tests.support.http import Client, over_socket, through_wsgi
from tests.support.surface import Surface

NUMBERS = count(1)


@pytest.fixture(scope="session")
def served() -> Iterator[Server]:
    with Server(Worlds(Courier()), port=0) as server:
        yield server


@pytest.fixture
def open_client(served: Server) -> Iterator[Callable[..., Client]]:
    """Open a world and be its client: `how` is socket or wsgi."""
    opened: list[Client] = []

    def make(how: str = "socket", clock: ClockState | None = None, **opening: object) -> Client:
        name = f"world-{next(NUMBERS)}"
        what = Opening(clock=clock or ClockState(), **opening)  # type: ignore[arg-type]
        simulator = served.worlds.open(name, what)
        sends = {
            "socket": lambda: over_socket(served.host, served.port),
            "wsgi": lambda: through_wsgi(create_app(served.worlds)),
        }
        opened.append(Client(sends[how](), simulator))
        return opened[-1]

    yield make
    for client in opened:
        assert [entry.facts for entry in client.world.journal if entry.kind == "bug"] == []
        if client.simulator.name in served.worlds:
            served.worlds.delete(client.simulator.name)


@pytest.fixture(params=["socket", "wsgi"])
def client(request: pytest.FixtureRequest, open_client: Callable[..., Client]) -> Client:
    """A client of a fresh world, over a real socket and straight into the application."""
    return open_client(request.param)


@pytest.fixture
def last_hour(tmp_path: Path) -> Opening:
    """A world that begins an hour before virtual time ends."""
    file = tmp_path / "last-hour.yaml"
    file.write_text("extends: default\nstart: '9998-12-30T23:00:00Z'\n", "utf-8")
    return Opening(fixture=str(file))


@pytest.fixture
def sim() -> Iterator[Surface]:
    """A client of the control surface of a process of its own."""
    surface = Surface()
    yield surface
    for each in surface.worlds:
        assert [entry.facts for entry in each.world.journal if entry.kind == "bug"] == []
