"""Everything about the cloud that can be set, one row each. Profiles are presets of these rows.

Where the sources disagree, or say nothing, the question is a row here and the code asks the row; no code
outside this file knows a profile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec


class Setting(msgspec.Struct, frozen=True):
    """One row: what it may be and what it means."""

    default: Any
    meaning: str
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int = 10**12
    pattern: str = ".+"
    """What a text looks like."""


def _timing(step: str, gpu: float, cpu: float, meaning: str) -> dict[str, Setting]:
    """Two rows of seconds: for GPU and for CPU VMs."""
    return {
        f"timing.gpu_vm.{step}_s": Setting((float(gpu),), f"GPU VM: {meaning}"),
        f"timing.cpu_vm.{step}_s": Setting((float(cpu),), f"CPU VM: {meaning}"),
    }


SETTINGS: dict[str, Setting] = {
    "profile": Setting("2026-06", "the service as of that month; the other rows follow it", ("2026-06", "2026-07", "2026-10")),
    "keys.prefix": Setting("vl_", "prefix of new API keys; both are accepted", ("vl_", "or_")),
    "keys.revocation_delay_s": Setting(0, "seconds until a revoked key stops working", minimum=0),
    "keys.revoke_unknown": Setting("204", "revoking an unknown key", ("204", "404")),
    "keys.minted_by": Setting("anyone", "who may create keys: any key with the scope, or sessions only", ("anyone", "session")),
    "errors.code_style": Setting("snake", "case of the generic error codes", ("snake", "upper")),
    "errors.request_id": Setting(True, "requestId in error bodies"),
    "requests.strict": Setting("warn", "members that the contract does not know: ignored, ignored and told in X-Sim-Unknown-Fields, or refused", ("off", "warn", "error")),
    "limits.per_minute": Setting(0, "calls a minute of one key or session; 0: no limit", minimum=0),
    "limits.burst": Setting(60, "calls at once, where there is a limit", minimum=1),
    "scopes.mode": Setting("documented", "documented: vms:write opens VM writes; observed: only clusters:* opens anything", ("documented", "observed")),
    "me.allow_keys": Setting(True, "getMe and updateProfile with an API key"),
    "ids.style": Setting("uuid", "ids of VMs, clusters, organizations, nodes: UUIDs, or vm_… as the documentation prints", ("uuid", "prefixed")),
    "ids.gpu_models": Setting("slug", "GPU model ids in answers; both are accepted", ("slug", "uuid")),
    "capacity.refusal_status": Setting(409, "status when a placeable shape finds no room (409 or 503)", minimum=400, maximum=599),
    "availability.shape": Setting("union", "flat: June; nested: July; union: both together", ("union", "flat", "nested")),
    "availability.ttl_s": Setting(0, "seconds for which gpu-availability may repeat an old answer", minimum=0),
    "names.unique": Setting(False, "a VM name in use by a live VM is refused with 409"),
    "vms.queue": Setting(False, "createVm that finds no room waits as pending instead of being refused"),
    "vms.require_ssh_key": Setting(False, "createVm needs at least one SSH key"),
    "vms.idempotency_key": Setting(False, "createVm honours the Idempotency-Key header"),
    "vms.size_with_count": Setting("accepted", "resourceSize together with gpuCount", ("accepted", "refused")),
    "vms.ssh_ready": Setting("probe", "sshReady: when a probe saw the guest answer, or as soon as the VM runs", ("probe", "running")),
    "vms.reboot_terminated_status": Setting(400, "status of rebootVm on a terminated VM", minimum=400, maximum=599),
    "vms.legacy_node_loss": Setting(False, "a lost node shows its VMs as failed, not as interrupted"),
    "vms.beta_ops": Setting("recorded", "reboot and resize: recorded only, or carried out", ("recorded", "executed")),
    "vms.deadline_s": Setting(600, "a start that has not ended by then fails", minimum=1),
    "vms.interrupted_days": Setting(7, "an interrupted VM is stopped after so many days", minimum=1),
    "vms.endpoint_domain": Setting("run.openrelay.inc", "domain of endpoint URLs, with a port where it has one"),
    "clusters.names_unique": Setting(True, "a cluster name in use by a live cluster is refused with 409"),
    "clusters.queue": Setting(False, "createCluster that finds no room for all its replicas waits as pending instead of being refused"),
    "clusters.max_replicas": Setting(100, "replicas of one cluster at the most", minimum=1),
    "clusters.health_check_s": Setting(10, "seconds between two health checks of a replica", minimum=1),
    "clusters.unhealthy_after": Setting(3, "health checks failed in a row that make a replica unhealthy", minimum=1),
    "clusters.deadline_s": Setting(900, "a cluster that is not serving by then is degraded, or failed; so long may a replica start", minimum=1),
    "clusters.fail_after_s": Setting(300, "a degraded cluster without a healthy replica for so long fails where no new one finds a place", minimum=1),
    "clusters.deploy_token": Setting("masked", "deployToken in the detail: its first characters, or all of it", ("masked", "shown")),
    "nodes.drain_ends_workloads": Setting(True, "draining a node terminates what runs on it"),
    "provider.installer": Setting("served", "script of providerBootstrap: served, missing upstream (502), or not configured (503)", ("served", "missing", "unconfigured")),
    "snapshots.capture": Setting("on", "whether a snapshot is ever captured, or stays `creating` for ever", ("on", "off")),
    "snapshots.capture_s": Setting((30.0,), "seconds from `creating` to `ready`"),
    "transfers.clusters": Setting(True, "clusters can be transferred, not only VMs"),
    "transfers.ssh_keys": Setting("replaced", "SSH keys of a transferred VM: replaced by the new owner's, or kept beside them", ("replaced", "kept")),
    "transfers.target_orgs_for_keys": Setting(True, "listTransferTargetOrgs with an API key, which gets an empty list"),
    "sshkeys.in_use": Setting("scrubbed", "deleting the last key of a VM: scrubbed, or refused with KEY_IN_USE", ("scrubbed", "refused")),
    "members.mode": Setting("at_once", "adding a member: at once, or by an invite", ("at_once", "invite")),
    "members.last_owner_status": Setting(403, "status when the last owner would go", minimum=400, maximum=599),
    "members.max_owned_orgs": Setting(5, "organizations one account may own", minimum=1),
    "members.new_orgs": Setting(True, "organizations can be made; else createOrg answers 503"),
    "billing.open_at": Setting("running", "when the billing session opens", ("running", "deploying")),
    "billing.rounding": Setting("floor", "what is left of a cent of a session", ("floor", "nearest", "up")),
    "billing.floor_cents": Setting(50, "available balance at which workloads stop"),
    "billing.low_cents": Setting(100, "available balance at which balance.low is sent"),
    "billing.min_deploy_cents": Setting(50, "deploying needs more than this available"),
    "billing.tick_s": Setting(60, "seconds between two looks at the balance", minimum=1),
    "billing.payments": Setting(True, "payments are configured; without them deposits, cards and auto-recharge answer 503"),
    "billing.deposit_min_cents": Setting(1000, "least deposit, and least recharge", minimum=1),
    "billing.deposit_max_cents": Setting(50000, "largest deposit and recharge, where the approved monthly spend allows it", minimum=1),
    "billing.monthly_limit_cents": Setting(50000, "approved monthly spend of an account that has none of its own; caps each deposit and recharge", minimum=0),
    "billing.require_runway": Setting(False, "a deposit pays for an hour of the present burn at the least"),
    "billing.credit_delay_s": Setting((2.0,), "seconds from a charge that succeeded to its credit"),
    "billing.default_card": Setting("first", "a saved card becomes the default one: while there is none, or always", ("first", "newest")),
    "billing.check_cards": Setting(False, "a card is saved only after its bank has vouched for it"),
    "billing.delete_unknown_card": Setting("204", "deleting an unknown or foreign card", ("204", "404")),
    "billing.settle_after_s": Setting(300, "settlement of a month, seconds after its end", minimum=0),
    "inference.min_balance_cents": Setting(0, "a new batch needs more than this available"),
    "inference.settle_after_s": Setting(60, "seconds from the use of a model to its debit in whole cents", minimum=0),
    "batches.price_percent": Setting(50, "what a batch costs, in percent of the models' prices", minimum=0),
    "files.uploads_per_hour": Setting(1000, "files an organization may send in an hour", minimum=1),
    "ai_proxy.host": Setting("proxy.openrelay.inc", "host of the AI proxy"),
    "ai_proxy.port": Setting(3128, "port of the AI proxy", minimum=1),
    "provider.commission_percent": Setting(70, "share of the paid gross that a provider keeps", minimum=0, maximum=100),
    "provider.payout_min_cents": Setting(5000, "least payout to a provider", minimum=1),
    "runners.tiers": Setting("32=4900 64=8900 128=16900 256=32900", "sizes of runner pools: GB of RAM = cents a month", pattern=r"\d{1,4}=\d{1,9}( \d{1,4}=\d{1,9})*"),
    "runners.defaults": Setting("required", "name and poolRamGb of createRunnerPool: required, or the GitHub owner and 64", ("required", "filled_in")),
    "runners.oauth": Setting(False, "connecting GitHub goes through OAuth, and createRunnerPool needs its grant"),
    "runners.require_card": Setting(False, "createRunnerPool needs a saved card"),
    "runners.trial_days": Setting(14, "days a runner pool is free of charge", minimum=0),
    "webhooks.empty_means": Setting("all", "an empty event list: every event, or the VM events only", ("all", "vm")),
    "webhooks.delivery_id": Setting("attempt", "X-VectorLay-Delivery: new per attempt, or one per delivery", ("attempt", "delivery")),
    "webhooks.retry_s": Setting((10.0, 60.0, 300.0), "seconds from a failed attempt to the next"),
    "webhooks.jitter_percent": Setting(0, "a retry comes up to so many percent later, drawn from the seed", minimum=0),
    "webhooks.timeout_s": Setting(10, "real seconds a receiver may take", minimum=1, maximum=300),
    "webhooks.allow_http": Setting("loopback", "plain http receivers: loopback and private only, any, none", ("loopback", "any", "none")),
    "webhooks.max_rows": Setting(500, "delivery rows kept per webhook", minimum=1),
    "timing.node.first_heartbeat_s": Setting((10.0,), "node: from its enrolment to its first heartbeat"),
    "timing.runner.provisioning_s": Setting((20.0,), "runner job: from its start until it runs"),
    "timing.batch.validating_s": Setting((10.0,), "batch: stage `validating`"),
    "timing.batch.record_s": Setting((1.0,), "batch: work on one record"),
    "timing.batch.finalizing_s": Setting((10.0,), "batch: stage `finalizing`"),
    "timing.batch.cancelling_s": Setting((10.0,), "batch: from `cancelling` to `cancelled`"),
    **_timing("scheduling", 5, 2, "stage `scheduling` of a start"),
    **_timing("preparing_disk", 15, 5, "stage `preparing_disk`"),
    **_timing("pulling_image", 40, 15, "stage `pulling_image`"),
    **_timing("booting", 30, 8, "stage `booting`"),
    **_timing("restart", 45, 15, "start of a stopped VM whose image is cached, in stage `booting`"),
    **_timing("ssh_ready", 45, 15, "from running until SSH answers"),
    **_timing("restart_in_place", 20, 10, "SSH away while a running VM restarts"),
    "timing.replica.scheduling_s": Setting((5.0,), "cluster replica: first part of a start"),
    "timing.replica.pulling_image_s": Setting((60.0,), "cluster replica: second part of a start"),
    "timing.replica.booting_s": Setting((25.0,), "cluster replica: last part of a start"),
    "timing.replica.restart_s": Setting((45.0,), "cluster replica: start on a node that has its image"),
    "timing.replica.restart_in_place_s": Setting((30.0,), "cluster replica: restart where it is, its turn in a rolling restart"),
    "timing.teardown_s": Setting((0.0,), "from the end of a VM or replica until its GPUs, RAM and vCPU are free"),
}  # fmt: skip


class UnknownSetting(ValueError):
    """A setting that does not exist, or a value it cannot take. The text names what would be right."""


class Settings(Mapping[str, Any]):
    """The value of every row. Immutable; `but` makes another."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values = {key: row.default for key, row in SETTINGS.items()}
        for key, value in (values or {}).items():
            self._values[key] = check_setting(key, value)

    def but(self, values: Mapping[str, Any]) -> Settings:
        """These settings with some rows set otherwise; all or nothing."""
        made = Settings()
        made._values = {**self._values, **{key: check_setting(key, value) for key, value in values.items()}}
        return made

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def flag(self, key: str) -> bool:
        value: bool = self._values[key]
        return value

    def whole(self, key: str) -> int:
        value: int = self._values[key]
        return value

    def word(self, key: str) -> str:
        value: str = self._values[key]
        return value

    def seconds(self, key: str) -> tuple[float, ...] | None:
        """A list of spans, or the ends of a range to draw from; None never ends."""
        value: tuple[float, ...] | None = self._values[key]
        return value


