"""HTTP: what comes over the wire, however bad, is answered in the API's form, and nothing is half done."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Response, request, request_started
from hypothesis import given
from hypothesis import strategies as st

from simulator import assets
from simulator.adapters.server import Server
from simulator.adapters.web import BODY_LIMIT, create_app
from simulator.contract import Contract
from simulator.domain import access
from simulator.kernel.page import encode_cursor
from simulator.registry import OPERATIONS
from simulator.worlds import DEFAULT, Worlds
from tests.support.http import Client, Heard, answer_of, environment, exchange, through_wsgi

Open = Callable[..., Client]
VMS = "/v1/orgs/{org}/vms"
CREATE = VMS + "/create"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def assert_refused(heard: Heard, status: int, code: str, *named: str) -> None:
    """The documented status, and a small body in the API's form that names the value."""
    assert heard.status == status, heard
    assert heard.headers["content-type"] == "application/json"
    assert len(heard.raw) < 4096
    assert heard.body["code"] == code, heard.body
    assert UUID.fullmatch(heard.body["requestId"])
    assert heard.headers["x-request-id"] == heard.body["requestId"]
    for word in named:
        assert word in heard.body["error"], heard.body


def deep(levels: int) -> bytes:
    return b'{"name": "a", "cloudInit": ' + b"[" * levels + b"]" * levels + b"}"


# -- what is right


def test_an_answer_has_its_length_its_type_and_a_request_id(client: Client) -> None:
    heard = client.get("/v1/me")
    assert heard.status == 200
    assert heard.headers["content-type"] == "application/json"
    assert int(heard.headers["content-length"]) == len(heard.raw)
    assert UUID.fullmatch(heard.headers["x-request-id"])


def test_head_is_get_without_the_body(client: Client) -> None:
    get, head = client.get("/v1/me"), client.call("HEAD", "/v1/me")
    assert (head.status, head.raw) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_an_answer_without_a_body_has_no_type_either(client: Client) -> None:
    hook = client.post("/v1/orgs/{org}/webhooks/create", {"name": "h", "url": "http://127.0.0.1:9"}).body
    heard = client.call("DELETE", f"/v1/orgs/{{org}}/webhooks/{hook['id']}")
    assert (heard.status, heard.raw) == (204, b"")
    assert "content-type" not in heard.headers


def test_the_contract_is_served_as_it_is(client: Client) -> None:
    heard = client.get("/openapi.json")
    assert heard.raw == (assets.PACKAGE / "openapi.json").read_bytes()
    assert heard.headers["content-type"] == "application/json"
    assert UUID.fullmatch(heard.headers["x-request-id"])
    assert client.call("HEAD", "/openapi.json").raw == b""


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "DELETE"])
def test_the_contract_is_only_read(client: Client, method: str) -> None:
    heard = client.call(method, "/openapi.json")
    assert_refused(heard, 405, "method_not_allowed", method, "GET, HEAD")
    assert heard.headers["allow"] == "GET, HEAD"


def test_who_comes_to_the_front_is_told_where_to_go(client: Client) -> None:
    assert_refused(client.get("/"), 404, "not_found", "GET /openapi.json", "GET /_sim")


def test_a_path_and_a_query_are_decoded(client: Client) -> None:
    vm = client.post(CREATE, {"name": "trainer"}).body
    assert client.get(f"/v1/%76ms/{vm['id']}").status == 200
    assert client.get("/v1/orgs/{org}/%76ms?li%6Dit=1&activeOnly=%74rue").body["items"][0]["id"] == vm["id"]


def test_a_body_in_chunks_is_a_body(client: Client) -> None:
    heard = client.post(CREATE, (b'{"name": "in-', b'chunks"}'), content_type="application/json")
    assert (heard.status, heard.body["name"]) == (200, "in-chunks")


def test_the_key_decides_which_world_answers(client: Client, open_client: Open) -> None:
    other = open_client()
    client.post(CREATE, {"name": "mine"})
    assert [vm["name"] for vm in client.get(VMS).body["items"]] == ["mine"]
    assert other.get(VMS).body["items"] == []


