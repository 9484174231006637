"""A cloud in this process, spoken to as a client would: method, path, body in; status and body out."""

from __future__ import annotations

import json
from copy import copy
from typing import Any, NamedTuple

from simulator.domain import access
from simulator.domain.events import Outcome, Outgoing
from simulator.engine import Advanced, ClockState, Simulator
from simulator.kernel.operation import Reply, Request
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Row, World
from simulator.worlds import DEFAULT, Opening, Worlds


class Answer(NamedTuple):
    """What came back; `body` is decoded JSON, None for an empty one, bytes where it is no JSON."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def error(self) -> dict[str, Any]:
        """The members of an error; on the inference host they stand in an object of their own."""
        found: dict[str, Any] = self.body["error"] if isinstance(self.body["error"], dict) else self.body
        return found

    @property
    def code(self) -> str:
        """The code of an error body."""
        code: str = self.error["code"]
        return code


class Mailbox:
    """A courier that keeps what it is handed, and answers what the test wants."""

    def __init__(self) -> None:
        self.received: list[Outgoing] = []
        self.replies: list[Outcome] = []
        """Answers to come, first one first; 200 when there is none left."""

    def __call__(self, outgoing: Outgoing) -> Outcome:
        self.received.append(outgoing)
        return self.replies.pop(0) if self.replies else Outcome(status_code=200)

    def types(self) -> list[str]:
        return [outgoing.headers["X-VectorLay-Event"] for outgoing in self.received]

    def bodies(self) -> list[Any]:
        return [json.loads(outgoing.body) for outgoing in self.received]


class Cloud:
    """One world with a client in it. `fixture` names a bundled world, `settings` win over its own."""

    def __init__(self, fixture: str = DEFAULT, seed: int = 0, clock: str = "manual", **settings: Any) -> None:
        self.mailbox = Mailbox()
        self.worlds = Worlds(self.mailbox)
        named = {key.replace("__", "."): value for key, value in settings.items()}
        mode = ClockState(mode=clock)  # type: ignore[arg-type]
        self.worlds.open(DEFAULT, Opening(fixture=fixture, seed=seed, settings=named, clock=mode))
        self.visit(DEFAULT)

    def beside(self, name: str, seed: int) -> Cloud:
        """Another world in the same process, with a client of its own."""
        self.worlds.open(name, Opening(seed=seed))
        twin = copy(self)
        twin.visit(name)
        return twin

    def visit(self, name: str) -> None:
        """Be the client of this world."""
        self.simulator: Simulator = self.worlds.get(name)
        key, self.key = access.fixture_keys(self.world)[0]
        self.org = key.organization_id
        self.ssh_key = ""
        """An SSH key of the organization, once a test has made one."""

    @property
    def world(self) -> World:
        return self.simulator.world

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> Answer:
        """Send a request; {org} in the path is the organization of the key. `key=""` sends no credential."""
        path, _, query = path.replace("{org}", self.org).partition("?")
        sent = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        token = self.key if key is None else key
        if token:
            sent.setdefault("authorization", f"Bearer {token}")
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        if raw:
            sent.setdefault("content-type", "application/json")
        return self.read(self.worlds.call(Request(method, path, query, sent, raw)))

    def read(self, reply: Reply) -> Answer:
        """What a client makes of a reply."""
        is_json = reply.headers.get("Content-Type") == "application/json"
        return Answer(reply.status, json.loads(reply.body) if is_json else reply.body or None, reply.headers)

    def get(self, path: str, **more: Any) -> Answer:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("POST", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("PATCH", path, body, **more)

    def delete(self, path: str, **more: Any) -> Answer:
        return self.call("DELETE", path, **more)

    def advance(self, seconds: float) -> Advanced:
        return self.simulator.advance(seconds)

    def do(self, action: str, **arguments: Any) -> Any:
        return self.simulator.do(action, arguments)

    def attempt(self, action: str, **arguments: Any) -> Any:
        """The same; what is refused, and answers None, has changed nothing."""
        version = self.world.version
        try:
            return self.do(action, **arguments)
        except Refusal:
            assert self.world.version == version, f"{action} refused after it had changed something"
            return None

    def launch(self, name: str = "trainer", **body: Any) -> dict[str, Any]:
        """A VM, an RTX 4090 unless the body says otherwise; fails the test when it is refused."""
        wanted = {"name": name, "gpuModelId": "rtx-4090", **body}
        answer = self.post("/v1/orgs/{org}/vms/create", {k: v for k, v in wanted.items() if v is not None})
        assert answer.status == 200, answer
        launched: dict[str, Any] = answer.body
        return launched

    def run_vm(self, name: str = "trainer", **body: Any) -> dict[str, Any]:
        """The same, and time until it runs."""
        vm = self.launch(name, **body)
        self.simulator.advance_until_status(vm["id"], "running")
        return self.vm(vm["id"])

    def vm(self, vm_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/v1/vms/{vm_id}").body
        return found

    def bugs(self) -> list[dict[str, Any]]:
        """Answers that broke the contract: always empty."""
        return [entry.facts for entry in self.world.journal if entry.kind == "bug"]

    def entries(self, kind: str) -> list[dict[str, Any]]:
        return [entry.facts for entry in self.world.journal if entry.kind == kind]

    def rows(self, kind: type[Row]) -> list[Any]:
        return list(self.world.rows(kind))
