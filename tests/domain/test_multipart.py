"""Forms with files: as clients write them, and as nobody should."""

from __future__ import annotations

from contextlib import suppress

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from simulator.domain.multipart import LONGEST_HEAD, MOST_PARTS, Part, read_form
from simulator.kernel.refusal import Refusal

TYPE = "multipart/form-data; boundary=b"


def part(disposition: str = 'form-data; name="a"', content: bytes = b"x", boundary: bytes = b"b") -> bytes:
    head = f"Content-Disposition: {disposition}\r\n\r\n".encode()
    return b"--" + boundary + b"\r\n" + head + content + b"\r\n"


def test_a_form_is_read_as_it_is_written() -> None:
    body = part() + part('form-data; name="f"; filename="in.jsonl"', b"1\r\n2") + b"--b--\r\n"
    assert read_form(TYPE, body) == {"a": Part("a", "", b"x"), "f": Part("f", "in.jsonl", b"1\r\n2")}


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="b"',
        "Multipart/Form-Data;charset=utf-8;BOUNDARY=b",
        "multipart/form-data; boundary=b; charset=utf-8",
    ],
)
def test_a_boundary_is_found_however_it_is_written(content_type: str) -> None:
    assert read_form(content_type, part() + b"--b--") == {"a": Part("a", "", b"x")}


def test_what_stands_around_the_parts_counts_for_nothing() -> None:
    body = b"preamble\r\n" + part().replace(b"--b", b"--b \t", 1) + b"--b--\r\nepilogue"
    assert read_form(TYPE, body)["a"].content == b"x"


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ("form-data; name=a; filename=in.jsonl", "in.jsonl"),
        (r'form-data; name="a"; filename="a \"b\".jsonl"', 'a "b".jsonl'),
        ("form-data; name=\"a\"; filename*=utf-8''Montr%C3%A9al.jsonl", "Montréal.jsonl"),
        ('form-data; name="a"; filename="Montréal.jsonl"', "Montréal.jsonl"),
        ('form-data; filename="name=\\"x\\""; name="a"', 'name="x"'),
        ('form-data; name="a"', ""),
    ],
)
def test_a_filename_is_read_however_it_is_written(disposition: str, filename: str) -> None:
    assert read_form(TYPE, part(disposition) + b"--b--") == {"a": Part("a", filename, b"x")}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "ends before"),
        (b"nothing of the kind", "ends before"),
        (b"--b", "ends before"),
        (part(), "ends before"),
        (b"--b\r\nContent-Disposition: form-data", "no end"),
        (b"--b\r\n" + b"x" * LONGEST_HEAD + b"\r\n\r\n--b--", "no end"),
        (b"--bx\r\n\r\n\r\n--b--", "does not end its line"),
        (b"--b\r\n\xff: x\r\n\r\n\r\n--b--", "not UTF-8"),
        (b"--b\r\nX: y\r\n\r\n\r\n--b--", "has no name"),
        (part("form-data") + b"--b--", "has no name"),
        (part() + part() + b"--b--", "'a' comes twice"),
        (
            b"".join(part(f"form-data; name=f{at}") for at in range(MOST_PARTS + 1)) + b"--b--",
            "more than",
        ),
    ],
)
def test_a_broken_form_is_400_and_says_what_is_wrong(body: bytes, named: str) -> None:
    with pytest.raises(Refusal, match=named) as caught:
        read_form(TYPE, body)
    assert caught.value.code == "bad_request"


@pytest.mark.parametrize("content_type", ["", "multipart/form-data", "multipart/form-data; boundary="])
def test_a_form_without_a_boundary_is_400(content_type: str) -> None:
    with pytest.raises(Refusal, match="names no boundary"):
        read_form(content_type, part() + b"--b--")


@given(content=st.binary(max_size=200), purpose=st.binary(max_size=20))
def test_what_an_http_library_writes_is_read_back_byte_for_byte(content: bytes, purpose: bytes) -> None:
    sent = requests.Request(
        "POST", "http://localhost/", files={"file": ("in.jsonl", content), "purpose": (None, purpose)}
    ).prepare()
    assert isinstance(sent.body, bytes)
    form = read_form(sent.headers["Content-Type"], sent.body)
    assert form["file"] == Part("file", "in.jsonl", content)
    assert form["purpose"].content == purpose


PIECES = st.sampled_from(
    [
        b"--b",
        b"--b--",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b'Content-Disposition: form-data; name="a"',
        b"x",
        b"\xff",
    ]
)


@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    with suppress(Refusal):
        read_form(TYPE, body)
