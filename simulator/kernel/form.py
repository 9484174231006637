"""Documents read into typed structs, with errors that say what would have been right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec import inspect

from simulator.kernel.refusal import nearest

_STEP = re.compile(r"\.(?P<field>\w+)|\[(?P<item>[^\]]*)\]")


class FormProblem(ValueError):
    """A document that does not fit its form; the text names the place, the value and what is known there."""

    def __init__(self, what: str, place: str = "") -> None:
        super().__init__(f"{place}: {what}" if place else what)
        self.what, self.place = what, place

    def within(self, outer: str) -> FormProblem:
        """The same problem, its place seen from further out."""
        joint = "." if self.place and not self.place.startswith("[") else ""
        return FormProblem(self.what, f"{outer}{joint}{self.place}")


@contextmanager
def inside(place: str) -> Iterator[None]:
    """Whatever does not fit in here lies at this place."""
    try:
        yield
    except FormProblem as problem:
        raise problem.within(place) from None


def read(content: Any, form: Any) -> Any:
    """The content as the form's type. Raises FormProblem."""
    try:
        return msgspec.convert(content, form)
    except msgspec.ValidationError as problem:
        raise _explained(str(problem), inspect.type_info(form)) from None


def _explained(text: str, form: inspect.Type) -> FormProblem:
    """msgspec's words, its place first, with the nearest name it would have taken."""
    what, _, path = text.partition(" - at `")
    path = path.removesuffix("`")
    place = path.removeprefix("$").removeprefix(".").replace("[...]", "")
    found = _reached(form, path)
    hint = ""
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        hint = nearest(unknown[1], _fields(found))
    elif value := re.fullmatch(r"Invalid enum value '(.*)'", what):
        hint = nearest(value[1], _words(found))
    return FormProblem(f"{what}{hint}", place)


def _reached(form: inspect.Type, path: str) -> inspect.Type:
    """The type at a path such as $[3].status."""
    for step in _STEP.finditer(path):
        form = next((kind for kind in _parts(form) if not isinstance(kind, inspect.NoneType)), form)
        if isinstance(form, inspect.StructType) and step["field"]:
            fields = {field.encode_name: field.type for field in form.fields}
            form = fields.get(step["field"], form)
        elif isinstance(form, inspect.CollectionType | inspect.VarTupleType):
            form = form.item_type
    return next((kind for kind in _parts(form) if not isinstance(kind, inspect.NoneType)), form)


def _parts(form: inspect.Type) -> tuple[inspect.Type, ...]:
    return form.types if isinstance(form, inspect.UnionType) else (form,)


def _fields(form: inspect.Type) -> list[str]:
    return [field.encode_name for field in form.fields] if isinstance(form, inspect.StructType) else []


def _words(form: inspect.Type) -> list[str]:
    return [str(word) for word in form.values] if isinstance(form, inspect.LiteralType) else []
