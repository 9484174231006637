"""Target 11: a row takes no more memory than the leanest object of plain Python."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from benchmarks.comparison import Comparison, Effort, Measure
from benchmarks.population import world_of
from simulator.resources.vms.lifecycle import Vm

ROWS = 1000


def compare(effort: Effort) -> Iterator[Comparison]:
    vm = next(vm for vm in world_of(effort.small).rows(Vm) if vm.status == "running")
    fields = {name: getattr(vm, name) for name in Vm.__struct_fields__}
    slotted = dataclasses.make_dataclass("SlottedVm", fields, slots=True)
    yield Comparison(
        11,
        "VM row / dataclass with slots",
        bytes_of(lambda: msgspec.structs.replace(vm)),
        bytes_of(lambda: slotted(**fields)),
        at_most=1.2,
        unit="bytes",
        most_rounds=1,
    )


def bytes_of(make: Callable[[], Any]) -> Measure:
    """What one more object takes; the values of its fields are shared."""

    def run() -> float:
        kept = [None] * ROWS
        tracemalloc.start()
        for at in range(ROWS):
            kept[at] = make()
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return taken / ROWS

    return run
