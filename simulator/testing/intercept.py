"""Calls to OpenRelay's own addresses, answered in this process: for clients whose base URL cannot be set.

requests and httpx are met at their transports, where a call has become bytes: one mechanism for all clients,
and what goes elsewhere goes on as it would have gone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from simulator.adapters.web import ABORTED, create_app
from simulator.testing.wsgi import environ

if TYPE_CHECKING:
    from simulator.testing.cloud import OpenRelay

DOMAIN = "openrelay.inc"
"""The API's own address, the inference host and the endpoints of workloads lie below it."""


class Answer(NamedTuple):
    """What a transport makes a response of."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    broken: bool
    """The connection was lost within the body."""


@contextmanager
def intercept(openrelay: OpenRelay, url: str = "") -> Iterator[None]:
    """Answer calls to a base URL; without one, to `https://api.openrelay.inc` and all that lies beside it."""
    interception = Interception(openrelay, url)
    with ExitStack() as stack:
        for package, patches in (("requests", _requests), ("httpx", _httpx)):
            if find_spec(package) is not None:
                for owner, name, make in patches():
                    stack.enter_context(_replaced(owner, name, make(interception, getattr(owner, name))))
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


class Interception:
    """The application and the addresses that it answers for."""

    def __init__(self, openrelay: OpenRelay, url: str) -> None:
        self._app = create_app(openrelay.server.worlds, loopback=False)
        self._netloc = urlsplit(url).netloc
        self._prefix = urlsplit(url).path.rstrip("/")

    def answers(self, url: str) -> bool:
        parts = urlsplit(url)
        if self._netloc:
            return parts.netloc == self._netloc and f"{parts.path}/".startswith(f"{self._prefix}/")
        host = parts.hostname or ""
        return host == DOMAIN or host.endswith(f".{DOMAIN}")

    def call(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises what the connection would end with: ConnectionResetError or TimeoutError."""
        begun: list[Any] = []
        pieces: list[bytes] = []
        broken = False
        application: Any = self._app
        request = environ(method, url, headers, body, self._prefix)
        chunks = application(request, lambda *start: begun.append(start))
        try:
            pieces.extend(chunks)
        except ConnectionAbortedError:
            broken = True
        status_line, sent = begun[0][:2]
        return Answer(int(status_line.split()[0]), list(sent), b"".join(pieces), broken)


Patch = tuple[Any, str, Callable[[Interception, Any], Any]]

# -- requests ----------------------------------------------------------------------------------------------


def _requests() -> list[Patch]:
    from requests.adapters import HTTPAdapter

    return [(HTTPAdapter, "send", _requests_send)]


def _requests_send(interception: Interception, before: Any) -> Any:
    import requests
    from urllib3 import HTTPResponse

    def send(adapter: Any, request: Any, **options: Any) -> Any:
        if not interception.answers(request.url):
            return before(adapter, request, **options)
        try:
            found = interception.call(request.method, request.url, request.headers, _bytes(request.body))
        except TimeoutError as problem:
            raise requests.ReadTimeout(problem, request=request) from problem
        except ConnectionError as problem:
            raise requests.ConnectionError(problem, request=request) from problem
        body = _LostWithin(found.body) if found.broken else io.BytesIO(found.body)
        response = HTTPResponse(body, dict(found.headers), found.status, preload_content=False)
        return adapter.build_response(request, response)

    return send


def _bytes(body: Any) -> bytes:
    """A body as requests holds it: text, bytes, a file, or what yields its pieces."""
    if body is None or isinstance(body, bytes):
        return body or b""
    if isinstance(body, str):
        return body.encode()
    return bytes(body.read()) if hasattr(body, "read") else b"".join(body)


class _LostWithin(io.BytesIO):
    """A body whose connection is lost before its end."""

    def read(self, size: int | None = -1) -> bytes:
        from urllib3.exceptions import ProtocolError

        part = super().read(size)
        if part:
            return part
        raise ProtocolError(ABORTED)


# -- httpx -------------------------------------------------------------------------------------------------


def _httpx() -> list[Patch]:
    import httpx

    return [
        (httpx.HTTPTransport, "handle_request", _httpx_sync),
        (httpx.AsyncHTTPTransport, "handle_async_request", _httpx_async),
    ]


def _httpx_sync(interception: Interception, before: Any) -> Any:
    def handle_request(transport: Any, request: Any) -> Any:
        if not interception.answers(str(request.url)):
            return before(transport, request)
        return _httpx_answer(interception, request, request.read())

    return handle_request


def _httpx_async(interception: Interception, before: Any) -> Any:
    async def handle_async_request(transport: Any, request: Any) -> Any:
        if not interception.answers(str(request.url)):
            return await before(transport, request)
        return _httpx_answer(interception, request, await request.aread())

    return handle_async_request


def _httpx_answer(interception: Interception, request: Any, body: bytes) -> Any:
    import httpx

    try:
        found = interception.call(request.method, str(request.url), request.headers, body)
    except TimeoutError as problem:
        raise httpx.ReadTimeout(str(problem), request=request) from problem
    except ConnectionError as problem:
        raise httpx.ReadError(str(problem), request=request) from problem
    if found.broken:
        raise httpx.RemoteProtocolError(ABORTED, request=request)
    return httpx.Response(found.status, headers=found.headers, content=found.body, request=request)
