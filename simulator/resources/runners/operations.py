"""Runner pools: connecting a GitHub organization, pools of RAM, their jobs and what they save.

Connecting goes by GitHub's OAuth where it is on (setting runners.oauth): the state of the connect address
and the grants that come of it are made from the world's seed and the time, so that a read changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from simulator.domain import cards, workload
from simulator.kernel import page
from simulator.kernel.instant import DAY_MS, MINUTE_MS, SECOND_MS, day_of, iso
from simulator.kernel.operation import Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.streams import digest_number, spell
from simulator.kernel.world import World
from simulator.resources.runners import lifecycle
from simulator.resources.runners.lifecycle import GithubInstallation, RunnerJob, RunnerPool, area

DEFAULT_RAM_GB = 64
DEFAULT_DISK_GB = 100
DISK_GB = range(10, 2001)
"""Of a runner, as of a VM [choice]."""
METRIC_DAYS = 30
TENTH_CENTS_PER_MINUTE = 8
"""GitHub's price of a started minute of 2 vCPU [choice: list price of the plain Linux runner]."""
STATE_MS, GRANT_MS = 10 * MINUTE_MS, 60 * MINUTE_MS
"""The windows of time that states and grants are made for; each also holds in the next one [choice]."""
AUTHORIZE = "https://github.com/login/oauth/authorize?client_id=openrelay-runners&state="
INSTALL = "https://github.com/apps/openrelay-runners/installations/new?state="


# -- operations --------------------------------------------------------------------------------------------


@area.operation("listRunnerPools")
def list_runner_pools(call: Call) -> list[dict[str, Any]]:
    """Newest first, without deleted ones [2026-10 sdk]."""
    pools = call.world.select(RunnerPool, "listed", call.organization_id)
    return [_item(call.world, pool) for pool in reversed(pools)]


@area.operation("createRunnerPool", write=True, effects="→ active, on trial")
def create_runner_pool(call: Call) -> dict[str, Any]:
    """The same installation again returns its pool while active or suspended [2026-10 sdk]."""
    world, body, organization_id = call.world, call.body, call.organization_id
    pool = _wanted(world, organization_id, body)
    _check_grant(world, pool, body.get("grant", ""))
    key = (organization_id, pool.installation_id)
    existing = world.first(RunnerPool, "installation", key)
    if existing:
        return _pool(existing)
    if world.settings.flag("runners.require_card") and cards.default_card(world, organization_id) is None:
        raise Refusal("CARD_REQUIRED", "a runner pool is paid by card; save one first")
    pool = lifecycle.move_pool(world, world.put(pool), "create")
    lifecycle.plan_period(world, pool)
    return _pool(pool)


