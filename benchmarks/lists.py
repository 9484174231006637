"""Target 10 for every list in pages or of a bounded length: a page costs the same, however long it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from benchmarks.comparison import Comparison, Effort, repeated
from benchmarks.population import Client, client_of
from simulator import assets
from simulator.domain.events import Delivery
from simulator.domain.metering import Transaction
from simulator.kernel.operation import Request
from simulator.kernel.world import Row
from simulator.resources.batches.lifecycle import Batch
from simulator.resources.clusters.states import Cluster
from simulator.resources.runners.lifecycle import RunnerJob
from simulator.resources.transfers import Transfer
from simulator.resources.vms.lifecycle import Vm
from simulator.worlds import DEFAULT

AT_MOST = 1.3
CREATE_VM = {"name": "one", "resourceSize": "small"}


class Paged(NamedTuple):
    """A list, how a client makes its first row, and what it then asks for."""

    operation: str
    kind: type[Row]
    make: Callable[[Client], Any]
    """Answers what `page` needs to know."""
    page: Callable[[Client, Any, int], Request]
    """Of so many rows a page from the middle, or the newest where there is no other."""


def compare(effort: Effort) -> Iterator[Comparison]:
    for paged in LISTS:
        ours, other = (repeated(look(paged, rows), effort) for rows in (effort.large, effort.small))
        what = f"{paged.operation} of {effort.large:,} rows / {effort.small:,}"
        yield Comparison(10, what, ours, other, AT_MOST)


def look(paged: Paged, rows: int) -> Callable[[], object]:
    """A call for a page, in a world with so many rows."""
    client = client_of(assets.open_world(DEFAULT, DEFAULT, seed=0))
    known = paged.make(client)
    multiply(client, paged.kind, rows)
    request = paged.page(client, known, rows)
    return lambda: client.ask(request)


def multiply(client: Client, kind: type[Row], rows: int) -> None:
    """Let there be so many rows like the one there is, each a little older than the one after it."""
    world = client.simulator.world
    *_, row = world.rows(kind)
    for at in range(1, rows):
        made = row.created_at_ms - rows + at
        world.put(msgspec.structs.replace(row, id=f"{row.id}-{at:06}", created_at_ms=made))


# -- first rows, and pages ---------------------------------------------------------------------------------


def post(client: Client, path: str, body: Any) -> Any:
    return json.loads(client.ask(client.request("POST", path, body)).body)


def read(client: Client, path: str) -> Any:
    return json.loads(client.ask(client.request("GET", path)).body)


def vm(client: Client) -> Any:
    return post(client, "/v1/orgs/{org}/vms/create", CREATE_VM)


def cluster(client: Client) -> Any:
    return post(client, "/v1/orgs/{org}/clusters/create", CREATE_VM)


def offer(client: Client) -> Any:
    body = {"resourceType": "vm", "resourceId": vm(client)["id"], "targetOrgSlug": "globex"}
    client.simulator.advance(60)
    return post(client, "/v1/orgs/{org}/transfers", body)


def delivery(client: Client) -> Any:
    hook = post(client, "/v1/orgs/{org}/webhooks/create", {"name": "one", "url": "https://hooks.example.com"})
    client.simulator.do("webhook.send", {"id": client.organization_id})
    return hook


def job(client: Client) -> Any:
    pool = post(
        client, "/v1/orgs/{org}/runner-pools", {"name": "ci", "installationId": 4001, "poolRamGb": 32}
    )
    client.simulator.do("runner.queue_job", {"id": pool["id"]})
    return pool


def batch(client: Client) -> Any:
    endpoint = "/v1/chat/completions"
    body = {"model": "qwen3-32b", "messages": [{"role": "user", "content": "hello"}]}
    record = {"custom_id": "one", "method": "POST", "url": endpoint, "body": body}
    return post(
        client, "/v1/batches", {"endpoint": endpoint, "completion_window": "24h", "requests": [record]}
    )


def line(client: Client) -> None:
    client.simulator.do("balance.credit", {"id": client.organization_id, "cents": 100})


def second(path: str) -> Callable[[Client, Any, int], Request]:
    """The page that begins at the first one's cursor."""

    def page(client: Client, known: Any, rows: int) -> Request:
        return client.request("GET", f"{path}&cursor={read(client, path)['nextCursor']}")

    return page


def only(path: str) -> Callable[[Client, Any, int], Request]:
    return lambda client, known, rows: client.request("GET", path)


def of_hook(client: Client, hook: Any, rows: int) -> Request:
    return client.request("GET", f"/v1/orgs/{{org}}/webhooks/{hook['id']}/deliveries?limit=50")


def of_pool(client: Client, pool: Any, rows: int) -> Request:
    path = f"/v1/orgs/{{org}}/runner-pools/{pool['id']}/jobs"
    return client.request("GET", f"{path}?limit=50&offset={rows // 2}")


def after_last(client: Client, first: Any, rows: int) -> Request:
    last = read(client, "/v1/batches?limit=50")["last_id"]
    return client.request("GET", f"/v1/batches?limit=50&after={last}")


LISTS = (
    Paged("listOrgVms", Vm, vm, second("/v1/orgs/{org}/vms?limit=50")),
    Paged("listOrgVms, active", Vm, vm, second("/v1/orgs/{org}/vms?activeOnly=true&limit=50")),
    Paged("listOrgClusters", Cluster, cluster, second("/v1/orgs/{org}/clusters?limit=50")),
    Paged("listOrgWebhookDeliveries", Delivery, delivery, of_hook),
    Paged("listRunnerJobs", RunnerJob, job, of_pool),
    Paged("listBatches", Batch, batch, after_last),
    Paged("listOutgoingTransfers", Transfer, offer, only("/v1/orgs/{org}/transfers/outgoing")),
    Paged("getBalance", Transaction, line, only("/v1/orgs/{org}/billing/balance")),
)
"""What the contract gives a limit, a cursor or an offset, and what has a bound of its own: 50 outgoing
transfers, 25 transactions."""
