"""A page of a list costs the same however long the list is: counted in steps of Python, not in time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from benchmarks import lists
from benchmarks.lists import LISTS, Paged
from simulator import assets
from simulator.contract import Contract

SPECS = Contract(assets.contract_document()).operations
BOUNDED = {"listOutgoingTransfers", "getBalance"}
"""What the contract gives no parameter for, but behaviour a length."""
ROWS_OF_PAGES = {"data", "items", "transactions"}


class Steps:
    """Instructions of Python that were carried out."""

    count = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Steps:
        frame.f_trace_opcodes = True
        self.count += event == "opcode"
        return self


@contextmanager
def counting() -> Iterator[Steps]:
    steps, outer = Steps(), sys.gettrace()
    sys.settrace(steps)
    try:
        yield steps
    finally:
        sys.settrace(outer)


def steps_of(call: Callable[[], Any]) -> tuple[int, Any]:
    call()  # what is compiled or noted the first time does not count
    with counting() as steps:
        reply = call()
    return steps.count, reply


def rows_in(body: Any) -> list[Any]:
    found: list[Any] = (
        body if isinstance(body, list) else next(body[name] for name in ROWS_OF_PAGES & set(body))
    )
    return found


def test_every_list_with_a_limit_is_measured() -> None:
    limited = {
        name for name, spec in SPECS.items() if spec.parameter_names & {"limit", "cursor", "offset", "after"}
    }
    assert limited | BOUNDED == {paged.operation.partition(",")[0] for paged in LISTS}


@pytest.mark.parametrize("paged", LISTS, ids=[paged.operation for paged in LISTS])
def test_a_page_takes_as_many_steps_from_a_long_list_as_from_a_short_one(paged: Paged) -> None:
    short, page = steps_of(lists.look(paged, 110))
    long, same_size = steps_of(lists.look(paged, 2000))
    assert len(rows_in(json.loads(page.body))) == len(rows_in(json.loads(same_size.body))) >= 25
    assert long <= 1.02 * short
