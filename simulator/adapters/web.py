"""HTTP: from WSGI to a plain Request, and from a plain Reply back. The contract routes, so Flask does not.

Nothing is matched twice, so a call costs less here than in a bare Flask view, and nothing is ever redirected:
real clients refuse to follow [client].
"""

from __future__ import annotations

import logging
import string
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from http.client import responses
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec
from flask import Flask, Response, signals
from flask.globals import request as flask_request

from simulator import assets
from simulator.adapters.asked import Streamed
from simulator.adapters.control import PREFIX, Control
from simulator.contract import Contract, Route
from simulator.kernel.operation import Reply, Request, Wire
from simulator.kernel.refusal import Refusal
from simulator.worlds import DEFAULT, Opening, Worlds

BODY_LIMIT = 1 << 20
FILE_LIMIT = (200 << 20) + (64 << 10)
"""What may be sent where a file is taken: the file, and the form around it."""
BATCH_LIMIT = 20 << 20
"""What a batch may be sent whose requests stand in the body [choice]."""
STATE_LIMIT = 64 << 20
"""What a state may have that is put into a running world; `serve --state` takes any [choice]."""
LIMITS = {"State": STATE_LIMIT, "Files": FILE_LIMIT, "Uploads": FILE_LIMIT, "Batches": BATCH_LIMIT}
"""By the tag of an operation, where it is not BODY_LIMIT."""
DOCUMENT = "/openapi.json"
ENDPOINTS = f"{PREFIX}/endpoints/"
FRONT = f"nothing at /; GET {DOCUMENT} lists the API, GET {PREFIX} shows its worlds, keys and clock"
RESET = "connection reset by a fault of the simulator"
SILENT = "no answer came, by a fault of the simulator"
ABORTED = "connection lost within the answer, by a fault of the simulator"
HOOKS = (
    "before_request_funcs",
    "after_request_funcs",
    "teardown_request_funcs",
    "teardown_appcontext_funcs",
    "url_value_preprocessors",
)
"""Where Flask keeps what others want done at every request."""
SIGNALS = (signals.request_started, signals.request_finished, signals.request_tearing_down)
"""And where it tells them."""
OUR_FAULT = "the simulator itself failed; its log has the traceback"

_log = logging.getLogger("simulator")


def create_app(worlds: Worlds | None = None, *, control_token: str = "", loopback: bool = True) -> Flask:
    """The simulator as a WSGI application.

    `loopback`: it is served to this machine alone, so a foreign Host header is an attack. A live clock needs
    a Pacer beside the application to deliver webhooks by itself.
    """
    worlds = Worlds() if worlds is None else worlds
    if DEFAULT not in worlds:
        worlds.open(DEFAULT, Opening())
    return _App(worlds, Control(worlds, control_token, loopback))


class _Answer(Response):
    """A Reply as Flask's response: sent as it stands, and made into a full one only for a hook that looks at
    it. To build one for every call would cost more than routing and checking."""

    default_mimetype = None

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def __getattr__(self, name: str) -> Any:
        if "headers" in self.__dict__ or name == "_reply":
            raise AttributeError(name)
        super().__init__(self._reply.body, self._reply.status, self._reply.headers)
        return getattr(self, name)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "headers" in self.__dict__ and self._reply.wire is None:
            return super().__call__(environ, start_response)
        body, headers = self._reply.body, list(self._reply.headers.items())
        if self._reply.status != 204:
            headers.append(("Content-Length", str(len(body))))
        if environ["REQUEST_METHOD"] == "HEAD":
            body = b""
        wire, status_line = self._reply.wire, _status_line(self._reply.status)
        if wire is not None:
            return _through(wire, body, lambda: start_response(status_line, headers))
        start_response(status_line, headers)
        return [body]  # a list is what servers send at once


def _through(wire: Wire, body: bytes, begin: Callable[[], object]) -> Iterable[bytes]:
    """Send an answer as a fault has it. A connection that is to be cut raises an OSError: our server cuts it,
    a client in this process gets the exception."""
    if wire.chunks > 1:
        begin()
        return _dribble(wire, body)
    if wire.wait_s:
        time.sleep(wire.wait_s)
    if wire.cut:
        raise TimeoutError(SILENT) if wire.silent else ConnectionResetError(RESET)
    begin()
    return [body] if wire.bytes is None else _truncate(body[: wire.bytes])


