"""Target 1: what checking requests and answers adds to a call of the Flask application.

Both sides are the same application, called directly as WSGI; the contract of the other one routes and
decodes, and checks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any

import msgspec
from werkzeug.test import EnvironBuilder

from benchmarks.comparison import Comparison, Effort, Measure, prepared, repeated
from benchmarks.population import client_of, world_of
from simulator import assets
from simulator.adapters.web import create_app
from simulator.contract import Answer, Checked, Contract, OperationSpec, Problem, Route
from simulator.contract.reading import read_query
from simulator.kernel.operation import Request
from simulator.kernel.world import World
from simulator.worlds import DEFAULT, Opening, Worlds

CALLS = 90


class Unchecked(Contract):
    """Reads requests and finds everything right."""

    def check_request(self, route: Route, query: str, headers: Mapping[str, str], body: bytes) -> Checked:
        values = read_query(query, route.operation)[0] if query else {}
        return Checked(values, msgspec.json.decode(body) if body else None)

    def check_response(self, operation: OperationSpec, answer: Answer) -> Problem | None:
        return None


class Service:
    """The application, with a world that begins anew whenever that is wanted."""

    def __init__(self, contract: Contract, genesis: World) -> None:
        worlds = Worlds()
        worlds.contract = contract
        self._simulator = worlds.open(DEFAULT, Opening())
        self._genesis = genesis
        self._app = create_app(worlds)
        self.begin()

    def begin(self) -> None:
        self._simulator.reset(self._genesis)

    def sending(self, request: Request) -> Callable[[], None]:
        """A function that sends the request and takes the answer."""
        environ = EnvironBuilder(
            method=request.method,
            path=request.path,
            query_string=request.query,
            headers=list(request.headers.items()),
        ).get_environ()
        environ["CONTENT_LENGTH"] = str(len(request.body))
        statuses: list[str] = []

        def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
            statuses.append(status)
            return bytes

        def send() -> None:
            body = b"".join(
                self._app.wsgi_app({**environ, "wsgi.input": BytesIO(request.body)}, start_response)
            )
            assert statuses.pop() == "200 OK", body

        return send

    def creating(self, request: Request) -> Measure:
        """The same for a request that fills the world."""
        send = self.sending(request)

        def prepare() -> Callable[[], object]:
            self.begin()
            return send

        return prepared(prepare, CALLS)


def compare(effort: Effort) -> Iterator[Comparison]:
    genesis = world_of(effort.small)
    client = client_of(genesis)
    page = client.request("GET", "/v1/orgs/{org}/vms?limit=50")
    body = {"name": "trainer", "gpuModelId": "rtx-4090", "gpuCount": 1, "envVars": {"RUN": "7"}}
    create = client.request("POST", "/v1/orgs/{org}/vms/create", body)
    checked, unchecked = (
        Service(kind(assets.contract_document()), genesis) for kind in (Contract, Unchecked)
    )
    ours, other = (repeated(service.sending(page), effort) for service in (checked, unchecked))
    yield Comparison(1, "page of 50, checked / unchecked app", ours, other, 1.9)
    ours, other = checked.creating(create), unchecked.creating(create)
    yield Comparison(1, "create, checked / unchecked app", ours, other, 1.8)
