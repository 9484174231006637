"""The two organizations of the default world, each with its key; and a world with nothing in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.cloud import Cloud
from tests.support.invariants import check_world
from tests.support.parties import Party, party


@pytest.fixture
def acme(cloud: Cloud) -> Party:
    return party(cloud, "acme")


@pytest.fixture
def globex(cloud: Cloud) -> Party:
    return party(cloud, "globex")


@pytest.fixture
def empty(open_cloud: Callable[..., Cloud]) -> Iterator[Cloud]:
    """A cloud with nothing in use; at the end the books still agree."""
    cloud = open_cloud("empty")
    yield cloud
    check_world(cloud.world)
