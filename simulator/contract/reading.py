"""From bytes and text to values, before any schema is asked.

Here falls what no schema can say: broken JSON and UTF-8, NUL characters, nesting deeper than 100, numbers
beyond 64 bits. Each check on the way of a good request is one scan in C; only a suspicious body is walked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from simulator.contract.spec import JSON, BodySpec, OperationSpec, Parameter, bare_media_type

MAX_DEPTH = 100
ANY_TYPE = "*/*"
SHOWN_CHARACTERS = 80

_SECRET = re.compile("token|secret|password|credential|accesskey|accountkey|signature", re.IGNORECASE)
"""Words in the names of members that hold a secret."""
_MASKED = re.compile(f"{_SECRET.pattern}|^env|cloudinit", re.IGNORECASE)
"""The same, and members in which clients put some."""
MASK = "…"
_WITHIN_URL = re.compile(r"(?<=://)[^/@\s]*(?=@)")
"""User and password of a URL."""

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_DIGITS_AS_NINES = bytes.maketrans(b"012345678", b"9" * 9)
_WIDE = b"9" * 19  # the shortest run of digits that can be beyond 64 bits
# A string is taken whole, so that brackets inside it do not count; possessive, so that no body is slow.
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
# openapi-core would also take what Python does: 1_0, spaces, digits of other scripts.
_INTEGER = re.compile(r"[+-]?[0-9]+")
# The words openapi-core takes for true and false.
_TRUE = dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True)
_FALSE = dict.fromkeys(("n", "no", "f", "false", "off", "0"), False)
_BOOLEANS = _TRUE | _FALSE
_CASTS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": lambda text: _BOOLEANS[text.lower()],
}


class Problem(msgspec.Struct, frozen=True):
    """Why a message does not fit the contract, for humans, and where: `body.gpuCount`, `query.limit`."""

    message: str
    where: str


class ReadingError(Exception):
    def __init__(self, where: str, what: str) -> None:
        super().__init__(what)
        self.problem = problem(where, what)


def problem(where: str, what: str) -> Problem:
    """`body.gpuCount` reads `gpuCount: …` in the message; a whole part keeps its name."""
    return Problem(f"{where.partition('.')[2] or where}: {what}", where)


def shown(value: Any, where: str = "") -> str:
    """A value as a message may show it, which is kept in the journal: not where a secret is expected."""
    text = repr(value)
    if _SECRET.search(where) or (where in ("body", "query") and _SECRET.search(text)):
        return "what was sent"
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def masked(value: Any) -> Any:
    """A body as the journal may keep it: without secrets, and environments in which clients put some."""
    if isinstance(value, dict):
        return {name: MASK if _is_masked(name) else masked(member) for name, member in value.items()}
    if isinstance(value, list):
        return [masked(member) for member in value]
    return _WITHIN_URL.sub(MASK, value) if isinstance(value, str) else value


def masked_query(query: str) -> str:
    """The same of a query."""
    parts = (part.partition("=") for part in query.split("&"))
    return "&".join(f"{name}={MASK if _is_masked(unquote_plus(name)) else text}" for name, _, text in parts)


@lru_cache(maxsize=2048)
def _is_masked(name: str) -> bool:
    return _MASKED.search(name) is not None


def read_path_values(values: Mapping[str, str]) -> None:
    for name, text in values.items():
        if not text.isascii() or "\0" in text:
            _refuse_unfit_text(f"path.{name}", text)


def without_blanks(query: str, operation: OperationSpec) -> str:
    """The query without texts that say nothing and need not be there: `cursor=` is no cursor [seed: the page
    loop of the documentation begins with it]. One of a choice of words is no such text."""
    if "=&" not in f"{query}&":
        return query
    blanks = {
        f"{known.name}="
        for known in operation.parameters
        if known.type == "string" and known.plain and not known.required
    }
    return "&".join(pair for pair in query.split("&") if pair not in blanks)


def read_query(query: str, operation: OperationSpec) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values of the parameters the operation knows, and the names of those it does not."""
    texts: dict[str, str] = {}
    unknown: dict[str, None] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise ReadingError("query", f"{shown(query, 'query')} cannot be decoded as UTF-8") from error
    for name, text in pairs:
        _refuse_unfit_text(f"query.{name}", text)
        if name not in operation.parameter_names:
            unknown[name] = None
        elif name in texts:
            # Neither value is shown: it may be a secret.
            raise ReadingError(f"query.{name}", "is given twice")
        else:
            texts[name] = text
    return dict(_query_values(operation, texts)), tuple(unknown)


