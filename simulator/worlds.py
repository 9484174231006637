"""Many isolated worlds in one process. The API key of a request decides which one it belongs to."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

import msgspec

from simulator import assets
from simulator.contract import Contract, NoRoute
from simulator.domain import access
from simulator.engine import ClockState, Courier, Simulator
from simulator.kernel.operation import Reply, Request
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.world import NAME, World
from simulator.scenario.document import read_scenario

DEFAULT = "default"
MOST_WORLDS = 1000
MOST_BEGINNINGS = 32
"""First moments that are kept at hand; a suite that opens a world per seed would fill the memory."""


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What a world begins from."""

    fixture: str = DEFAULT
    seed: int = 0
    settings: dict[str, Any] = {}
    clock: ClockState = ClockState()
    scenario: dict[str, Any] = {}
    """The document of the scenario that it lives through; empty: an ordinary day."""

    @classmethod
    def of_scenario(cls, document: dict[str, Any], clock: ClockState = ClockState()) -> Opening:  # noqa: B008
        """What a scenario begins from. Raises ScenarioError."""
        scenario = read_scenario(document)
        return cls(
            fixture=scenario.world,
            seed=scenario.seed,
            settings=scenario.settings,
            clock=clock,
            scenario=document,
        )

    def but(
        self,
        fixture: str | None = None,
        seed: int | None = None,
        settings: dict[str, Any] | None = None,
        clock: ClockState | None = None,
    ) -> Opening:
        """This opening with what is given in place of its own; settings are laid over its own."""
        return Opening(
            fixture=self.fixture if fixture is None else fixture,
            seed=self.seed if seed is None else seed,
            settings={**self.settings, **(settings or {})},
            clock=clock or self.clock,
            scenario=self.scenario if fixture is None else {},
        )


class Worlds:
    """The worlds of a process, by name. Those of one opening share their first moment until they change."""

    def __init__(self, courier: Courier | None = None) -> None:
        self.contract = Contract(assets.contract_document())
        self.listeners: list[Callable[[Simulator], None]] = []
        """Called with a world in live mode when something may have changed in it: the pacer."""
        self._courier = courier
        self._by_name: dict[str, Simulator] = {}
        self._by_tag: dict[str, Simulator] = {}
        self._openings: dict[str, Opening] = {}
        self._beginnings: OrderedDict[str, World] = OrderedDict()
        self._lock = Lock()
        self._building = Lock()

    def __iter__(self) -> Iterator[Simulator]:
        with self._lock:
            return iter(list(self._by_name.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str) -> Simulator:
        """A world by name; unknown ones are refused with the nearest there is."""
        found = self._by_name.get(name)
        if found is None:
            raise Refusal("not_found", f"no world {name!r}{nearest(name, list(self._by_name))}")
        return found

    def of(self, request: Request) -> Simulator:
        """The world whose tag ends the request's credential; the default one answers all others."""
        headers = request.headers
        if request.endpoint:
            return self.tagged(headers.get("x-api-key", ""))
        secret = access.bearer(headers) or headers.get("x-api-key", "") or self._provisioning_token(request)
        return self.tagged(secret)

    def _provisioning_token(self, request: Request) -> str:
        """The credential of a machine that enrols: it stands in the query, or in the body."""
        route = self.contract.route(request.method, request.path)
        if isinstance(route, NoRoute) or "provisioning-token" not in route.operation.auth:
            return ""
        checked = self.contract.check_request(route, request.query, request.headers, request.body)
        enclosed = checked.body if isinstance(checked.body, dict) else checked.query
        return str(enclosed.get("token", ""))

    def tagged(self, secret: str) -> Simulator:
        """The world whose tag ends a secret; the default one for all others."""
        return self._by_tag.get(secret[-8:]) or self._by_name[DEFAULT]

    def call(self, request: Request, refusal: Refusal | None = None) -> Reply:
        """Answer a request in its world; see Simulator.call."""
        return self.of(request).call(request, refusal)

    def opening(self, name: str) -> Opening:
        """What a world began from; a fork began from what its origin began from."""
        return self._openings.get(self.get(name).name, Opening())

    def open(self, name: str, opening: Opening) -> Simulator:
        """Open a world. Raises Refusal for a name that is taken, or a world too many."""
        self._check_room(name)
        return self._add(name, self.beginning(name, opening), opening)

    def reset(self, name: str, opening: Opening | None = None) -> Simulator:
        """Back to the first moment; with an opening, to that one's, which is the world's from now on."""
        simulator = self.get(name)
        simulator.reset(self.beginning(name, opening) if opening else None)
        self._openings[name] = opening or self._openings[name]
        return simulator

    def fork(self, name: str, new_name: str) -> Simulator:
        """A twin of a world in its present state, with keys of its own."""
        origin, opening = self.get(name), self.opening(name)
        self._check_room(new_name)
        world = origin.fork(new_name)
        access.rekey(world, name)
        return self._add(new_name, world, opening.but(clock=origin.clock))

    def delete(self, name: str) -> None:
        """Close a world; the default one stays."""
        if name == DEFAULT:
            raise Refusal("conflict", "the default world stays; reset it instead")
        simulator = self.get(name)
        with self._lock:
            if self._by_name.pop(name, None) is simulator:
                del self._by_tag[access.world_tag(name)], self._openings[name]
        simulator.reset()

    def beginning(self, name: str, opening: Opening) -> World:
        """The first moment of a world: made once per opening, a fork with its own keys afterwards."""
        world = self._first_moment(opening).fork(name)
        access.rekey(world, DEFAULT)
        return world

    def _first_moment(self, opening: Opening) -> World:
        """Files are read again each time: they may have changed."""
        known = [opening.fixture, opening.seed, opening.settings, opening.scenario]
        key = json.dumps(known, sort_keys=True, default=str)
        with self._building:
            world = self._beginnings.pop(key, None)
            if world is None or not assets.is_bundled("fixtures", opening.fixture):
                world = assets.open_world(
                    DEFAULT, opening.fixture, opening.seed, opening.settings, opening.scenario
                )
            self._beginnings[key] = world
            if len(self._beginnings) > MOST_BEGINNINGS:
                self._beginnings.popitem(last=False)
            return world

    def _check_room(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise Refusal("bad_request", f"world name {name[:80]!r}: take 1 to 63 letters, digits, . _ -")
        if name in self._by_name:
            raise Refusal("conflict", f"world {name!r} is open; reset or delete it, or take another name")
        if len(self._by_name) >= MOST_WORLDS:
            raise Refusal("conflict", f"{MOST_WORLDS} worlds are open; delete one first")

    def _add(self, name: str, world: World, opening: Opening) -> Simulator:
        with self._lock:
            self._check_room(name)
            simulator = Simulator(self.contract, world, self._courier, opening.clock, self._tell)
            self._by_name[name] = self._by_tag[access.world_tag(name)] = simulator
            self._openings[name] = opening
        self._tell(simulator)
        return simulator

    def _tell(self, simulator: Simulator) -> None:
        for listener in self.listeners:
            listener(simulator)
