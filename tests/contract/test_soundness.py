from __future__ import annotations

import pytest

from tests.contract.documents import DOCUMENT
from tests.contract.soundness import Found, plans, search

CONTROLS = [name for name in plans(DOCUMENT) if name != "plan"]


@pytest.fixture(scope="module")
def found() -> Found:
    return search(DOCUMENT)


def test_what_the_plan_accepts_openapi_core_accepts(found: Found) -> None:
    assert found.cases > 10_000
    assert found.accepted["plan"] > 2_000
    assert [(case.place, case.value) for case in found.unsound["plan"]] == []


@pytest.mark.parametrize("control", CONTROLS)
def test_a_plan_with_a_hole_is_caught(found: Found, control: str) -> None:
    assert found.unsound[control]