def check_setting(key: str, value: Any) -> Any:
    """The value as the row keeps it; a text such as "60" or "10..20" is read as the row's type.

    Raises UnknownSetting with the value and what would have been right.
    """
    from simulator.kernel.refusal import nearest

    row = SETTINGS.get(key)
    if row is None:
        raise UnknownSetting(f"unknown setting {key!r:.80}{nearest(str(key), list(SETTINGS))}")
    try:
        return _read(row, value)
    except (ValueError, TypeError, OverflowError):
        raise UnknownSetting(f"{key}: {value!r:.80} is not {expects(row)}") from None


def expects(row: Setting) -> str:
    """What a row takes, in words."""
    if row.choices:
        return "one of " + ", ".join(row.choices)
    if isinstance(row.default, bool):
        return "true or false"
    if isinstance(row.default, int):
        least = "" if row.minimum is None else f" of at least {row.minimum}"
        return f"a whole number{least}" + ("" if row.maximum == 10**12 else f", {row.maximum} at most")
    if isinstance(row.default, tuple):
        return "seconds (5), a range (5..10), a list ([10, 60]) or never"
    return "a text" if row.pattern == ".+" else f"a text such as {row.default!r}"


def _read(row: Setting, value: Any) -> Any:
    """The value in the row's type. Raises ValueError, TypeError or OverflowError when it does not fit."""
    if row.choices:
        return row.choices[row.choices.index(str(value))]
    if isinstance(row.default, bool):
        return ("false", "true").index(str(value).lower()) == 1
    if isinstance(row.default, int):
        return _read_whole(row, value)
    if isinstance(row.default, tuple):
        return _read_seconds(value)
    if not isinstance(value, str) or not re.fullmatch(row.pattern, value, re.DOTALL):
        raise ValueError(value)
    return value


def _read_whole(row: Setting, value: Any) -> int:
    whole = int(value)
    if isinstance(value, bool) or whole != float(value):
        raise ValueError(value)
    if not (-row.maximum if row.minimum is None else row.minimum) <= whole <= row.maximum:
        raise ValueError(value)
    return whole


def _read_seconds(value: Any) -> tuple[float, ...] | None:
    if value is None or value == "never":
        return None
    if isinstance(value, str):
        value = value.split("..") if ".." in value else value.strip("[]").split(",")
    seconds = tuple(float(part) for part in (value if isinstance(value, (list, tuple)) else [value]))
    if not seconds or any(not 0 <= span <= 10**8 for span in seconds):
        raise ValueError(value)
    return seconds
