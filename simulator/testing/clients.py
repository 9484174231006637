"""Clients that are set up for a cloud: its base URL and its key, and no proxy of the environment."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.testing.cloud import OpenRelay


def client(openrelay: OpenRelay, kind: str) -> Any:
    """A client of a kind. Raises ValueError for an unknown one, ImportError for one not installed."""
    if kind not in KINDS:
        raise ValueError(f"client({kind!r}): there are {', '.join(KINDS)}")
    package = kind.partition("-")[0]
    if find_spec(package) is None:
        raise ImportError(f'client({kind!r}) needs {package}: pip install "openrelay-simulator[pytest]"')
    headers = {"Authorization": f"Bearer {openrelay.api_key}"}
    return KINDS[kind](openrelay, headers)


def _httpx(openrelay: OpenRelay, headers: dict[str, str]) -> Any:
    import httpx

    made = httpx.Client(base_url=openrelay.base_url, headers=headers, **_local())
    openrelay.on_close(made.close)
    return made


def _httpx_async(openrelay: OpenRelay, headers: dict[str, str]) -> Any:
    """For whoever opens it to close: `async with openrelay.client("httpx-async") as client`."""
    import httpx

    return httpx.AsyncClient(base_url=openrelay.base_url, headers=headers, **_local())


@cache
def _local() -> dict[str, Any]:
    """Loopback needs no certificates, and to read the machine's for each client takes longer than a test."""
    import httpx

    return {"verify": httpx.create_ssl_context(verify=False), "trust_env": False}


def _requests(openrelay: OpenRelay, headers: dict[str, str]) -> Any:
    import requests

    class Session(requests.Session):
        """One whose paths begin at the base URL."""

        def request(self, method: Any, url: Any, *more: Any, **options: Any) -> Any:
            full = f"{openrelay.base_url}{url}" if str(url).startswith("/") else url
            return super().request(method, full, *more, **options)

    made = Session()
    made.trust_env = False
    made.headers.update(headers)
    openrelay.on_close(made.close)
    return made


KINDS: dict[str, Callable[[OpenRelay, dict[str, str]], Any]] = {
    "httpx": _httpx,
    "httpx-async": _httpx_async,
    "requests": _requests,
}
