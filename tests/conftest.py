"""Fixtures of every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.support.cloud import Cloud
from tests.support.serving import Serve, Serving

pytest_plugins = ["pytester", "tests.support.reach"]

# The same examples everywhere and every time; `--hypothesis-profile=explore` searches further.
settings.register_profile("steady", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", derandomize=False, deadline=None, max_examples=1000)
settings.load_profile("steady")


TOGETHER = (
    "tests/architecture/test_wheel.py",
    "tests/container/test_image.py",
    "tests/container/test_recipes.py",
)
"""Files whose tests share what takes long to make: one process runs them all, and makes it once."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The mark xdist_group would say the same, but pytest-xdist 3.8 does not hear it under pytest 9.2."""
    from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]

    def group(nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in TOGETHER else nodeid

    scheduling = LoadGroupScheduling(config, log)
    scheduling._split_scope = group
    return scheduling


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-calls", action="store_true", help="write what typical calls take anew")
    parser.addoption("--rewrite-golden", action="store_true", help="write the golden journals anew")


@pytest.fixture
def open_cloud() -> Iterator[Callable[..., Cloud]]:
    """Open clouds of any fixture and settings; at the end none of their answers broke the contract."""
    opened: list[Cloud] = []

    def make(*args: object, **settings: object) -> Cloud:
        opened.append(Cloud(*args, **settings))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for cloud in opened:
        assert cloud.bugs() == []


@pytest.fixture
def cloud(open_cloud: Callable[..., Cloud]) -> Cloud:
    """A cloud at its first moment: the default world."""
    return open_cloud()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start `openrelay-simulator serve` in a process; each ends with the test."""
    started: list[Serving] = []

    def start(*words: object, **variables: str) -> Serving:
        started.append(Serving(*words, **variables))
        return started[-1]

    yield start
    for serving in started:
        if serving.process.poll() is None:
            serving.process.kill()
            serving.process.communicate()