def test_a_strange_host_header_is_no_matter_to_the_api(client: Client) -> None:
    assert client.get("/v1/me", host="exa mple:99999").status == 200
    assert client.get("/v1/me", host="api.openrelay.inc").status == 200


def test_who_listens_to_flasks_signals_hears_of_each_request() -> None:
    app, heard = create_app(), []

    def listen(sender: object, **more: object) -> None:
        heard.append(request.path)

    with request_started.connected_to(listen, app):
        app.test_client().get("/v1/me")
    app.test_client().get("/health")
    assert heard == ["/v1/me"]


def test_a_proxy_that_ends_tls_is_believed(client: Client) -> None:
    answer = client.post("/v1/files/presign", {"bytes": 1}, host="sim.example", x_forwarded_proto="https")
    assert answer.body["put_url"].startswith("https://sim.example/_sim/uploads/")


def test_the_application_is_flask_with_its_hooks_and_its_test_client() -> None:
    app = create_app()

    @app.after_request
    def mark(response: Response) -> Response:
        response.headers["X-Mark"] = "seen"
        response.set_cookie("taste", "sweet")
        return response

    for method, path, status in (
        ("GET", "/v1/me", 401),
        ("HEAD", "/health", 200),
        ("DELETE", "/_sim/clock", 405),
    ):
        heard = app.test_client().open(path, method=method)
        assert (heard.status_code, heard.headers["X-Mark"]) == (status, "seen")
        assert "taste=sweet" in heard.headers["Set-Cookie"]
        assert heard.headers["X-Request-Id"]
    assert app.test_client().get("/_sim/health").get_json()["status"] == "ok"


# -- bad bodies

BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "cut off": (b'{"name": "a"', "malformed JSON"),
    "no JSON": (b"name=a", "malformed JSON"),
    "two values": (b"{} {}", "malformed JSON"),
    "single quotes": (b"{'name': 'a'}", "malformed JSON"),
    "NaN": (b'{"name": "a", "gpuCount": NaN}', "malformed JSON"),
    "Infinity": (b'{"name": "a", "gpuCount": -Infinity}', "malformed JSON"),
    "a byte order mark": (b'\xef\xbb\xbf{"name": "a"}', "malformed JSON"),
    "UTF-16": ('{"name": "a"}'.encode("utf-16"), "malformed JSON"),
    "nothing": (b"", "missing"),
    "a list": (b"[]", "[]"),
    "null": (b"null", "None"),
    "no name": (b"{}", "name: is required"),
    "a number as name": (b'{"name": 5}', "name: 5"),
    "a word as number": (b'{"name": "a", "gpuCount": "two"}', "gpuCount: 'two'"),
    "half a GPU": (b'{"name": "a", "gpuCount": 0.5}', "gpuCount: 0.5"),
    "beyond 64 bits": (b'{"name": "a", "gpuCount": 99999999999999999999}', "99999999999999999999"),
    "beyond any float": (b'{"name": "a", "gpuCount": 1e999}', "gpuCount"),
    "a NUL": (b'{"name": "a\\u0000b"}', "NUL"),
    "a bare NUL": (b'{"name": "a\x00b"}', "malformed JSON"),
    "broken UTF-8": (b'{"name": "\xff\xfe"}', "not UTF-8"),
    "half a surrogate pair": (b'{"name": "\\ud800"}', "malformed JSON"),
    "nesting of 10,000": (deep(10_000), "nested deeper than 100"),
    "nesting without an end": (b"[" * 100_000, "nested deeper than 100"),
    "a million GPUs": (b'{"name": "a", "gpuModelId": "rtx-4090", "gpuCount": 1000000}', "1000000"),
    "no such model": (b'{"name": "a", "gpuModelId": "abacus"}', "'abacus'"),
    "an endless name": (b'{"name": "%b"}' % (b"a" * 500_000), "aaa"),
}


