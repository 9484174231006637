"""The control surface: what is not there, what cannot be read, and who may call it."""

from __future__ import annotations

import re

import pytest

from tests.support.surface import Surface, refused


def test_what_is_not_there_is_404_and_a_wrong_method_405(sim: Surface) -> None:
    refused(sim.get("/_sim/nothing"), 404, "not_found", "/_sim/nothing", "/_sim/openapi.json")
    refused(sim.get("/_simulate"), 404, "not_found")
    heard = sim.delete("/_sim/clock")
    refused(heard, 405, "method_not_allowed", "DELETE", "GET, HEAD, PUT")
    assert heard.headers["allow"] == "GET, HEAD, PUT"
    assert sim.call("HEAD", "/_sim/clock").raw == b""


def test_bytes_that_are_no_text_and_bodies_without_end_are_refused(sim: Surface) -> None:
    refused(sim.post("/_sim/reset", b"x" * (2 << 20)), 413, "payload_too_large")
    refused(sim.post("/_sim/reset", b'{"fixture": "\xff"}'), 400, "bad_request", "UTF-8")
    refused(sim.post("/_sim/actions/%ff"), 400, "bad_request", "UTF-8")
    refused(sim.get("/_sim/clock?world=%00"), 400, "bad_request", "NUL")
    refused(sim.post("/_sim/reset", b"<reset/>", content_type="text/xml"), 400, "bad_request", "'text/xml'")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1", "127.1.2.3:80", "[::1]:8080", ""]
)
def test_on_loopback_a_local_host_is_welcome(sim: Surface, host: str) -> None:
    assert sim.get("/_sim", host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.nip.io"]
)
def test_on_loopback_a_foreign_host_is_403(sim: Surface, host: str) -> None:
    refused(sim.get("/_sim", host=host), 403, "forbidden", f"Host {host!r} is foreign")
    refused(sim.get("/_sim/nothing", host=host), 403, "forbidden")
    assert sim.get("/_sim/health", host=host).status == 200


def test_elsewhere_any_host_is_welcome() -> None:
    assert Surface(loopback=False).get("/_sim", host="simulator:8080").status == 200


def test_a_foreign_origin_is_403_and_the_own_one_welcome(sim: Surface) -> None:
    for origin in (
        "https://evil.example",
        "http://localhost:3000",
        "null",
        "http://127.0.0.1:9",
        "http://[",
        "http://[::1",
        "http://127.0.0.1:8080@evil.example",
        "\xff",
        "://127.0.0.1:8080",
    ):
        heard = sim.post("/_sim/reset", origin=origin, host="127.0.0.1:8080")
        refused(heard, 403, "forbidden", f"Origin {origin!r} is foreign")
    assert sim.post("/_sim/reset", origin="http://127.0.0.1:8080", host="127.0.0.1:8080").status == 200


def test_an_origin_without_a_host_is_403(sim: Surface) -> None:
    refused(sim.post("/_sim/reset", origin="null", host=""), 403, "forbidden", "Origin 'null' is foreign")


def test_with_a_control_token_every_call_but_health_needs_it() -> None:
    sim = Surface(control_token="s3cret")
    for call in ("/_sim", "/_sim/clock", "/_sim/openapi.json", "/_sim/nothing"):
        refused(sim.get(call), 401, "unauthorized", "--control-token")
        for wrong in ("wrong", "\xff", "s3cre", "s3cret2"):
            heard = sim.get(call, authorization=f"Bearer {wrong}")
            refused(heard, 401, "unauthorized", "was sent is not the value of --control-token")
    assert sim.get("/_sim/clock", authorization="Bearer s3cret").status == 200
    assert sim.get("/_sim/health").status == 200
    assert sim.get("/v1/me").status == 200, "the API knows only its own keys"
    assert "s3cret" not in sim.get("/_sim").raw.decode()


@pytest.mark.parametrize("token", ["cl\xe9", "two words", "a\n", "\N{EURO SIGN}"])
def test_a_control_token_that_no_header_carries_is_refused_at_the_start(token: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII characters, without spaces"):
        Surface(control_token=token)


def test_a_path_that_is_nearly_right_is_told_where_to_begin(sim: Surface) -> None:
    refused(sim.get("/_sim/"), 404, "not_found", "nothing at /_sim/", "GET /_sim is the overview")


def test_a_control_call_draws_nothing_from_a_world(sim: Surface) -> None:
    first = sim.get("/v1/me").headers["x-request-id"]
    sim.post("/_sim/reset")
    for target in (
        "/_sim",
        "/_sim/nothing",
        "/_sim/journal",
        "/_sim/actions",
        "/_sim/settings",
        "/_sim/worlds",
    ):
        assert re.fullmatch(r"[0-9a-f-]{36}", sim.get(target).headers["x-request-id"])
    assert sim.get("/v1/me").headers["x-request-id"] == first