def _query_values(operation: OperationSpec, texts: dict[str, str]) -> Iterator[tuple[str, Any]]:
    for parameter in operation.parameters:
        if parameter.name in texts:
            text = texts[parameter.name]
            if parameter.type == "integer" and not _INTEGER.fullmatch(text):
                raise ReadingError(
                    f"query.{parameter.name}", f"{shown(text, parameter.name)} is not of type 'integer'"
                )
            value = cast(parameter, text)
            if not isinstance(value, str):
                _refuse_wide_number(f"query.{parameter.name}", value)
            yield parameter.name, value


def cast(parameter: Parameter, text: str) -> Any:
    """The value a text stands for, as openapi-core reads it. A text that stands for none is kept as it is:
    the plan will not be sure of it, and openapi-core say why."""
    try:
        return _CASTS[parameter.type](text)
    except (KeyError, ValueError):
        return text


def read_body(spec: BodySpec | None, headers: Mapping[str, str], body: bytes) -> Any:
    """The decoded body; None when there is none, the bytes themselves when they are not JSON."""
    if spec is None:
        return None
    accepted = " or ".join(spec.media_types)
    if not body:
        if spec.required:
            raise ReadingError("body", f"is missing; {accepted} is needed")
        return None
    # A client that sends JSON without saying so is understood. [choice]
    sent = headers.get("content-type") or JSON
    fits = sent in spec.media_types or bare_media_type(sent) in spec.media_types
    if not fits and ANY_TYPE not in spec.media_types:
        raise ReadingError("header.content-type", f"{shown(sent)} is sent, {accepted} is accepted")
    return read_json(body) if spec.schema else body


def read_json(body: bytes) -> Any:
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _refuse_deep_nesting(body)
    try:
        value = _DECODER.decode(body)
    except msgspec.ValidationError as error:  # a number no decoder can hold: read again only to name it
        _refuse_unfit_values("body", _decoded_roughly(body))
        raise ReadingError("body", str(error)) from error
    except UnicodeDecodeError as error:
        raise ReadingError(
            "body", f"a text holds {shown(error.object[error.start : error.end])}, which is not UTF-8"
        ) from error
    except ValueError as error:
        raise ReadingError(
            "body", f"malformed JSON: {str(error).removeprefix('JSON is malformed: ')}"
        ) from error
    if b"\\u0000" in body or _WIDE in body.translate(_DIGITS_AS_NINES):
        _refuse_unfit_values("body", value)
    return value


def _whole_if_integral(text: str) -> float | int:
    """5.0 and 5 are one number in JSON Schema; operations shall meet it as 5. No field of the service holds
    more than 64 bits, so a float may not either."""
    value = float(text)
    if not _LOWEST <= value < _HIGHEST:
        raise ValueError(text)
    return int(value) if value.is_integer() else value


_DECODER = msgspec.json.Decoder(float_hook=_whole_if_integral)


def _decoded_roughly(body: bytes) -> Any:
    try:
        return json.loads(body, parse_int=Decimal)
    except ValueError:
        return None


def _refuse_deep_nesting(body: bytes) -> None:
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(body):
        token = match.group()
        if token in (b"[", b"{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise ReadingError("body", f"is nested deeper than {MAX_DEPTH}")
        elif token in (b"]", b"}"):
            depth -= 1


def _refuse_unfit_values(where: str, value: Any) -> None:
    for place, leaf in _leaves(where, value):
        if isinstance(leaf, str):
            _refuse_unfit_text(place, leaf)
        elif isinstance(leaf, int | float | Decimal):
            _refuse_wide_number(place, leaf)


def _leaves(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and every value that holds no others, with its place."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{where}.{name}", name
            yield from _leaves(f"{where}.{name}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(f"{where}[{index}]", inner)
    else:
        yield where, value


def _refuse_wide_number(where: str, value: float | Decimal) -> None:
    if not _LOWEST <= value <= _HIGHEST:
        number = str(value)
        raise ReadingError(where, f"{number[:SHOWN_CHARACTERS]} does not fit into 64 bits")


def _refuse_unfit_text(where: str, text: str) -> None:
    """NUL ends a text in many stores, and half a surrogate pair cannot be written as UTF-8."""
    if "\0" in text:
        raise ReadingError(where, f"{shown(text, where)} holds a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ReadingError(where, f"{shown(text, where)} is not valid Unicode") from error