@pytest.mark.parametrize("what", BAD_BODIES)
def test_a_bad_body_is_400_and_changes_nothing(client: Client, what: str) -> None:
    body, named = BAD_BODIES[what]
    client.get("/v1/me")  # the key has been used: what follows must not even note that
    before = client.world.version
    heard = client.post(CREATE, body, content_type="application/json")
    code = "GPU_COUNT_NOT_ALLOCATABLE" if what == "a million GPUs" else "bad_request"
    assert_refused(heard, 400, code, named)
    assert client.world.version == before


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "json", "\xff"]
)
def test_a_wrong_media_type_is_400_and_named(client: Client, media_type: str) -> None:
    heard = client.post(CREATE, b'{"name": "a"}', content_type=media_type)
    assert_refused(heard, 400, "bad_request", repr(media_type), "application/json is accepted")


def test_a_bad_body_without_a_key_is_401_and_tells_nothing(client: Client) -> None:
    assert_refused(client.post(CREATE, b"{", authorization=""), 401, "unauthorized")
    assert_refused(
        client.post(CREATE, b"{", authorization="Bearer vl_wrong"), 401, "unauthorized", "8 characters"
    )


# -- large bodies


def test_10_mb_are_413_and_the_limit_is_named(client: Client) -> None:
    before = client.world.version
    heard = client.post(CREATE, b'{"name": "%b"}' % (b"a" * 10_000_000))
    assert_refused(heard, 413, "payload_too_large", "10000012", str(BODY_LIMIT))
    assert client.world.version == before


def test_10_mb_in_chunks_are_413_too(client: Client) -> None:
    heard = client.post(CREATE, (b"a" * 1_000_000,) * 10, content_type="application/json")
    assert_refused(heard, 413, "payload_too_large", str(BODY_LIMIT))


def test_a_body_of_the_limit_is_read_and_one_byte_more_is_not(client: Client) -> None:
    def create(size: int) -> Heard:
        return client.post(CREATE, b'{"name": "a"}'.ljust(size), content_type="application/json")

    assert create(BODY_LIMIT).status == 200
    assert create(BODY_LIMIT + 1).status == 413


def test_a_file_may_be_larger(client: Client) -> None:
    heard = client.post("/v1/files", b"a" * (BODY_LIMIT + 1), content_type="multipart/form-data")
    assert heard.status != 413


def test_a_413_on_an_unknown_path_is_413(client: Client) -> None:
    assert_refused(client.post("/v1/nowhere", b"a" * (BODY_LIMIT + 1)), 413, "payload_too_large")


@pytest.mark.parametrize(("declared", "status"), [("9" * 5000, 413), ("99", 400)])
def test_a_length_that_does_not_fit_is_refused(open_client: Open, declared: str, status: int) -> None:
    client = open_client("wsgi")
    heard = client.post(CREATE, b'{"name": "a"}', content_length=declared)
    assert heard.status == status, heard
    assert declared[:18] in heard.body["error"]


def test_a_body_whose_end_the_server_does_not_mark_is_left_unread(open_client: Open, served: Server) -> None:
    client = open_client("wsgi")
    environ = environment("POST", f"/v1/orgs/{client.org}/vms/create", {}, (b'{"name": "a"}',))
    environ["HTTP_AUTHORIZATION"] = f"Bearer {client.key}"
    del environ["wsgi.input_terminated"]
    assert_refused(answer_of(create_app(served.worlds), environ), 400, "bad_request", "body: is missing")


# -- bad paths, methods and queries


def test_an_unknown_route_is_404_and_named(client: Client) -> None:
    assert_refused(client.get("/v2/vms"), 404, "not_found", "GET /v2/vms", "/openapi.json")


@pytest.mark.parametrize("method", ["DELETE", "PUT", "OPTIONS", "TRACE", "PROPFIND", "GIBBERISH"])
def test_a_wrong_method_is_405_with_those_that_are_known(client: Client, method: str) -> None:
    heard = client.call(method, "/v1/me")
    assert_refused(heard, 405, "method_not_allowed", method, "GET, HEAD")
    assert heard.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/v1//me",
        "/v1/me/",
        "/v1/me/.",
        "/v1/../v1/me",
        "/v1/me%2F",
        "/v1/me%00",
        "/v1/me%0a",
        "/V1/ME",
    ],
)
def test_a_path_that_is_nearly_right_is_404_and_never_redirected(client: Client, path: str) -> None:
    assert_refused(client.get(path), 404, "not_found")


