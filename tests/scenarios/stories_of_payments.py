"""Bad days of money: cards that are declined, cardholders who are asked, recharges that do not come."""

from __future__ import annotations

from typing import Any

from tests.scenarios.client import Client, Story
from tests.scenarios.stories_of_the_api import GPU, until_running

HOUR_S = 3600


def deposit(client: Client, cents: int, key: str) -> dict[str, Any]:
    """Charge the card; asked again with the same key, it answers the same payment."""
    wanted = {"amountCents": cents, "idempotencyKey": key}
    paid: dict[str, Any] = client.ask("POST", "/v1/orgs/{org}/billing/deposit", wanted)
    return paid


def available(client: Client) -> int:
    """What is left. `balanceCents` does not move while VMs run."""
    cents: int = client.ask("GET", "/v1/orgs/{org}/billing/balance")["availableCents"]
    return cents


def until_available(client: Client, cents: int, every_s: float) -> None:
    while available(client) < cents:
        client.sleep(every_s)


def run_job(client: Client, hours: int) -> None:
    vm = client.create("trainer", gpuModelId=GPU)
    until_running(client, vm["id"])
    client.sleep(hours * HOUR_S)
    client.terminate(vm["id"])


class CardDeclined:
    careless_breaks = ("resource", "event", "event")

    def careless(self, client: Client) -> None:
        """Takes 200 for paid."""
        deposit(client, 2000, "night")
        run_job(client, 10)

    def careful(self, client: Client) -> None:
        """Reads what became of the charge; the next attempt has a key of its own, and waits for people."""
        for number in range(3):
            paid = deposit(client, 2000, f"night-{number}")
            if paid["status"] == "succeeded":
                until_available(client, 2000, every_s=5)
                run_job(client, 10)
                return
            print("the card was declined:", paid.get("declineCode"))
            client.sleep(HOUR_S)


class PaymentNeedsAction:
    careless_breaks = ("fault", "resource", "event")

    def careless(self, client: Client) -> None:
        """Takes all but `succeeded` for no, and orders anew."""
        for number in range(3):
            if deposit(client, 2000, f"night-{number}")["status"] == "succeeded":
                run_job(client, 10)
                return
            client.sleep(60)

    def careful(self, client: Client) -> None:
        """Hands the payment to its owner, and watches the balance."""
        paid = deposit(client, 2000, "night")
        if paid["status"] == "requires_action":
            print("confirm the payment, please:", paid["clientSecret"].partition("_secret_")[0])
        until_available(client, 2000, every_s=180)
        run_job(client, 10)


class AutoRechargeFails:
    careless_breaks = ("event", "event")

    def rely(self, client: Client) -> None:
        policy = {"enabled": True, "thresholdCents": 300, "amountCents": 2000}
        client.ask("PUT", "/v1/orgs/{org}/billing/auto-recharge", policy)

    def careless(self, client: Client) -> None:
        """Relies on it."""
        self.rely(client)
        run_job(client, 24)

    def careful(self, client: Client) -> None:
        """Watches the balance all the same, and pays by hand while there is time."""
        self.rely(client)
        vm = client.create("trainer", gpuModelId=GPU)
        until_running(client, vm["id"])
        for hour in range(0, 24, 4):
            client.sleep(4 * HOUR_S)
            if available(client) < 250:
                deposit(client, 2000, f"trainer-{hour}")
        client.terminate(vm["id"])


STORIES: dict[str, Story] = {
    "card-declined": CardDeclined(),
    "payment-needs-action": PaymentNeedsAction(),
    "auto-recharge-fails": AutoRechargeFails(),
}
