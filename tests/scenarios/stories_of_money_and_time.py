"""Bad days of money and time: prices, months, offers that end, an empty account, nobody at the door."""

from __future__ import annotations

from typing import Any

from simulator.kernel.instant import iso
from tests.scenarios.client import Client, Post, Story
from tests.scenarios.stories_of_payments import available, deposit

HOUR_S = 3600
MINUTE_S = 60
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAWcnJ/DxAglh6DbVfAH8VNyYw7eXm6pq9Xx6WMwqI6q ada laptop"


def launch(client: Client, **body: Any) -> str:
    """A VM that runs."""
    vm = client.create("trainer", **body)
    client.wait_for(vm["id"], "running", every_s=15)
    vm_id: str = vm["id"]
    return vm_id


def restart(client: Client, vm_id: str) -> None:
    client.ask("POST", f"/v1/vms/{vm_id}/restart")
    client.wait_for(vm_id, "running", every_s=15)


class PriceRises:
    careless_breaks = ("spend",)

    MORNING_S, NOON_S, AFTERNOON_S = HOUR_S, HOUR_S / 2, 4 * HOUR_S

    def careless(self, client: Client) -> None:
        """Stops over noon to save money."""
        vm_id = launch(client)
        client.sleep(self.MORNING_S)
        client.ask("POST", f"/v1/vms/{vm_id}/stop")
        client.sleep(self.NOON_S)
        restart(client, vm_id)
        client.sleep(self.AFTERNOON_S)
        client.terminate(vm_id)

    def careful(self, client: Client) -> None:
        """Stops over noon only if that saves money."""
        vm_id = launch(client)
        client.sleep(self.MORNING_S)
        locked, asked = client.look(vm_id)["pricePerHourCents"], self.price(client)
        pays = asked * self.AFTERNOON_S < locked * (self.NOON_S + self.AFTERNOON_S)
        if pays:
            client.ask("POST", f"/v1/vms/{vm_id}/stop")
        client.sleep(self.NOON_S)
        if pays:
            restart(client, vm_id)
        client.sleep(self.AFTERNOON_S)
        client.terminate(vm_id)

    def price(self, client: Client) -> int:
        rows = client.ask("GET", "/v1/pricing")["gpu"]
        found = (row for row in rows if (row["gpuModelId"], row["tier"]) == ("rtx-4090", "community"))
        cents: int = next(found)["pricePerHourCents"]
        return cents


class TransferExpires:
    careless_breaks = ("resource", "resource", "calls", "event")

    def careless(self, client: Client) -> None:
        """Counts what is pending, and decides the day after tomorrow."""
        if client.ask("GET", "/v1/orgs/{org}/transfers/pending-count")["count"]:
            client.sleep(48 * HOUR_S)
        key = self.add_key(client)
        for offer in client.ask("GET", "/v1/orgs/{org}/transfers/incoming"):
            client.call("POST", f"/v1/transfers/{offer['id']}/accept", {"sshKeyIds": [key]})

    def careful(self, client: Client) -> None:
        """Reads how long each offer holds: takes what holds, and clears away what does not."""
        key = self.add_key(client)
        for offer in client.ask("GET", "/v1/orgs/{org}/transfers/incoming"):
            if offer["expiresAt"] <= iso(client.world.now_ms):
                client.ask("POST", f"/v1/transfers/{offer['id']}/reject")
                continue
            client.ask("POST", f"/v1/transfers/{offer['id']}/accept", {"sshKeyIds": [key]})
            restart(client, offer["vmId"])
            client.sleep(HOUR_S)
            client.ask("POST", f"/v1/vms/{offer['vmId']}/stop")

    def add_key(self, client: Client) -> str:
        wanted = {"name": "laptop", "publicKey": SSH_KEY}
        key: str = client.ask("POST", "/v1/orgs/{org}/ssh-keys/create", wanted)["id"]
        return key


class MonthEnd:
    careless_breaks = ("spend",)

    BUDGET, LAST_STEP = 300, 10
    """Cents: for all of it, and what may be spent between two looks."""

    def careless(self, client: Client) -> None:
        """Holds the month's usage against its budget."""
        vm_id = launch(client)
        while self.month(client) < self.BUDGET - self.LAST_STEP:
            client.sleep(10 * MINUTE_S)
        client.terminate(vm_id)

    def careful(self, client: Client) -> None:
        """Holds what has gone from its account against its budget."""
        before = available(client)
        vm_id = launch(client)
        while before - available(client) < self.BUDGET - self.LAST_STEP:
            client.sleep(10 * MINUTE_S)
        client.terminate(vm_id)

    def month(self, client: Client) -> int:
        cents: int = client.ask("GET", "/v1/orgs/{org}/billing/balance")["currentMonthUsageCents"]
        return cents


class BalanceDepletes:
    careless_breaks = ("event", "spend")

    def careless(self, client: Client) -> None:
        """Comes back after five hours, to a VM that was stopped long ago."""
        vm_id = launch(client)
        client.sleep(5 * HOUR_S)
        client.terminate(vm_id)

    def careful(self, client: Client) -> None:
        """Deposits when the balance is low; the event's id makes it one deposit, however often it hears."""

        def receive(post: Post) -> None:
            deposit(client, 1000, key=post.id)

        client.listen(receive, "balance.low")
        vm_id = launch(client)
        client.sleep(5 * HOUR_S)
        client.terminate(vm_id)


class ReceiverDown:
    careless_breaks = ("leaks",)

    def careless(self, client: Client) -> None:
        """Waits to be told, and takes silence for a start that failed."""
        told = self.listen(client)
        vm_id = client.create("trainer")["id"]
        for _ in range(60):
            if vm_id in told:
                client.terminate(vm_id)
                return
            client.sleep(MINUTE_S)

    def careful(self, client: Client) -> None:
        """Waits to be told, and reads what could not be told to it."""
        told = self.listen(client)
        vm_id = client.create("trainer")["id"]
        while vm_id not in told | self.missed(client) or client.look(vm_id)["status"] != "running":
            client.sleep(MINUTE_S)
        client.sleep(HOUR_S)
        client.terminate(vm_id)

    def listen(self, client: Client) -> set[str]:
        """The VMs that webhooks tell of."""
        told: set[str] = set()
        client.listen(lambda post: told.add(post.body["data"]["vm_id"]))
        return told

    def missed(self, client: Client) -> set[str]:
        """What the attempts that failed were about."""
        (hook,) = client.ask("GET", "/v1/orgs/{org}/webhooks")
        attempts = client.ask("GET", f"/v1/orgs/{{org}}/webhooks/{hook['id']}/deliveries")
        return {attempt["eventId"] for attempt in attempts if attempt["status"] == "failed"}


STORIES: dict[str, Story] = {
    "price-rises": PriceRises(),
    "transfer-expires": TransferExpires(),
    "month-end": MonthEnd(),
    "balance-depletes": BalanceDepletes(),
    "receiver-down": ReceiverDown(),
}
