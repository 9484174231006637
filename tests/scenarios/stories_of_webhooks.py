"""Bad days of webhooks: lost, sent twice, overtaken and forged."""

from __future__ import annotations

from collections.abc import Callable

from tests.scenarios.client import Client, Post, Story
from tests.scenarios.stories_of_payments import deposit
from tests.scenarios.stories_of_the_api import GPU


class WebhooksLost:
    careless_breaks = ("spend",)

    def careless(self, client: Client) -> None:
        """Begins when it is told, and is not told until somebody comes in the morning."""
        self.train(client, looks=False)

    def careful(self, client: Client) -> None:
        """Begins when it is told, and looks for itself every five minutes."""
        self.train(client, looks=True)

    def train(self, client: Client, *, looks: bool) -> None:
        told: set[str] = set()
        client.listen(lambda post: told.add(post.body["data"]["vm_id"]), "vm.running")
        vm = client.create("trainer", gpuModelId=GPU)
        for minute in range(1, 12 * 60):
            client.sleep(60)
            if vm["id"] in told:
                break
            if looks and minute % 5 == 0 and client.look(vm["id"])["status"] == "running":
                break
        client.sleep(3600)
        client.terminate(vm["id"])


class WebhooksDuplicated:
    careless_breaks = ("calls", "leaks")

    def careless(self, client: Client) -> None:
        """Knows an event again by X-VectorLay-Delivery, which is new with every attempt."""
        self.serve(client, lambda post: post.headers["X-VectorLay-Delivery"])

    def careful(self, client: Client) -> None:
        """Knows an event again by the id in its body."""
        self.serve(client, lambda post: post.id)

    def serve(self, client: Client, mark: Callable[[Post], str]) -> None:
        """Keep one worker up for half an hour: one that has ended is replaced."""
        seen: set[str] = set()
        workers: list[str] = []

        def replace(post: Post) -> None:
            if mark(post) not in seen:
                seen.add(mark(post))
                client.terminate(post.body["data"]["vm_id"])
                workers.append(client.create("worker", gpuModelId=GPU)["id"])

        client.listen(replace, "vm.stopped")
        workers.append(client.create("worker", gpuModelId=GPU)["id"])
        client.sleep(1800)
        client.terminate(workers[-1])


class WebhooksReordered:
    careless_breaks = ("calls", "leaks")

    def careless(self, client: Client) -> None:
        """Takes the event that came last for what is so now."""
        self.watch(client, lambda vm_id: True)

    def careful(self, client: Client) -> None:
        """Takes an event for a hint: before it acts, it looks."""
        self.watch(client, lambda vm_id: client.look(vm_id)["status"] == "interrupted")

    def watch(self, client: Client, really: Callable[[str], bool]) -> None:
        """Keep a trainer up for half an hour: one that has been away for five minutes is given up."""
        heard: dict[str, str] = {}
        client.listen(lambda post: heard.update({post.body["data"]["vm_id"]: post.type}))
        vm_id, away = client.create("trainer", gpuModelId=GPU)["id"], 0
        for _ in range(30):
            client.sleep(60)
            away = away + 1 if heard.get(vm_id) == "vm.interrupted" else 0
            if away == 5 and really(vm_id):
                vm_id, away = client.create("trainer", gpuModelId=GPU)["id"], 0
        client.terminate(vm_id)


class WebhooksForged:
    careless_breaks = ("delivered", "resource")

    def careless(self, client: Client) -> None:
        """Believes whoever knows the address of its receiver."""
        self.train(client, lambda post, secret: True)

    def careful(self, client: Client) -> None:
        """Believes whoever knows the secret."""
        self.train(client, lambda post, secret: post.signed_with(secret))

    def train(self, client: Client, believes: Callable[[Post, str], bool]) -> None:
        """Train while the money lasts: when it gets low, the card is charged."""
        heard: list[str] = []

        def receive(post: Post) -> int:
            if not believes(post, secret):
                return 401
            heard.append(post.type)
            if post.type == "balance.low":
                deposit(client, 2000, post.id)
            return 200

        secret = client.listen(receive, "vm.running", "balance.low")
        vm = client.create("trainer", gpuModelId=GPU)
        while "vm.running" not in heard:
            client.sleep(15)
        client.sleep(1800)
        client.terminate(vm["id"])


STORIES: dict[str, Story] = {
    "webhooks-lost": WebhooksLost(),
    "webhooks-duplicated": WebhooksDuplicated(),
    "webhooks-reordered": WebhooksReordered(),
    "webhooks-forged": WebhooksForged(),
}
