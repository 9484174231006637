"""What the tests share: the API of this project, on the test's own cloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fleet.api import Api

from simulator.testing import OpenRelay


@pytest.fixture
def api(openrelay_env: OpenRelay) -> Iterator[Api]:
    """Configured from the environment, as in production; sleeping lets the cloud's time pass."""
    with openrelay_env.time_travel():
        yield Api()
