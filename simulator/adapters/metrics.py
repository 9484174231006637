"""Figures of all worlds for Prometheus, counted when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from simulator import __version__
from simulator.domain.capacity import Node
from simulator.domain.events import Delivery
from simulator.domain.faults.rules import Rule
from simulator.domain.metering import Account
from simulator.kernel.world import World
from simulator.resources.clusters.states import Cluster
from simulator.resources.vms.lifecycle import Vm
from simulator.worlds import Worlds

MEDIA_TYPE = CONTENT_TYPE_LATEST
PREFIX = "openrelay_sim"


def exposition(worlds: Worlds) -> bytes:
    """The figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(worlds))
    text: bytes = generate_latest(registry)
    return text


class _Figures(Collector):
    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(f"{PREFIX}_info", "Version of the simulator.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield GaugeMetricFamily(f"{PREFIX}_worlds", "Worlds that are open.", value=len(self._worlds))
        requests = CounterMetricFamily(
            f"{PREFIX}_requests",
            "Requests answered since the world was opened.",
            labels=["world", "operation", "status"],
        )
        gauges = {
            name: GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=["world", *labels])
            for name, text, labels in GAUGES
        }
        for one in self._worlds:
            with one.reading() as world:
                for (operation, status), number in sorted(world.journal.answered.items()):
                    requests.add_metric([one.name, operation, str(status)], number)
                for name, labels, value in _of(world):
                    gauges[name].add_metric([one.name, *labels], value)
        yield requests
        yield from gauges.values()


GAUGES = (
    ("virtual_time_seconds", "Virtual now, in seconds since 1970.", ()),
    ("pending_timers", "Timers that are set.", ()),
    ("journal_entries", "Entries that the journal holds.", ()),
    ("journal_dropped", "Entries that the journal has dropped.", ()),
    ("vms", "VMs by status.", ("status",)),
    ("clusters", "Clusters by status.", ("status",)),
    ("deliveries", "Webhook attempts that are kept, by status.", ("status",)),
    ("gpus_free", "GPUs of nodes that are online and free, by model.", ("model",)),
    ("burn_cents_per_hour", "What all organizations pay an hour.", ()),
    ("fault_hits", "How often a fault rule struck.", ("rule",)),
)


def _of(world: World) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """The figures of one world: name, labels, value."""
    yield "virtual_time_seconds", (), world.now_ms / 1000
    yield "pending_timers", (), len(world.clock)
    yield "journal_entries", (), len(world.journal)
    yield "journal_dropped", (), world.journal.dropped
    for name, kind in (("vms", Vm), ("clusters", Cluster), ("deliveries", Delivery)):
        counts = Counter(row.status for row in world.rows(kind))  # type: ignore[attr-defined]
        for status, number in sorted(counts.items()):
            yield name, (status,), number
    free: Counter[str] = Counter()
    for node in world.rows(Node):
        if node.status == "online" and node.gpu_model_id:
            free[node.gpu_model_id] += sum(node.units[at].gpus for at in node.free_positions)
    for model, number in sorted(free.items()):
        yield "gpus_free", (model,), number
    yield "burn_cents_per_hour", (), sum(account.burn_cents for account in world.rows(Account))
    for rule in world.rows(Rule):
        yield "fault_hits", (rule.id,), rule.hits