def test_a_slash_too_many_in_front_is_never_redirected(client: Client) -> None:
    assert client.get("//v1/me").status in (200, 404)


@pytest.mark.parametrize("path", ["/v1/%ff", "/v1/vms/%c3%28", "/%fe%ff", "/v1/vms/%ed%a0%80"])
def test_a_path_that_is_no_utf_8_is_400_and_shown(client: Client, path: str) -> None:
    assert_refused(client.get(path), 400, "bad_request", path.upper().rpartition("/")[2], "not UTF-8")


@pytest.mark.parametrize(
    "vm_id", ["%00", "a%00b", "nobody", "%F0%9F%A6%86", "x" * 5000, "%7Bid%7D", "*", "-1"]
)
def test_an_id_that_cannot_be_one_is_404_or_400(client: Client, vm_id: str) -> None:
    heard = client.get(f"/v1/vms/{vm_id}")
    assert heard.status in (400, 404)
    assert heard.body["code"] in ("bad_request", "not_found")


BAD_QUERIES = {
    "limit=ten": "limit: 'ten'",
    "limit=": "limit",
    "limit=0": "limit 0",
    "limit=-1": "limit -1",
    "limit=1.5": "limit: '1.5'",
    "limit=NaN": "limit: 'NaN'",
    "limit=1e400": "limit: '1e400'",
    "limit=9223372036854775808": "9223372036854775808",
    "limit=" + "9" * 5000: "limit",
    "limit=1&limit=2": "limit: is given twice",
    "limit=%00": "NUL",
    "limit=%ff": "UTF-8",
    "%ff=1": "UTF-8",
    "activeOnly=maybe": "activeOnly: 'maybe'",
    "cursor=nonsense": "cursor 'nonsense'",
    "cursor=%ff": "UTF-8",
}


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_a_bad_query_is_400_and_names_the_value(client: Client, query: str) -> None:
    assert_refused(client.get(f"{VMS}?{query}"), 400, "bad_request", BAD_QUERIES[query])


def test_a_cursor_that_was_changed_or_came_from_another_list_is_400(client: Client) -> None:
    for name in ("a", "b", "c"):
        client.post(CREATE, {"name": name, "resourceSize": "small"})
    cursor = client.get(f"{VMS}?limit=1").body["nextCursor"]
    assert client.get(f"{VMS}?limit=1&cursor={cursor}").status == 200
    changed = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    foreign = encode_cursor("Webhook/organization/x", 0, "x")
    for bad in (changed, cursor[:-1], cursor + "A", foreign, "e30", "x" * 3000):
        assert_refused(client.get(f"{VMS}?limit=1&cursor={bad}"), 400, "bad_request", "cursor", bad[:40])


def test_absurd_numbers_are_answered_at_once(client: Client) -> None:
    assert client.get(f"{VMS}?limit=995395298").status == 200
    assert client.get("/v1/orgs/{org}/ai/proxy-usage?days=995395298").status == 422
    for body in (
        {"name": "a", "diskSizeGb": 10**18},
        {"name": "a", "gpuModelId": "rtx-4090", "gpuCount": -1},
        {"name": "a", "containerPort": 995395298},
    ):
        assert client.post(CREATE, body).status == 400


# -- what is not even HTTP

