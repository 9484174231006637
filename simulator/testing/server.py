"""The server of a test session: one socket on loopback, and a world of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypedDict, Unpack

from simulator import assets
from simulator.adapters import server as adapter
from simulator.adapters.courier import Courier
from simulator.engine import ClockState, Simulator
from simulator.insight.coverage import Behaviour, met
from simulator.testing.cloud import OpenRelay
from simulator.testing.receiving import Receiver
from simulator.worlds import DEFAULT, Opening, Worlds


class Options(TypedDict, total=False):
    """What a world begins from; see `Server.open`."""

    scenario: str | Mapping[str, Any] | None
    world: str | None
    seed: int | None
    clock: str | Mapping[str, Any]
    settings: Mapping[str, Any] | None


class Server:
    """Worlds behind one base URL. Whoever holds a key of a world is in that world, so tests never meet, and
    any client will do: of this process or another, in any language.

        with Server() as server, server.open(scenario="node-lost") as openrelay:
            ...
    """

    def __init__(self, met: set[Behaviour] | None = None) -> None:
        self.worlds = Worlds()
        self.met = met
        """Where the behaviours are collected that worlds have met; None: nowhere."""
        self.worlds.open(DEFAULT, Opening())
        self.courier = Courier()
        self._server = adapter.Server(self.worlds, port=0)

    @property
    def url(self) -> str:
        """The base URL, the same for all worlds."""
        return self._server.url

    @cached_property
    def receiver(self) -> Receiver:
        """Where webhooks arrive; it listens from its first use on."""
        return Receiver()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._server.busy

    @contextmanager
    def open(self, name: str = "test", **options: Unpack[Options]) -> Iterator[OpenRelay]:
        """A world of its own, closed at the end of the `with` block.

        `name`: worlds of one name have the same keys, so that a test meets the same bytes each time; where it
        is open already, a number is put behind it. `scenario`: a bundled one by name, a file, or a document.
        `world`: a bundled one by name, or a file. `clock`: "manual", "stepped", "live", or a mapping of
        `mode`, `rate` and `step_s`.

        Raises ValueError or Refusal with the nearest right name.
        """
        opening = opening_of(**options)
        simulator = self.worlds.open(self.free_name(name), opening)
        openrelay = OpenRelay(self, simulator)
        try:
            yield openrelay
        finally:
            openrelay.close()

    def free_name(self, name: str) -> str:
        """A name for a world, the same for the same worlds open."""
        number, free = 1, name
        while free in self.worlds:
            number += 1
            free = f"{name}-{number}"
        return free

    def close(self, simulator: Simulator) -> None:
        """Close a world that is open."""
        self.collect(simulator)
        self.worlds.delete(simulator.name)

    def collect(self, simulator: Simulator) -> None:
        """Take down what a world has met, before it is closed or goes back to an earlier moment."""
        if self.met is not None:
            with simulator.reading() as world:
                self.met |= met(world, simulator.genesis)

    def __enter__(self) -> Server:
        self._server.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.stop()
        for simulator in self.worlds:
            self.collect(simulator)
        if "receiver" in self.__dict__:
            self.receiver.close()


def opening_of(
    scenario: str | Mapping[str, Any] | None = None,
    world: str | None = None,
    seed: int | None = None,
    clock: str | Mapping[str, Any] = "manual",
    settings: Mapping[str, Any] | None = None,
) -> Opening:
    """What a world begins from, as the options say. Raises ValueError or Refusal."""
    state = clock_of(clock)
    if scenario is None:
        return Opening().but(world, seed, dict(settings or {}), state)
    if world is not None:
        raise ValueError(f"world={world!r} beside a scenario: a scenario names its world itself")
    document = assets.load_scenario(scenario) if isinstance(scenario, str) else dict(scenario)
    return Opening.of_scenario(document, state).but(None, seed, dict(settings or {}))


def clock_of(clock: str | Mapping[str, Any]) -> ClockState:
    """How a clock runs. Raises ValueError for an unknown member, Refusal for a value no clock can have."""
    given = {"mode": clock} if isinstance(clock, str) else dict(clock)
    unknown = sorted(set(given) - set(ClockState.__struct_fields__))
    if unknown:
        raise ValueError(
            f"clock: unknown {', '.join(unknown)}; known are {', '.join(ClockState.__struct_fields__)}"
        )
    state = ClockState(**given)
    state.check()
    return state
