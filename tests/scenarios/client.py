"""A client that lives through a scenario, in this process: what it does with a connection, an answer and its
own patience is all that tells a careless one from a careful one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Protocol, TypeVar

from simulator import assets
from simulator.domain import signing
from simulator.domain.events import Outcome, Outgoing
from simulator.insight.story import lines
from simulator.insight.verdict import Finding, verdict
from simulator.kernel.operation import Reply
from simulator.worlds import DEFAULT, Opening
from tests.support.cloud import Answer, Cloud

T = TypeVar("T")

MOST_CALLS = 2000
"""A client that never gives up is stopped here: the test fails."""


class Lost(ConnectionError):
    """No whole answer came; whether the request was carried out, nobody knows."""


class Refused(Exception):
    """An answer that says no."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.status} {answer.body}")
        self.status = answer.status
        self.code = answer.code if isinstance(answer.body, dict) else ""
        self.retry_after_s = float(answer.headers.get("Retry-After", 0))


class Post:
    """A webhook as it arrives: headers, and the bytes of the body, which are what is signed."""

    def __init__(self, outgoing: Outgoing) -> None:
        self.headers, self.raw = outgoing.headers, outgoing.body
        self.body = json.loads(outgoing.body)
        self.id: str = self.body["id"]
        """The same for every attempt to tell of this event."""
        self.type: str = self.body["type"]

    def signed_with(self, secret: str) -> bool:
        return signing.verify(secret, self.raw, self.headers["X-VectorLay-Signature"])


Receiver = Callable[[Post], int | None]
"""Takes a webhook and answers a status, by default 200. It may call the API, and must not sleep."""


class Client(Cloud):
    """One who lives through a scenario. `sleep` lets virtual time pass."""

    def __init__(self, scenario: str | dict[str, Any]) -> None:
        super().__init__()
        document = assets.load_scenario(scenario) if isinstance(scenario, str) else scenario
        self.worlds.reset(DEFAULT, Opening.of_scenario(document))
        self.visit(DEFAULT)
        self.calls = 0
        self.dice = Random(1)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """As Cloud.call, but a connection that is cut, or an answer that cannot be read, raises Lost."""
        self.calls += 1
        assert self.calls <= MOST_CALLS, "this client never gives up"
        return super().call(method, path, body, **more)

    def read(self, reply: Reply) -> Answer:
        wire = reply.wire
        if wire is not None and (wire.cut or wire.bytes is not None):
            raise Lost("cut")
        try:
            return super().read(reply)
        except ValueError:
            raise Lost("no JSON") from None

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The body of a good answer. Raises Refused, or Lost, also for a good answer that is no JSON."""
        answer = self.call(method, path, body, **more)
        if answer.status >= 400:
            raise Refused(answer)
        if isinstance(answer.body, bytes):
            raise Lost("no JSON")
        return answer.body

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def patiently(self, ask: Callable[[], T], tries: int = 10) -> T:
        """Ask again what may be asked twice: after no answer, 429 and 5xx, and nothing else. It waits twice
        as long each time, no less than Retry-After says, and a little longer, lest all come back at once."""
        pause_s = 2.0
        for _ in range(tries - 1):
            try:
                return ask()
            except Lost:
                wait_s = pause_s
            except Refused as refused:
                if refused.status != 429 and refused.status < 500:
                    raise
                wait_s = max(pause_s, refused.retry_after_s)
            self.sleep(round(wait_s * (1 + self.dice.random() / 4)))
            pause_s = min(60.0, pause_s * 2)
        return ask()

    def listen(self, receiver: Receiver, *events: str) -> str:
        """Have webhooks sent here: all, or those of some events. Answers the secret that signs them."""

        def courier(outgoing: Outgoing) -> Outcome:
            return Outcome(status_code=receiver(Post(outgoing)) or 200)

        self.simulator.courier = courier
        hook = {"name": "ours", "url": "http://127.0.0.1:9000/openrelay", "events": list(events)}
        secret: str = self.ask("POST", "/v1/orgs/{org}/webhooks/create", hook)["secret"]
        return secret

    # -- words that many stories need ------------------------------------------------------------------------

    def create(self, name: str, **body: Any) -> dict[str, Any]:
        """A VM, with one RTX 4090 unless the body says otherwise."""
        wanted = {"name": name, "gpuModelId": "rtx-4090", **body}
        made: dict[str, Any] = self.ask("POST", "/v1/orgs/{org}/vms/create", wanted)
        return made

    def look(self, vm_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/v1/vms/{vm_id}")
        return found

    def vms(self, name: str | None = None) -> list[dict[str, Any]]:
        """The organization's VMs that are not terminated, page by page."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.ask("GET", f"/v1/orgs/{{org}}/vms?activeOnly=true&limit=50{cursor}")
            found += [vm for vm in page["items"] if name in (None, vm["name"])]
            if not page.get("nextCursor"):
                return found
            cursor = f"&cursor={page['nextCursor']}"

    def wait_for(
        self, vm_id: str, *statuses: str, patience_s: float = 900, every_s: float = 5
    ) -> dict[str, Any]:
        """Look every five seconds until a VM has one of these statuses, or patience is over."""
        waited = 0.0
        while (vm := self.look(vm_id))["status"] not in statuses and waited < patience_s:
            self.sleep(every_s)
            waited += every_s
        return vm

    def terminate(self, vm_id: str) -> None:
        self.ask("POST", f"/v1/vms/{vm_id}/terminate")

    # -- how it went -----------------------------------------------------------------------------------------

    def verdict(self) -> list[Finding]:
        return verdict(self.world, self.simulator.genesis)

    def broken(self) -> list[str]:
        """The expectations that do not hold, each with what was found."""
        return [f"{json.dumps(one.expect)}: {one.found}" for one in self.verdict() if not one.holds]

    def journal(self) -> Iterator[str]:
        """What happened, a line each."""
        return lines(self.world)


Play = Callable[[Client], None]


class Story(Protocol):
    """Two clients that live through a scenario."""

    @property
    def careless_breaks(self) -> tuple[str, ...]:
        """Subjects of the expectations that the careless one does not meet, in their order."""

    def careless(self, client: Client) -> None: ...

    def careful(self, client: Client) -> None: ...


def play(scenario: str | dict[str, Any], how: Play) -> Client:
    """Live through a scenario; afterwards all that is under way has come to rest."""
    client = Client(scenario)
    how(client)
    client.simulator.come_to_rest()
    return client
