"""A row of any class with its required fields filled in: for tests that only need it to exist."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from simulator.kernel.world import Row

R = TypeVar("R", bound=Row)


def any_row(kind: type[R], **fields: Any) -> R:
    """A row of this class; what is not given and has no default is as small as its type allows."""
    return msgspec.convert(_smallest(inspect.type_info(kind), fields), kind)


def _smallest(kind: inspect.Type, fields: dict[str, Any]) -> Any:
    if isinstance(kind, inspect.StructType):
        missing = (field for field in kind.fields if field.required and field.name not in fields)
        return {**{field.name: _smallest(field.type, {}) for field in missing}, **fields}
    if isinstance(kind, inspect.UnionType):
        return _smallest(next(iter(kind.types)), {})
    if isinstance(kind, inspect.LiteralType):
        return kind.values[0]
    return SMALLEST[type(kind)]


SMALLEST: dict[type[inspect.Type], Any] = {
    inspect.AnyType: None,
    inspect.BoolType: False,
    inspect.BytesType: b"",
    inspect.DictType: {},
    inspect.FloatType: 0.0,
    inspect.IntType: 0,
    inspect.ListType: [],
    inspect.NoneType: None,
    inspect.SetType: [],
    inspect.StrType: "any",
    inspect.VarTupleType: [],
}