def _dribble(wire: Wire, body: bytes) -> Iterator[bytes]:
    size = -(-len(body) // wire.chunks) or 1
    for start in range(0, len(body), size):
        time.sleep(wire.wait_s / wire.chunks)
        yield body[start : start + size]


def _truncate(part: bytes) -> Iterator[bytes]:
    yield part
    raise ConnectionAbortedError(ABORTED)


@cache
def _status_line(status: int) -> str:
    return f"{status} {responses.get(status, 'Unknown')}"


class _App(Flask):
    def __init__(self, worlds: Worlds, control: Control) -> None:
        super().__init__("simulator", static_folder=None)
        self._worlds = worlds
        self._control = control

    def create_url_adapter(self, request: Any) -> None:
        """No routes of Flask's own."""

    def wsgi_app(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Past Flask's contexts and hooks where there is nothing in them: a fifth of a call over HTTP."""
        if any(getattr(self, hooks) for hooks in HOOKS) or any(signal.receivers for signal in SIGNALS):
            return super().wsgi_app(environ, start_response)
        return self._respond(environ)(environ, start_response)

    def dispatch_request(self) -> Response:
        return self._respond(flask_request.environ)

    def _respond(self, environ: dict[str, Any]) -> Response:
        try:
            reply = self._reply(environ)
        except Exception:
            reply = _last_words(environ)
        if isinstance(reply, Streamed):
            return Response(reply.chunks, headers={"Cache-Control": "no-store"}, mimetype=reply.media_type)
        return _Answer(reply)

    def _reply(self, environ: dict[str, Any]) -> Reply | Streamed:
        raw_path = environ.get("PATH_INFO") or "/"
        endpoint, raw_path = self._endpoint(environ, raw_path)
        if endpoint:
            request, refusal = _read(self._worlds.contract, environ, raw_path)
            return self._call(msgspec.structs.replace(request, endpoint=endpoint), refusal)
        contract = self._control.contract if raw_path.startswith(PREFIX) else self._worlds.contract
        request, refusal = _read(contract, environ, raw_path)
        if raw_path.startswith(PREFIX):
            return self._control.answer(request, _base_url(environ), refusal)
        if raw_path == DOCUMENT:
            return _document_reply(request.method)
        if raw_path == "/" and refusal is None:
            refusal = Refusal("not_found", FRONT)
        return self._call(request, refusal)

    def _call(self, request: Request, refusal: Refusal | None) -> Reply:
        """What breaks here is answered by the world too, so that it stands in its journal."""
        try:
            return self._worlds.call(request, refusal)
        except Exception:
            reply = self._worlds.call(request, Refusal("internal", OUR_FAULT))
            _log_failure(request.method, request.path, reply.headers["X-Request-Id"])
            return reply

    def _endpoint(self, environ: dict[str, Any], path: str) -> tuple[str, str]:
        """The first label of the workload's endpoint that a request goes to, "" for none, and the path there:
        by its Host, or, where there is no DNS for that, behind /_sim/endpoints/."""
        if path.startswith(ENDPOINTS):
            label, _, rest = path.removeprefix(ENDPOINTS).partition("/")
            return label, f"/{rest}"
        host: str = environ.get("HTTP_HOST", "")
        if "." not in host or not host[0].isalpha():
            return "", path
        label, _, domain = host.partition(".")
        world = self._worlds.tagged(environ.get("HTTP_X_API_KEY", "")).world
        known = world.settings.word("vms.endpoint_domain")
        return (label, path) if _without_port(domain) == _without_port(known) else ("", path)


def _without_port(host: str) -> str:
    return host.partition(":")[0].lower()


class Headers(Mapping[str, str]):
    """The headers of a WSGI environment by their lower-case names; nothing is copied."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        text: str = self._environ[_variable(name)]
        return text

    def get(self, name: str, default: Any = None) -> Any:
        return self._environ.get(_variable(name), default)

    def __iter__(self) -> Iterator[str]:
        for variable in self._environ:
            if variable.startswith("HTTP_"):
                yield variable[5:].replace("_", "-").lower()
            elif variable in _WITHOUT_PREFIX.values():
                yield variable.replace("_", "-").lower()

    def __len__(self) -> int:
        return sum(1 for _ in self)


_WITHOUT_PREFIX = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


@cache
def _variable(name: str) -> str:
    return _WITHOUT_PREFIX.get(name) or "HTTP_" + name.upper().replace("-", "_")


def _read(contract: Contract, environ: dict[str, Any], raw_path: str) -> tuple[Request, Refusal | None]:
    """The request as plain data, and why it is refused where it cannot be read."""
    method, path, query = environ["REQUEST_METHOD"], raw_path, environ.get("QUERY_STRING", "")
    body, refusal = b"", None
    try:
        # WSGI hands bytes over as latin-1.
        if not path.isascii():
            path = path.encode("latin-1").decode()
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            body = _read_body(contract, environ, path)
    except UnicodeError:
        path = quote(raw_path, encoding="latin-1")
        refusal = Refusal("bad_request", f"path {path[:200]!r} is not UTF-8")
    except Refusal as found:
        refusal = found
    if not query.isascii():
        query = quote(query, safe=string.printable, encoding="latin-1")
    return Request(method, path, query, Headers(environ), body), refusal


def _read_body(contract: Contract, environ: dict[str, Any], path: str) -> bytes:
    length, body = _declared_length(environ), b""
    limit = BODY_LIMIT
    if length is None or length > BODY_LIMIT:
        limit = _limit(contract, environ["REQUEST_METHOD"], path)
    if length is None:
        # Chunks. A server that says where the body ends has put them together.
        body = environ["wsgi.input"].read(limit + 1) if environ.get("wsgi.input_terminated") else b""
    elif length <= limit:
        body = environ["wsgi.input"].read(length)
    if max(length or 0, len(body)) > limit:
        size = f"at least {len(body)}" if length is None else str(length)
        raise Refusal("payload_too_large", f"body of {size} bytes is over the limit of {limit}")
    if length is not None and len(body) < length:
        raise Refusal("bad_request", f"body ends after {len(body)} of {length} bytes")
    return body


def _declared_length(environ: dict[str, Any]) -> int | None:
    declared: str = environ.get("CONTENT_LENGTH", "")
    return int(declared[:18]) if declared.isdecimal() else None


def _limit(contract: Contract, method: str, path: str) -> int:
    """The most bytes a body may have; asked only about large ones."""
    route = contract.route(method, path)
    return LIMITS.get(route.operation.tag, BODY_LIMIT) if isinstance(route, Route) else BODY_LIMIT


def _base_url(environ: dict[str, Any]) -> str:
    host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    return f"{environ['wsgi.url_scheme']}://{host}{environ.get('SCRIPT_NAME', '')}"


def _last_words(environ: dict[str, Any]) -> Reply:
    """When even the error cannot be answered in the usual way."""
    reply = error_reply(500, "internal", OUR_FAULT)
    _log_failure(environ.get("REQUEST_METHOD"), environ.get("PATH_INFO"), reply.headers["X-Request-Id"])
    return reply


def error_reply(status: int, code: str, message: str) -> Reply:
    """An error that no world had a part in."""
    request_id = str(uuid4())
    body = msgspec.json.encode({"error": message, "code": code, "requestId": request_id})
    return Reply(status, body, {"X-Request-Id": request_id, "Content-Type": "application/json"})


def _log_failure(method: object, path: object, request_id: str) -> None:
    _log.exception("%s %r failed; the client was answered 500, requestId %s", method, path, request_id)


def _document_reply(method: str) -> Reply:
    if method in ("GET", "HEAD"):
        return Reply(200, _document(), {"X-Request-Id": str(uuid4()), "Content-Type": "application/json"})
    reply = error_reply(
        405, "method_not_allowed", f"{method[:80]} is not known at {DOCUMENT}; known are GET, HEAD"
    )
    reply.headers["Allow"] = "GET, HEAD"
    return reply


@cache
def _document() -> bytes:
    return (assets.PACKAGE / "openapi.json").read_bytes()
