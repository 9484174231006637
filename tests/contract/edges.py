"""Values at the edges of a schema: one right value, and everything that is nearly right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

ANYTHING: list[Any] = [None, True, False, 0, 1, -1, 1.5, "", "x", "\0", "null", [], [[]], {}, {"a": 1}]
INTEGERS = [
    0,
    -1,
    1,
    *(edge + step for edge in (-(2**63), 2**63, -(2**31), 2**31, 2**64, 2**53) for step in (-1, 0, 1)),
    10**30,
    5.0,
    -0.0,
    1e300,
    9.3e18,
    0.5,
    "5",
    True,
]
STRINGS = ["", " ", "x", "\0", "ü", "\U0001f600", "x" * 5000, "x\n", 5, True]
DATE_TIMES = [
    "2026-02-28T23:59:59Z",
    "2026-02-28T23:59:59.123456789+05:30",
    "2024-02-29T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2000-02-29T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-10T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T23:60:00Z",
    "2026-06-30T23:59:60Z",
    "2026-01-01t00:00:00z",
    "2026-01-01 00:00:00Z",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00+0100",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00Z",
    "2026-01-01T00:00:00Z\n",
    "\uff12026-01-01T00:00:00Z",
    "2026-01-01",
    "12026-01-01T00:00:00Z",
]
DATES = [*(text[:10] for text in DATE_TIMES), "20260101", "2026-W01-1", "2026-1-1", "2026-01-01\n"]
UUIDS = [
    "123e4567-e89b-12d3-a456-426614174000",
    "123E4567-E89B-12D3-A456-426614174000",
    "00000000-0000-0000-0000-000000000000",
    "123e4567e89b12d3a456426614174000",
    "{123e4567-e89b-12d3-a456-426614174000}",
    "urn:uuid:123e4567-e89b-12d3-a456-426614174000",
    "123e4567-e89b-12d3-a456-42661417400g",
    "123e4567-e89b-12d3-a456-4266141740000",
    "123e4567-e89b-12d3-a456-426614174000\n",
    "1-23e4567e89b-12d3-a456-42661417400",
    "not-a-uuid",
]
URIS = [
    "https://example.com/a-b",
    "http://h:99999",
    "example.com",
    "https://",
    "https://ex ample",
    "HTTPS://X/%zz",
]
FORMATS: dict[str, list[Any]] = {"date-time": DATE_TIMES, "date": DATES, "uuid": UUIDS, "uri": URIS}
TEXTS = [
    *("", " ", "0", "1", "-1", "+5", " 5 ", "1_000", "05", "5.0", "1e3", "٣", "0x10", "nan", "inf", "--5"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "2147483648", "9" * 5000),
    *(
        "true",
        "false",
        "True",
        "TRUE",
        "yes",
        "no",
        "on",
        "off",
        "t",
        "f",
        "y",
        "n",
        "truee",
        " true",
        "null",
    ),
    *("x", "ü", "\0", "a,b", "[]", "{}", "100", "101", "20"),
]


def schema_at(document: dict[str, Any], pointer: str) -> tuple[dict[str, Any], str]:
    """The schema at a pointer after following references, and the pointer of its home."""
    node: Any = document
    for part in pointer[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        node = node[int(key)] if isinstance(node, list) else node[key]
    return schema_at(document, node["$ref"]) if "$ref" in node else (node, pointer)


def texts(document: dict[str, Any], pointer: str) -> list[str]:
    schema, _ = schema_at(document, pointer)
    near = [miss for word in schema.get("enum", ()) for miss in near_misses(word) if isinstance(miss, str)]
    return [*TEXTS, *schema.get("enum", ()), *near]


def near_misses(word: Any) -> list[Any]:
    if isinstance(word, str):
        return [word, word.upper(), f"{word} ", word[:-1], f"{word}\n", f"{word}s", [word]]
    return [word, str(word), [word]]


def sample(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """One right value with every known field, as far as recursion ends."""
    return _sample(document, schema, 0)


def _sample(document: dict[str, Any], schema: dict[str, Any], depth: int) -> Any:
    if "$ref" in schema:
        return _sample(document, schema_at(document, schema["$ref"])[0], depth)
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _sample(document, schema["anyOf"][0], depth)
    kind = _kind(schema)
    if kind == "object":
        names = schema.get("properties", {}) if depth < 6 else schema.get("required", ())
        return {name: _sample(document, schema["properties"][name], depth + 1) for name in names}
    if kind == "array":
        return [_sample(document, schema.get("items", {}), depth + 1)]
    if kind == "string":
        right = FORMATS.get(schema.get("format", ""), ["7" if "pattern" in schema else "text"])
        return right[0]
    return {"integer": schema.get("minimum", 1), "number": 1.5, "boolean": True}.get(kind)


def values(document: dict[str, Any], schema: dict[str, Any], depth: int = 0) -> Iterator[Any]:
    """A right value, then the schema with one thing at a time at an edge."""
    if "$ref" in schema:
        yield from values(document, schema_at(document, schema["$ref"])[0], depth)
        return
    right = sample(document, schema)
    yield right
    yield from ANYTHING if depth < 3 else ANYTHING[:4]
    for word in schema.get("enum", ()):
        yield from near_misses(word)
    for part in schema.get("anyOf", ()):
        yield from values(document, part, depth + 1)
    kind = _kind(schema)
    if kind == "object" and isinstance(right, dict):
        yield from _objects(document, schema, right, depth)
    elif kind == "array":
        yield from ([inner] for inner in values(document, schema.get("items", {}), depth + 1))
    elif kind in ("integer", "number"):
        yield from INTEGERS
        yield from (
            schema[edge] + step for edge in ("minimum", "maximum") if edge in schema for step in (-1, 0, 1)
        )
    elif kind == "string":
        yield from STRINGS
        yield from FORMATS.get(schema.get("format", ""), ())


def _objects(
    document: dict[str, Any], schema: dict[str, Any], right: dict[str, Any], depth: int
) -> Iterator[Any]:
    yield {**right, "notInTheContract": {"deep": [1]}}
    yield {name: right[name] for name in schema.get("required", ()) if name in right}
    for name in right:
        yield {other: value for other, value in right.items() if other != name}
    if depth < 4:
        for name, part in schema.get("properties", {}).items():
            yield from ({**right, name: value} for value in values(document, part, depth + 1))
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        yield from ({**right, "extra": value} for value in values(document, extra, depth + 1))


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "any")
    return kind if isinstance(kind, str) else str(next(name for name in kind if name != "null"))
