"""Bad days of the API itself: answers, connections, keys and limits."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from simulator.domain import access
from simulator.kernel.instant import iso
from tests.scenarios.client import Client, Lost, Refused, Story

GPU = "rtx-3090"
"""18 cents an hour, and a dozen of them are free."""


def until_running(client: Client, vm_id: str) -> None:
    """Look every 15 seconds, with patience for answers that do not come."""
    while client.patiently(lambda: client.look(vm_id))["status"] != "running":
        client.sleep(15)


def until_gone(client: Client, vm_id: str) -> None:
    """Terminate, and see that it was done. It may be asked for as often as one likes."""
    client.patiently(lambda: client.terminate(vm_id))
    assert client.patiently(lambda: client.look(vm_id))["status"] == "terminated"


def found_or_made(client: Client, name: str) -> dict[str, Any]:
    """The VM of this name. Whether a create without an answer was carried out is looked up before another."""

    def once() -> dict[str, Any]:
        there = client.vms(name)
        return there[0] if there else client.create(name, gpuModelId=GPU)

    return client.patiently(once)


class AnswersLost:
    careless_breaks = ("leaks",)

    def careless(self, client: Client) -> None:
        """Tries again, and knows of one VM."""
        try:
            vm = client.create("trainer", gpuModelId=GPU)
        except Lost:
            vm = client.create("trainer", gpuModelId=GPU)
        until_running(client, vm["id"])
        client.sleep(600)
        client.terminate(vm["id"])

    def careful(self, client: Client) -> None:
        """Looks whether it has happened before it tries again."""
        try:
            vm = client.create("trainer", gpuModelId=GPU)
        except Lost:
            vm = found_or_made(client, "trainer")
        until_running(client, vm["id"])
        client.sleep(600)
        client.terminate(vm["id"])


class ConnectionResets:
    careless_breaks = ("fault", "leaks")

    def careless(self, client: Client) -> None:
        """Goes on after any reset, also that of the call which ends the costs."""
        vm = found_or_made(client, "trainer")
        until_running(client, vm["id"])
        client.sleep(600)
        try:
            client.terminate(vm["id"])
        except Lost:
            print("connection reset; it is going down anyway")

    def careful(self, client: Client) -> None:
        """Asks again, and believes that the VM is gone when the cloud says so."""
        vm = found_or_made(client, "trainer")
        until_running(client, vm["id"])
        client.sleep(600)
        until_gone(client, vm["id"])


class HtmlFromTheProxy:
    careless_breaks = ("leaks",)

    def careless(self, client: Client) -> None:
        """Takes every answer for JSON and dies of those that are none; its supervisor starts it again."""
        for _ in range(5):
            try:
                self.train(client)
                return
            except (Lost, Refused):
                client.sleep(30)

    def train(self, client: Client) -> None:
        vm = client.create("trainer", gpuModelId=GPU)
        while client.look(vm["id"])["status"] != "running":
            client.sleep(15)
        client.sleep(600)
        client.terminate(vm["id"])

    def careful(self, client: Client) -> None:
        """A page is an answer that did not come: a read is asked again."""
        vm = client.create("trainer", gpuModelId=GPU)
        until_running(client, vm["id"])
        client.sleep(600)
        until_gone(client, vm["id"])


class ApiBrownout:
    careless_breaks = ("calls",)

    def careless(self, client: Client) -> None:
        """Tries again ten times a second, whatever Retry-After says."""
        vm = client.create("trainer", gpuModelId=GPU)
        while self.at_once(client, f"/v1/vms/{vm['id']}")["status"] != "running":
            client.sleep(15)
        client.sleep(600)
        client.terminate(vm["id"])

    def at_once(self, client: Client, path: str) -> Any:
        while True:
            try:
                return client.ask("GET", path)
            except (Lost, Refused):
                client.sleep(0.1)

    def careful(self, client: Client) -> None:
        """Waits as long as it is told, and a little longer."""
        vm = client.create("trainer", gpuModelId=GPU)
        until_running(client, vm["id"])
        client.sleep(600)
        until_gone(client, vm["id"])


class RateLimited:
    careless_breaks = ("calls", "event", "event", "leaks")
    names = tuple(f"worker-{number}" for number in range(1, 5))

    def careless(self, client: Client) -> None:
        """Looks at each VM every five seconds, and takes 429 for no in particular."""
        workers = []
        for name in self.names:
            try:
                workers.append(client.create(name, gpuModelId=GPU))
            except Refused:
                print("no capacity, it seems")
        for _ in range(120):
            client.sleep(5)
            for vm in workers:
                client.get(f"/v1/vms/{vm['id']}")
        for vm in workers:
            client.post(f"/v1/vms/{vm['id']}/terminate")

    def careful(self, client: Client) -> None:
        """Asks once for all, and when it is told to wait, it waits."""
        workers = [self.admitted(client, name) for name in self.names]
        while {vm["status"] for vm in client.patiently(client.vms)} != {"running"}:
            client.sleep(15)
        client.sleep(600)
        for vm in workers:
            until_gone(client, vm["id"])

    def admitted(self, client: Client, name: str) -> dict[str, Any]:
        """429 is a sure no: nothing was carried out, and even a create may be asked again."""
        while True:
            try:
                return client.create(name, gpuModelId=GPU)
            except Refused as refused:
                if refused.status != 429:
                    raise
                client.sleep(refused.retry_after_s)


class KeyRevoked:
    careless_breaks = ("calls", "event", "leaks")

    def careless(self, client: Client) -> None:
        """Takes 401 for a bad moment, tries again for ten minutes, and gives up with the VM running."""
        vm = client.create("trainer", gpuModelId=GPU)
        until_running(client, vm["id"])
        for _ in range(10):
            client.sleep(60)
            client.get(f"/v1/vms/{vm['id']}")
        for _ in range(10):
            if client.post(f"/v1/vms/{vm['id']}/terminate").status == 200:
                return
            client.sleep(60)

    def careful(self, client: Client) -> None:
        """Fetches the key from the secret store again, once; it has been changed there."""
        vm = client.create("trainer", gpuModelId=GPU)
        until_running(client, vm["id"])
        for _ in range(10):
            client.sleep(60)
            try:
                client.look(vm["id"])
            except Refused as refused:
                if refused.status != 401:
                    raise
                client.key = key_in_store(client)
        client.terminate(vm["id"])


def key_in_store(client: Client) -> str:
    """What a secret store hands out: a key that works, as long as there is one."""
    keys = access.fixture_keys(client.world)
    return next(secret for key, secret in keys if key.revoked_at_ms is None)


class KeyExpired:
    careless_breaks = ("calls", "event", "leaks")
    job = timedelta(minutes=90)

    def careless(self, client: Client) -> None:
        """Has not asked how long its key is good for."""
        vm = client.create("trainer", gpuModelId=GPU)
        until_running(client, vm["id"])
        client.sleep(self.job.total_seconds())
        client.post(f"/v1/vms/{vm['id']}/terminate")

    def careful(self, client: Client) -> None:
        """Has its successor made while the key still can."""
        self.outlast(client, 2 * self.job)
        vm = client.create("trainer", gpuModelId=GPU)
        until_running(client, vm["id"])
        client.sleep(self.job.total_seconds())
        until_gone(client, vm["id"])

    def outlast(self, client: Client, span: timedelta) -> None:
        key = client.ask("GET", "/v1/whoami")["key"]
        if "expiresAt" in key and moment(key["expiresAt"]) < moment(iso(client.world.now_ms)) + span:
            wanted = {"name": "trainer", "expiresInSeconds": int(span.total_seconds())}
            client.key = client.ask("POST", "/v1/orgs/{org}/api-keys/create", wanted)["key"]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


STORIES: dict[str, Story] = {
    "answers-lost": AnswersLost(),
    "connection-resets": ConnectionResets(),
    "html-from-the-proxy": HtmlFromTheProxy(),
    "api-brownout": ApiBrownout(),
    "rate-limited": RateLimited(),
    "key-revoked": KeyRevoked(),
    "key-expired": KeyExpired(),
}
