"""Clients that are set up for a cloud."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from simulator.testing import OpenRelay


@pytest.mark.parametrize("kind", ["httpx", "requests"])
def test_a_client_knows_base_url_and_key(openrelay: OpenRelay, kind: str) -> None:
    client = openrelay.client(kind)
    assert client.get("/v1/whoami").json()["organizationId"] == openrelay.org_id
    assert client.get(f"{openrelay.base_url}/v1/whoami").status_code == 200


@pytest.mark.parametrize("kind", ["httpx", "requests"])
def test_a_proxy_of_the_environment_is_not_asked(
    openrelay: OpenRelay, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    assert openrelay.client(kind).get("/v1/whoami").status_code == 200


@pytest.mark.asyncio
async def test_an_asynchronous_client_too(openrelay: OpenRelay) -> None:
    async with openrelay.client("httpx-async") as client:
        assert (await client.get("/v1/whoami")).json()["organizationId"] == openrelay.org_id


def test_an_unknown_kind_is_refused_with_those_there_are(openrelay: OpenRelay) -> None:
    with pytest.raises(ValueError, match="there are httpx, httpx-async, requests"):
        openrelay.client("urllib")


def test_a_client_that_is_not_installed_names_what_installs_it(
    openrelay: OpenRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(name: str) -> Any:
        return None

    monkeypatch.setattr("simulator.testing.clients.find_spec", nothing)
    assert importlib.util.find_spec("httpx")
    with pytest.raises(ImportError, match=r"pip install \"openrelay-simulator\[pytest\]\""):
        openrelay.client("httpx")