@area.operation("getRunnerConnectUrl")
def get_runner_connect_url(call: Call) -> dict[str, Any]:
    """Without OAuth the address that installs the app is the one to open [choice]."""
    world = call.world
    state = _token(world, "state", (call.organization_id,), world.now_ms // STATE_MS)
    oauth = world.settings.flag("runners.oauth")
    return {"url": (AUTHORIZE if oauth else INSTALL) + state, "installUrl": INSTALL + state, "oauth": oauth}


@area.operation("listRunnerInstallations", write=True, effects="grants to connect with")
def list_runner_installations(call: Call) -> dict[str, Any]:
    """Any code is taken for one of GitHub's [choice]; the state is checked where OAuth is on."""
    world, organization_id = call.world, call.organization_id
    if not call.body["code"].strip():
        raise Refusal("bad_request", "code is empty; GitHub hands one to the callback address")
    given = call.body.get("state", "")
    if world.settings.flag("runners.oauth") and not _holds(
        world, "state", (organization_id,), given, STATE_MS
    ):
        raise Refusal("OAUTH_STATE_INVALID", f"state {given[:80]!r} is unknown or too old; connect again")
    found = world.rows(GithubInstallation)
    return {"installations": [_installation(world, organization_id, row) for row in found]}


@area.operation("getRunnerPool", finds=RunnerPool)
def get_runner_pool(call: Call, pool: RunnerPool) -> dict[str, Any]:
    """A deleted pool can still be read [choice]."""
    return _item(call.world, pool)


@area.operation("deleteRunnerPool", write=True, finds=RunnerPool, effects="→ deleted, or draining")
def delete_runner_pool(call: Call, pool: RunnerPool) -> dict[str, Any]:
    """Draining while jobs are open; the subscription ends when it is deleted [2026-10 sdk]."""
    world = call.world
    if pool.status != "deleted":
        drains = lifecycle.is_open(world, pool)
        ended: dict[str, object] = {} if drains else {"subscription": "canceled"}
        pool = lifecycle.move_pool(world, pool, "drain" if drains else "delete", **ended)
    return {"status": pool.status}


@area.operation("listRunnerJobs", finds=RunnerPool)
def list_runner_jobs(call: Call, pool: RunnerPool) -> list[dict[str, Any]]:
    """Newest first [2026-10 sdk]; `offset` skips so many."""
    limit, offset = page.clamp_limit(call.query.get("limit")), call.query.get("offset", 0)
    if offset < 0:
        raise Refusal("bad_request", f"offset {offset} is under 0")
    bucket = call.world.bucket(RunnerJob, "pool", pool.id)
    end = max(0, len(bucket) - offset)
    found = reversed(bucket[max(0, end - limit) : end])
    return [_job(call.world.get(RunnerJob, entry[-1])) for entry in found]


@area.operation("getRunnerJobMetrics", finds=RunnerPool)
def get_runner_job_metrics(call: Call, pool: RunnerPool) -> dict[str, Any]:
    """Today and the 29 days before; a job counts on the UTC day on which it was queued [choice]."""
    world = call.world
    first_day = world.now_ms // DAY_MS - METRIC_DAYS + 1
    bucket = world.bucket(RunnerJob, "pool", pool.id)
    since = bisect_left(bucket, (first_day * DAY_MS,))
    found = [world.get(RunnerJob, entry[-1]) for entry in bucket[since:]]
    return {
        "daily": _daily(found, first_day),
        "summary": _summary(found),
        "cost": _cost(found, lifecycle.tiers(world.settings).get(pool.ram_gb, 0)),
    }


@area.operation("resizeRunnerPool", write=True, finds=RunnerPool, effects="RAM; waiting jobs may start")
def resize_runner_pool(call: Call, pool: RunnerPool) -> dict[str, Any]:
    """Not below the RAM that active and queued jobs hold [2026-10 sdk]."""
    world = call.world
    lifecycle.POOL_LIFE.step(pool.status, "resize", f"runner pool {pool.name!r}")
    ram_gb = lifecycle.check_tier(world.settings, call.body["poolRamGb"])
    held_mb = sum(lifecycle.ram_mb(lifecycle.jobs_in(world, pool, index)) for index in ("holding", "queued"))
    if ram_gb * lifecycle.MB_PER_GB < held_mb:
        raise Refusal("bad_request", f"poolRamGb {ram_gb} is less than the {held_mb} MB of its open jobs")
    return _pool(lifecycle.move_pool(world, pool, "resize", ram_gb=ram_gb))


# -- a pool as it is asked for -----------------------------------------------------------------------------


def _wanted(world: World, organization_id: str, body: dict[str, Any]) -> RunnerPool:
    """The pool a request describes, not put into the world yet; refused where it makes no sense."""
    number = body["installationId"]
    if number < 1:
        raise Refusal("bad_request", f"installationId {number} is none of GitHub's numbers")
    owner, owner_type = _owner(world, number, body)
    defaults = {"name": owner, "poolRamGb": DEFAULT_RAM_GB}
    missing = [name for name in defaults if name not in body]
    if missing and world.settings.word("runners.defaults") == "required":
        raise Refusal("bad_request", f"{missing[0]} is missing")
    body = defaults | body
    return new_pool(world, organization_id, body, (owner, owner_type))


def new_pool(world: World, organization_id: str, body: dict[str, Any], owner: tuple[str, str]) -> RunnerPool:
    """A pool on trial. Personal accounts are refused [2026-10 sdk]."""
    if owner[1] == "User":
        raise Refusal("USER_ACCOUNT_UNSUPPORTED", f"{owner[0]} is a personal account; take an organization")
    disk_gb = body.get("diskSizeGb", DEFAULT_DISK_GB)
    if disk_gb not in DISK_GB:
        bounds = f"{DISK_GB[0]} to {DISK_GB[-1]}"
        raise Refusal("bad_request", f"diskSizeGb {disk_gb} is out of bounds; take {bounds}")
    trial_ends_at_ms = world.now_ms + world.settings.whole("runners.trial_days") * DAY_MS
    return RunnerPool(
        id=world.streams.uuid("runner_pool"),
        created_at_ms=world.now_ms,
        updated_at_ms=world.now_ms,
        organization_id=organization_id,
        name=workload.check_name(body["name"]),
        installation_id=body["installationId"],
        github_owner=owner[0],
        github_owner_type=owner[1],
        ram_gb=lifecycle.check_tier(world.settings, body["poolRamGb"]),
        disk_gb=disk_gb,
        trial_ends_at_ms=trial_ends_at_ms,
        period_ends_at_ms=trial_ends_at_ms,
    )


def _owner(world: World, number: int, body: dict[str, Any]) -> tuple[str, str]:
    """What GitHub says of an installation; of one it does not know, what the request says [choice]."""
    known = world.find(GithubInstallation, str(number))
    if known:
        return known.account, known.account_type
    owner = body.get("githubOwner") or f"github-{number}"
    return owner, body.get("githubOwnerType") or "Organization"


# -- OAuth -------------------------------------------------------------------------------------------------


def _check_grant(world: World, pool: RunnerPool, given: str) -> None:
    """Where OAuth is on, a pool needs the grant that came with the installation [2026-10 sdk]."""
    about = (pool.organization_id, str(pool.installation_id))
    if world.settings.flag("runners.oauth") and not _holds(world, "grant", about, given, GRANT_MS):
        listing = "POST …/runner-pools/installations lists it as connectGrant"
        raise Refusal(
            "GRANT_REQUIRED", f"grant {given[:80]!r} does not open {pool.installation_id}; {listing}"
        )


def _token(world: World, purpose: str, about: tuple[str, ...], window: int) -> str:
    """What stands for somebody's consent during a window of time."""
    parts = (str(world.streams.seed), world.name, f"runner-{purpose}", *about, str(window))
    return spell(digest_number("\0".join(parts)), 32)


def _holds(world: World, purpose: str, about: tuple[str, ...], given: str, window_ms: int) -> bool:
    window = world.now_ms // window_ms
    return given in (_token(world, purpose, about, each) for each in (window, window - 1))


def _installation(world: World, organization_id: str, row: GithubInstallation) -> dict[str, Any]:
    window = world.now_ms // GRANT_MS
    return {
        "installationId": int(row.id),
        "account": row.account,
        "accountType": row.account_type,
        "alreadyConnected": bool(world.bucket(RunnerPool, "installation", (organization_id, int(row.id)))),
        "connectGrant": _token(world, "grant", (organization_id, row.id), window),
    }


# -- metrics -----------------------------------------------------------------------------------------------


def _daily(found: list[RunnerJob], first_day: int) -> list[dict[str, Any]]:
    """One row per day, oldest first, days without jobs too."""
    words = ("completed", "failed", "cancelled", "running")
    days: list[dict[str, Any]] = [
        {"date": day_of((first_day + day) * DAY_MS), **dict.fromkeys(words, 0)} for day in range(METRIC_DAYS)
    ]
    for job in found:
        if job.status in words:
            days[job.created_at_ms // DAY_MS - first_day][job.status] += 1
    return days


def _summary(found: list[RunnerJob]) -> dict[str, Any]:
    """Queue time ends with provisioning [choice]; duration is from queued to completed [2026-10 sdk]."""
    completed = [job for job in found if job.status == "completed"]
    lengths = [(job.completed_at_ms or 0) - job.created_at_ms for job in completed]
    waits = [
        job.provisioning_at_ms - job.created_at_ms for job in found if job.provisioning_at_ms is not None
    ]
    return {
        "totalJobs": len(found),
        "completedJobs": len(completed),
        "failedJobs": sum(job.status == "failed" for job in found),
        "avgDurationSec": _mean_seconds(lengths),
        "avgQueueTimeSec": _mean_seconds(waits),
    }


def _mean_seconds(spans_ms: list[int]) -> int:
    return sum(spans_ms) // len(spans_ms) // SECOND_MS if spans_ms else 0


def _cost(found: list[RunnerJob], monthly_cents: int) -> dict[str, Any]:
    """What GitHub would have asked for the completed jobs, per started minute [2026-10 sdk]."""
    tenths = sum(_github_tenths(job) for job in found if job.status == "completed")
    return {
        "githubCostCents": tenths // 10,
        "vectorlayCostCents": monthly_cents,
        "savedCents": max(0, tenths // 10 - monthly_cents),
    }


def _github_tenths(job: RunnerJob) -> int:
    span_ms = (job.completed_at_ms or 0) - (job.running_at_ms or 0)
    return -(-span_ms // MINUTE_MS) * -(-job.cpus // 2) * TENTH_CENTS_PER_MINUTE


# -- views -------------------------------------------------------------------------------------------------


def _pool(pool: RunnerPool) -> dict[str, Any]:
    return {
        "id": pool.id,
        "organizationId": pool.organization_id,
        "name": pool.name,
        "githubInstallationId": pool.installation_id,
        "githubOwner": pool.github_owner,
        "githubOwnerType": pool.github_owner_type,
        "poolRamGb": pool.ram_gb,
        "diskSizeGb": pool.disk_gb,
        "status": pool.status,
        "createdAt": iso(pool.created_at_ms),
        "updatedAt": iso(pool.updated_at_ms),
        "subscriptionStatus": pool.subscription,
        "trialEndsAt": iso(pool.trial_ends_at_ms),
        "currentPeriodEnd": iso(pool.period_ends_at_ms),
    }


def _item(world: World, pool: RunnerPool) -> dict[str, Any]:
    holding, queued = (lifecycle.jobs_in(world, pool, index) for index in ("holding", "queued"))
    return _pool(pool) | {
        "activeRunners": len(holding),
        "usedRamMb": lifecycle.ram_mb(holding),
        "queuedRunners": len(queued),
        "queuedRamMb": lifecycle.ram_mb(queued),
    }


def _job(job: RunnerJob) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": job.id,
        "runnerPoolId": job.pool_id,
        "organizationId": job.organization_id,
        "status": job.status,
        "ramMb": job.ram_mb,
        "cpus": job.cpus,
        "queuedAt": iso(job.created_at_ms),
    }
    moments = {
        "provisioningAt": job.provisioning_at_ms,
        "runningAt": job.running_at_ms,
        "completedAt": job.completed_at_ms,
    }
    texts = {
        "githubRepo": job.repo,
        "runnerName": job.runner_name,
        "runnerSizeLabel": job.label,
        "failureReason": job.failure_reason,
    }
    view |= {name: iso(moment) for name, moment in moments.items() if moment is not None}
    return view | {name: text for name, text in texts.items() if text}
