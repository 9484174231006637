"""Documents that do not fit their form: the message says where, what, and what would have been right."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest

from simulator.kernel.form import FormProblem, read


class Wheel(msgspec.Struct, forbid_unknown_fields=True):
    """A part."""

    side: Literal["left", "right"]
    spokes: int = 0


class Cart(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A whole."""

    name: str
    wheels: list[Wheel] = []
    spare: Wheel | None = None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"nam": "x"}, "Object contains unknown field `nam`; did you mean 'name'?"),
        ({}, "Object missing required field `name`"),
        (
            {"name": "x", "wheels": [{"side": "leftt"}]},
            "wheels[0].side: Invalid enum value 'leftt'; did you mean 'left'?",
        ),
        (
            {"name": "x", "spare": {"side": "left", "spoks": 3}},
            "spare: Object contains unknown field `spoks`; did you mean 'spokes'?",
        ),
        (
            {"name": "x", "spare": {"side": "up"}},
            "spare.side: Invalid enum value 'up'; known are left, right",
        ),
        ({"name": 3}, "name: Expected `str`, got `int`"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_a_problem_names_the_place_and_what_would_be_right(content: object, text: str) -> None:
    with pytest.raises(FormProblem) as problem:
        read(content, Cart)
    assert str(problem.value) == text
