"""The areas of the service, in the order of their fixture sections; everything they registered, by name."""

from __future__ import annotations

from collections.abc import Callable

from simulator.kernel.operation import Action, Area, Operation, Seed
from simulator.resources import (
    account,
    ai_proxy,
    api_keys,
    catalog,
    files,
    internal,
    models,
    organizations,
    registry_credentials,
    snapshots,
    ssh_keys,
    transfers,
    usage,
    webhooks,
)
from simulator.resources.batches import lifecycle as batches
from simulator.resources.batches import operations as batch_operations  # noqa: F401  registers with the area
from simulator.resources.billing import operations as billing_operations  # noqa: F401  registers with the area
from simulator.resources.billing import outside as billing_outside  # noqa: F401  registers with the area
from simulator.resources.billing import payments as billing
from simulator.resources.clusters import operations as cluster_operations  # noqa: F401  registers with the area
from simulator.resources.clusters import states as clusters
from simulator.resources.provider import bootstrap as provider_bootstrap  # noqa: F401  registers with the area
from simulator.resources.provider import earnings as provider_earnings  # noqa: F401  registers with the area
from simulator.resources.provider import lifecycle as provider
from simulator.resources.provider import operations as provider_operations  # noqa: F401  registers with the area
from simulator.resources.provider import tenants as provider_tenants  # noqa: F401  registers with the area
from simulator.resources.runners import lifecycle as runners
from simulator.resources.runners import outside as runner_outside  # noqa: F401  registers with the area
from simulator.resources.vms import lifecycle as vms
from simulator.resources.vms import operations as vm_operations  # noqa: F401  registers with the area

AREAS: tuple[Area, ...] = (
    account.area,
    organizations.area,
    api_keys.area,
    ssh_keys.area,
    registry_credentials.area,
    catalog.area,
    models.area,
    provider.area,
    billing.area,
    vms.area,
    clusters.area,
    clusters.replica_area,
    snapshots.area,
    transfers.area,
    usage.area,
    ai_proxy.area,
    runners.area,
    runners.jobs,
    files.area,
    batches.area,
    webhooks.area,
    internal.area,
)

OPERATIONS: dict[str, Operation] = {name: row for area in AREAS for name, row in area.operations.items()}
ACTIONS: dict[str, Action] = {name: row for area in AREAS for name, row in sorted(area.actions.items())}
TIMERS: dict[str, Callable[..., None]] = {name: row for area in AREAS for name, row in area.timers.items()}
SEEDS: dict[str, Seed] = {seed.section: seed for area in AREAS for seed in area.seeds}
