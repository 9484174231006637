"""Runner jobs, files and batches in any order; after each step everything that must hold is looked at."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simulator.resources.batches.lifecycle import Batch
from simulator.resources.runners.lifecycle import RunnerJob, RunnerPool
from tests.support.batches import jsonl, record, send, start
from tests.support.cloud import Answer, Cloud
from tests.support.effort import walks
from tests.support.invariants import check_world
from tests.support.runners import POOLS, grant_of

MODELS = ("qwen3-32b", "llama-3.3-70b-instruct")
FAULTS: tuple[dict[str, Any], ...] = ({}, {}, {}, {"messages": []}, {"model": "pixtral-12b"})


class Queues(RuleBasedStateMachine):
    """A client of runners and batches, GitHub, OpenRelay and time."""

    @initialize(
        profile=st.sampled_from(("2026-06", "2026-07", "2026-10")),
        percent=st.sampled_from((50, 7, 100)),
        settle_s=st.sampled_from((0, 60, 3600)),
        record_s=st.sampled_from(("1", "0", "0.5..3", "30000", "never")),
    )
    def open(self, profile: str, percent: int, settle_s: int, record_s: str) -> None:
        self.cloud = Cloud(
            profile=profile,
            batches__price_percent=percent,
            inference__settle_after_s=settle_s,
            timing__batch__record_s=record_s,
        )
        self.connect(4001, 32)

    def ask(self, answer: Answer) -> Answer:
        assert answer.status < 500, answer
        return answer

    @rule(number=st.integers(4001, 4004), ram_gb=st.sampled_from((32, 64, 48)))
    def connect(self, number: int, ram_gb: int) -> None:
        grant = grant_of(self.cloud, number) if number < 4004 else ""
        body = {"name": "ci", "installationId": number, "poolRamGb": ram_gb, "grant": grant}
        self.ask(self.cloud.post(POOLS, body))

    @rule(which=st.integers(0, 9), ram_gb=st.sampled_from((32, 64, 128)))
    def resize(self, which: int, ram_gb: int) -> None:
        if pools := self.cloud.rows(RunnerPool):
            path = f"{POOLS}/{pools[which % len(pools)].id}"
            self.ask(self.cloud.post(f"{path}/resize", {"poolRamGb": ram_gb}))

    @rule(which=st.integers(0, 9))
    def delete(self, which: int) -> None:
        if pools := self.cloud.rows(RunnerPool):
            self.ask(self.cloud.delete(f"{POOLS}/{pools[which % len(pools)].id}"))

    @rule(ram_gb=st.lists(st.integers(1, 33), min_size=1, max_size=6), seconds=st.sampled_from((None, 0, 30)))
    def queue(self, ram_gb: list[int], seconds: float | None) -> None:
        for each in ram_gb:
            self.cloud.attempt("runner.queue_job", select="random", ram_gb=each, seconds=seconds)

    @rule(which=st.integers(0, 99), conclusion=st.sampled_from(("completed", "failed", "cancelled")))
    def finish(self, which: int, conclusion: str) -> None:
        if jobs := self.cloud.rows(RunnerJob):
            self.cloud.attempt("runner.finish_job", id=jobs[which % len(jobs)].id, conclusion=conclusion)

    @rule(status=st.sampled_from(("active", "past_due")))
    def pay(self, status: str) -> None:
        self.cloud.attempt("runner.set_subscription", select="random", status=status)

    @rule(
        records=st.lists(st.tuples(st.sampled_from(MODELS), st.sampled_from(FAULTS)), max_size=8),
        by_file=st.booleans(),
    )
    def batch(self, records: list[tuple[str, dict[str, Any]]], by_file: bool) -> None:
        made = [record(f"r{at}", **{"model": model, **body}) for at, (model, body) in enumerate(records)]
        if not by_file:
            self.ask(start(self.cloud, *made))
        elif (file := self.ask(send(self.cloud, jsonl(*made)))).status == 200:
            self.ask(start(self.cloud, requests=None, input_file_id=file.body["id"]))

    @rule(which=st.integers(0, 99))
    def cancel(self, which: int) -> None:
        if batches := self.cloud.rows(Batch):
            self.ask(self.cloud.post(f"/v1/batches/{batches[which % len(batches)].id}/cancel"))

    @rule(cents=st.integers(1, 6000), action=st.sampled_from(("balance.credit", "balance.debit")))
    def move_money(self, action: str, cents: int) -> None:
        self.cloud.attempt(action, name="acme", cents=cents)

    @rule(enabled=st.booleans())
    def open_or_close_the_batch_api(self, enabled: bool) -> None:
        self.cloud.attempt("org.set_feature", name="acme", feature="batch", enabled=enabled)

    @rule()
    def look(self) -> None:
        for path in ("/v1/batches", POOLS, "/v1/orgs/{org}/billing/balance", "/v1/orgs/{org}/ai/proxy"):
            self.ask(self.cloud.get(path))
        for pool in self.cloud.rows(RunnerPool):
            for part in ("", "/jobs", "/metrics"):
                assert self.ask(self.cloud.get(f"{POOLS}/{pool.id}{part}")).status == 200

    @rule(seconds=st.sampled_from((0, 1, 5, 10, 60, 86_400)))
    def wait(self, seconds: float) -> None:
        self.cloud.advance(seconds)

    @rule()
    def wait_for_the_next_month(self) -> None:
        self.cloud.advance(31 * 86_400)

    @invariant()
    def everything_holds(self) -> None:
        if hasattr(self, "cloud"):
            check_world(self.cloud.world)
            assert self.cloud.bugs() == []


TestQueues = Queues.TestCase
TestQueues.settings = walks(40, 40)
