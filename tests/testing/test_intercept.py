"""Calls to OpenRelay's own addresses, answered in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests

from simulator.testing import OpenRelay, Server

LIVE = "https://api.openrelay.inc"


def by_requests(method: str, url: str, **options: Any) -> Any:
    return requests.request(method, url, timeout=5, **options)


def by_httpx(method: str, url: str, **options: Any) -> Any:
    return httpx.request(method, url, **options)


def by_httpx_async(method: str, url: str, **options: Any) -> Any:
    async def ask() -> Any:
        async with httpx.AsyncClient() as client:
            return await client.request(method, url, **options)

    return asyncio.run(ask())


clients = pytest.mark.parametrize("ask", [by_requests, by_httpx, by_httpx_async])
Ask = Callable[..., Any]


def key(openrelay: OpenRelay) -> dict[str, str]:
    return {"Authorization": f"Bearer {openrelay.api_key}"}


@clients
def test_a_client_without_a_base_url_of_its_own_reaches_the_cloud(openrelay: OpenRelay, ask: Ask) -> None:
    create = f"{LIVE}/v1/orgs/{openrelay.org_id}/vms/create"
    with openrelay.intercept():
        made = ask("POST", create, headers=key(openrelay), json={"name": "trainer", "gpuModelId": "rtx-3090"})
        listed = ask("GET", f"{LIVE}/v1/orgs/{openrelay.org_id}/vms?limit=5", headers=key(openrelay))
    assert made.status_code == 200
    assert [vm["id"] for vm in listed.json()["items"]] == [made.json()["id"]]
    openrelay.assert_called("createVm", times=1)


@clients
def test_answers_are_those_of_the_socket_byte_for_byte(openrelay: OpenRelay, ask: Ask) -> None:
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/v1/gpu-models", {}),
        ("GET", "/v1/orgs/nobody/vms", {}),
        (
            "POST",
            f"/v1/orgs/{openrelay.org_id}/vms/create",
            {"json": {"name": "Ünï", "gpuModelId": "rtx-3090"}},
        ),
        (
            "POST",
            "/v1/files",
            {"files": {"file": ("in.jsonl", b'{"a": "\\u0000"}\n')}, "data": {"purpose": "batch"}},
        ),
        ("DELETE", f"/v1/orgs/{openrelay.org_id}/webhooks/wh_none", {}),
        ("GET", "/v1/vms/%C3%BC%2F", {}),
    ]
    twin = openrelay.fork()
    with twin.intercept():
        within = [ask(method, f"{LIVE}{path}", headers=key(twin), **more) for method, path, more in calls]
    over = [
        ask(method, f"{openrelay.base_url}{path}", headers=key(openrelay), **more)
        for method, path, more in calls
    ]
    assert [(one.status_code, one.content) for one in within] == [
        (one.status_code, one.content) for one in over
    ]


@clients
def test_all_else_goes_where_it_would_have_gone(openrelay: OpenRelay, ask: Ask) -> None:
    with openrelay.intercept():
        assert ask("GET", f"{openrelay.base_url}/_sim/health").json()["status"] == "ok"
        with pytest.raises((requests.ConnectionError, httpx.ConnectError)):
            ask("GET", "http://127.0.0.1:9/v1/whoami")
    assert openrelay.calls() == []


@clients
def test_after_the_block_nothing_is_intercepted(openrelay: OpenRelay, ask: Ask) -> None:
    with openrelay.intercept(url="http://127.0.0.1:9"):
        assert ask("GET", "http://127.0.0.1:9/v1/models", headers=key(openrelay)).status_code == 200
    with pytest.raises((requests.ConnectionError, httpx.ConnectError)):
        ask("GET", "http://127.0.0.1:9/v1/models", headers=key(openrelay))


@pytest.mark.parametrize(
    ("fault", "of_requests", "of_httpx"),
    [
        ({"reset": True}, requests.ConnectionError, httpx.ReadError),
        ({"hang": {"seconds": 30}}, requests.ReadTimeout, httpx.ReadTimeout),
        ({"truncate": {"bytes": 5}}, requests.exceptions.ChunkedEncodingError, httpx.RemoteProtocolError),
        ({"lose_answer": True}, requests.ConnectionError, httpx.ReadError),
    ],
)
def test_a_cut_connection_is_the_clients_own_exception(
    openrelay: OpenRelay, fault: dict[str, Any], of_requests: type[Exception], of_httpx: type[Exception]
) -> None:
    openrelay.fault(operation="whoami", do=fault)
    with openrelay.intercept():
        for ask, expected in ((by_requests, of_requests), (by_httpx, of_httpx), (by_httpx_async, of_httpx)):
            with pytest.raises(expected):
                ask("GET", f"{LIVE}/v1/whoami", headers=key(openrelay))


def test_endpoints_of_workloads_are_answered_too(openrelay: OpenRelay) -> None:
    create = f"/v1/orgs/{openrelay.org_id}/vms/create"
    vm = openrelay.client().post(create, json={"name": "chat", "gpuModelId": "rtx-3090"}).json()
    openrelay.run_until(vm["id"], "running")
    with openrelay.intercept():
        told = httpx.get(f"{vm['endpointUrl']}/predict", headers={"x-api-key": openrelay.api_key}).json()
    assert (told["vmId"], told["path"]) == (vm["id"], "/predict")


def test_the_key_tells_the_world_and_the_innermost_interception_wins(openrelay_server: Server) -> None:
    with openrelay_server.open("one") as one, openrelay_server.open("two") as two:
        with one.intercept(), two.intercept():
            assert by_httpx("GET", f"{LIVE}/v1/whoami", headers=key(one)).status_code == 200
        assert (len(one.calls()), len(two.calls())) == (1, 0)


def test_a_base_url_with_a_path(openrelay: OpenRelay) -> None:
    with openrelay.intercept(url="https://gateway.example.com/gpu"):
        found = by_requests("GET", "https://gateway.example.com/gpu/v1/whoami", headers=key(openrelay))
    assert found.status_code == 200
