"""The areas of the service, in the order of their fixture sections; everything they registered, by name."""

from __future__ import annotations

from collections.abc import Callable

from simulator.kernel.operation import Action, Area, Operation, Seed
from simulator.resources import (
    account,
    api_keys,
    billing,
    catalog,
    internal,
    organizations,
    provider,
    ssh_keys,
    usage,
    webhooks,
)
from simulator.resources.vms import lifecycle as vms
from simulator.resources.vms import operations as vm_operations  # noqa: F401  registers with the area

AREAS: tuple[Area, ...] = (
    account.area,
    organizations.area,
    api_keys.area,
    ssh_keys.area,
    catalog.area,
    provider.area,
    billing.area,
    vms.area,
    usage.area,
    webhooks.area,
    internal.area,
)

OPERATIONS: dict[str, Operation] = {name: row for area in AREAS for name, row in area.operations.items()}
ACTIONS: dict[str, Action] = {name: row for area in AREAS for name, row in sorted(area.actions.items())}
TIMERS: dict[str, Callable[..., None]] = {name: row for area in AREAS for name, row in area.timers.items()}
SEEDS: dict[str, Seed] = {seed.section: seed for area in AREAS for seed in area.seeds}
