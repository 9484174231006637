"""Fixtures of every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from tests.support.cloud import Cloud

pytest_plugins = ["tests.support.reach"]

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
