"""Same seed, same fixture, same calls: the same bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from threading import Lock

import msgspec
import pytest

from tests.support.cloud import Cloud

ROOT = Path(__file__).resolve().parents[1]


def story(cloud: Cloud) -> list[object]:
    """A busy day: every answer, every webhook, the whole journal."""
    answers: list[object] = [
        cloud.post("/v1/orgs/{org}/webhooks/create", {"name": "hook", "url": "http://127.0.0.1:9/"}),
        cloud.post("/v1/orgs/{org}/api-keys/create", {"name": "ci"}).status,
    ]
    for number in range(12):
        body = {"name": f"vm-{number}", "gpuModelId": ("rtx-4090", "rtx-3090", "a100-sxm-80gb")[number % 3]}
        answers.append(cloud.post("/v1/orgs/{org}/vms/create", body))
        cloud.advance(number * 7)
    cloud.do("node.offline", select="random")
    cloud.do("vm.exit", select="first")
    cloud.advance(3600)
    paths = ("/v1/orgs/{org}/vms", "/v1/gpu-availability", "/v1/me", "/v1/orgs/{org}/billing/balance")
    answers += [cloud.get(path) for path in paths]
    sent = [(outgoing.headers["X-VectorLay-Event"], outgoing.body) for outgoing in cloud.mailbox.received]
    return [*answers, sent, list(cloud.world.journal)]


def fingerprint(seed: int) -> str:
    return hashlib.sha256(msgspec.json.encode(story(Cloud(seed=seed)))).hexdigest()


def test_two_runs_give_the_same_bytes_and_another_seed_others() -> None:
    assert fingerprint(1) == fingerprint(1)
    assert fingerprint(1) != fingerprint(2)


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_the_hash_seed_changes_nothing(hash_seed: str) -> None:
    script = "from tests.test_determinism import fingerprint; print(fingerprint(1))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == fingerprint(1)


def test_two_worlds_called_by_eight_threads_at_once_answer_as_if_they_were_alone() -> None:
    """Four threads per world take its calls from one list in turn, as the other world's four do."""

    def calls(cloud: Cloud) -> Iterator[object]:
        for number in range(40):
            body = {"name": f"vm-{number}", "resourceSize": "small"}
            yield cloud.post("/v1/orgs/{org}/vms/create", body)
            yield cloud.advance(number)
            yield cloud.get("/v1/orgs/{org}/vms?limit=5")

    def take_turns(clouds: list[Cloud], threads: int) -> list[list[object]]:
        scripts = [calls(cloud) for cloud in clouds]
        heard: list[list[object]] = [[] for _ in clouds]
        turns = [Lock() for _ in clouds]

        def work(number: int) -> None:
            at = number % len(clouds)
            for _ in range(120):
                with turns[at]:
                    heard[at] += islice(scripts[at], 1)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(threads)))
        return heard

    together, alone = Cloud(), Cloud()
    both = take_turns([together.beside("left", 1), together.beside("right", 2)], threads=8)
    left, right = (
        take_turns([alone.beside(name, seed)], threads=1) for name, seed in (("left", 1), ("right", 2))
    )
    assert both == [*left, *right]
