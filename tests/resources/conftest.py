"""The two organizations of the default world, each with its key."""

from __future__ import annotations

import pytest

from tests.support.cloud import Cloud
from tests.support.parties import Party, party


@pytest.fixture
def acme(cloud: Cloud) -> Party:
    return party(cloud, "acme")


@pytest.fixture
def globex(cloud: Cloud) -> Party:
    return party(cloud, "globex")
