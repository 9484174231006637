"""Fixtures of every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from tests.support.cloud import Cloud
from tests.support.serving import Serve, Serving

pytest_plugins = ["pytester", "tests.support.reach"]

# The same examples everywhere and every time; `--hypothesis-profile=explore` searches further.
settings.register_profile("steady", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", derandomize=False, deadline=None, max_examples=1000)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
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