NOT_HTTP: dict[str, tuple[bytes, int]] = {
    "bytes in the path": (b"GET /v1/\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "bytes in the query": (b"GET /v1/me?\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a lower-case method": (b"get /v1/me HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no name before the colon": (b"GET /v1/me HTTP/1.1\r\n: x\r\n\r\n", 400),
    "a length that is none": (b"POST /v1/me HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
    "chunks without a size": (b"POST /v1/me HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    "an unknown encoding": (b"POST /v1/me HTTP/1.1\r\nTransfer-Encoding: snail\r\n\r\n", 501),
    "an endless header": (b"GET /v1/me HTTP/1.1\r\nX: " + b"x" * 300_000 + b"\r\n\r\n", 431),
    "a terabyte": (b"POST /v1/files HTTP/1.1\r\nContent-Length: 1000000000000\r\n\r\n", 413),
}


@pytest.mark.parametrize("what", NOT_HTTP)
def test_what_is_not_even_http_is_refused_in_the_form_of_the_api(served: Server, what: str) -> None:
    sent, status = NOT_HTTP[what]
    code = "payload_too_large" if status == 413 else "bad_request"
    assert_refused(exchange((served.host, served.port), [sent]), status, code)


# -- our own mistakes


def test_a_mistake_of_ours_is_500_with_an_id_and_the_traceback_only_in_the_log(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(call: object) -> None:
        raise ZeroDivisionError("a secret of the inside")

    row = OPERATIONS["getMe"]
    monkeypatch.setitem(OPERATIONS, "getMe", type(row)(**{**_fields(row), "function": broken}))
    with caplog.at_level(logging.ERROR, "simulator"):
        heard = client.get("/v1/me")
    assert_refused(heard, 500, "internal")
    assert "secret" not in heard.raw.decode()
    assert "ZeroDivisionError: a secret of the inside" in caplog.text
    assert heard.body["requestId"] in caplog.text
    assert client.key not in caplog.text
    assert client.get("/v1/whoami").status == 200


def test_even_when_no_world_can_answer_there_is_a_500_in_json(caplog: pytest.LogCaptureFixture) -> None:
    worlds = Worlds()
    send = through_wsgi(create_app(worlds))
    worlds.get(DEFAULT).contract = None  # type: ignore[assignment]
    assert_refused_lastly(send("GET", "/v1/me", {}, b""))
    assert "AttributeError" in caplog.text


def assert_refused_lastly(heard: Heard) -> None:
    assert (heard.status, heard.body["code"]) == (500, "internal")
    assert UUID.fullmatch(heard.body["requestId"])


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


# -- anything at all

CONTRACT = Contract(assets.contract_document())
PATHS = sorted({operation.path for operation in CONTRACT.operations.values()})


class Fuzzed:
    """One application for all examples: what one of them breaks stays broken."""

    def __init__(self) -> None:
        worlds = Worlds()
        self.app = create_app(worlds)
        self.world = worlds.get(DEFAULT).world
        key, self.key = access.fixture_keys(self.world)[0]
        self.org = key.organization_id

    def ask(self, method: str, path: str, query: str, body: bytes) -> Heard:
        environ = environment(method, "/", {"Authorization": f"Bearer {self.key}"}, body)
        environ |= {"PATH_INFO": path, "QUERY_STRING": query}
        return answer_of(self.app, environ)


@pytest.fixture(scope="module")
def fuzzed() -> Fuzzed:
    return Fuzzed()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({name for op in CONTRACT.operations.values() if op.body for name in op.body.fields or ()})
BODIES = st.one_of(
    st.just(b""),
    st.binary(max_size=40),
    st.dictionaries(st.sampled_from(NAMES), JSON_VALUES, max_size=4).map(
        lambda body: json.dumps(body).encode()
    ),
)


LATIN = st.characters(max_codepoint=255)
"""What a byte of the wire is in WSGI."""


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
    path=st.sampled_from(PATHS) | st.text(LATIN, max_size=20).map(lambda text: "/" + text),
    values=st.lists(st.text(LATIN, max_size=10), min_size=3, max_size=3),
    query=st.text(LATIN, max_size=30),
    body=BODIES,
)
def test_whatever_is_sent_is_answered_as_the_contract_says_or_with_an_error_in_its_form(
    fuzzed: Fuzzed, method: str, path: str, values: list[str], query: str, body: bytes
) -> None:
    fillings = iter(values)
    path = re.sub(r"{\w+}", lambda _: next(fillings), path.replace("{orgId}", fuzzed.org))
    heard = fuzzed.ask(method, path, query, body)
    assert heard.status < 300 or 400 <= heard.status < 500 or heard.status == 501, heard
    if heard.status >= 400 and method != "HEAD":
        error = heard.body["error"]
        assert isinstance(error, str) or {"message", "type", "code"} == set(error)
    assert [entry.facts for entry in fuzzed.world.journal if entry.kind == "bug"] == []
