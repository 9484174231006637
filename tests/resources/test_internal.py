"""The service's health, which anybody may ask."""

from __future__ import annotations

import pytest

from tests.support.cloud import Cloud


@pytest.mark.parametrize("key", ["", "vl_" + "A" * 40, None])
def test_health_needs_no_credential_and_minds_no_wrong_one(cloud: Cloud, key: str | None) -> None:
    answer = cloud.get("/health", key=key)
    assert (answer.status, answer.body) == (200, {"status": "ok", "service": "openrelay-api"})
