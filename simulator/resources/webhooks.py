"""Webhooks: who is told of events, and what became of each attempt to tell them.

A webhook's secret is shown once, when it is made or regenerated; what is kept signs. Nothing is sent while a
webhook is off. How events are recorded, sent and retried is written in domain/events.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from simulator.domain import access, events, nearby, signing, workload
from simulator.domain.access import Organization, organization_of_slug
from simulator.domain.events import EVENT_TYPES, Delivery, Outcome, Webhook
from simulator.kernel import page
from simulator.kernel.instant import iso
from simulator.kernel.operation import Area, Call
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.target import Target, pick
from simulator.kernel.world import Row, World

LONGEST_URL = 2048
SECRET = "whsec_"
PREFIX_LENGTH = 10
"""Characters of the secret that stay visible [seed: whsec_abcd]."""

_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")

_CREDENTIALS = re.compile(r"//[^/?#]*@")

area = Area("Webhooks", scope="vms")


# -- operations --------------------------------------------------------------------------------------------


@area.operation("listOrgWebhooks")
def list_webhooks(call: Call) -> list[dict[str, Any]]:
    """Newest first; never with a secret [seed]."""
    hooks = call.world.select(Webhook, "organization", call.organization_id)
    return [summary(hook) for hook in reversed(hooks)]


@area.operation("createOrgWebhook", write=True, effects="webhook on; secret shown once")
def create_webhook(call: Call) -> dict[str, Any]:
    """Unknown event names are stored and never delivered; `*` is one of them [2026-10 sdk]."""
    body, world = call.body, call.world
    workload.check_name(body["name"])
    check_url(world, body["url"])
    secret = new_secret(world)
    hook = world.put(new_webhook(world, call.organization_id, body, secret))
    view = summary(hook) | {"secret": secret}
    del view["updatedAt"]
    return view


@area.operation("updateOrgWebhook", write=True, finds=Webhook, effects="name, url, events")
def update_webhook(call: Call, hook: Webhook) -> dict[str, Any]:
    """What the body names is changed; pending retries go to the new URL [choice]."""
    body = call.body
    if "name" in body:
        workload.check_name(body["name"])
    if "url" in body:
        check_url(call.world, body["url"])
    hook = call.world.change(
        hook,
        name=body.get("name", hook.name),
        url=body.get("url", hook.url),
        events=tuple(body.get("events", hook.events)),
        updated_at_ms=call.world.now_ms,
    )
    return {"id": hook.id, "name": hook.name, "url": hook.url, "events": list(hook.events)}


@area.operation("deleteOrgWebhook", write=True, effects="webhook and its pending retries gone")
def delete_webhook(call: Call) -> None:
    """204 for an unknown id too: no 404 is listed [choice]."""
    hook = call.world.find(Webhook, call.path["id"])
    if hook is not None and hook.organization_id == call.organization_id:
        events.forget(call.world, hook)


@area.operation("listOrgWebhookDeliveries", finds=Webhook)
def list_deliveries(call: Call, hook: Webhook) -> list[dict[str, Any]]:
    """One row per attempt, newest first [2026-07 shape; values choice]."""
    limit = page.clamp_limit(call.query.get("limit"))
    deliveries, _ = page.newest_first(call.world, Delivery, ("webhook", hook.id), limit)
    return [delivery_item(delivery) for delivery in deliveries]


@area.operation("regenerateOrgWebhookSecret", write=True, finds=Webhook, effects="new secret, shown once")
def regenerate_secret(call: Call, hook: Webhook) -> dict[str, Any]:
    """The old secret ends at once; pending retries are signed with the new one [2026-10 sdk]."""
    secret = new_secret(call.world)
    prefix = secret[:PREFIX_LENGTH]
    now_ms = call.world.now_ms
    call.world.change(hook, key=signing.key_of(secret), secret_prefix=prefix, updated_at_ms=now_ms)
    return {"id": hook.id, "secret": secret, "secretPrefix": prefix}


@area.operation("toggleOrgWebhook", write=True, finds=Webhook, effects="on or off")
def toggle_webhook(call: Call, hook: Webhook) -> dict[str, Any]:
    """What happens while it is off is lost [choice]; a retry that falls due then is dropped [2026-10 sdk]."""
    enabled = call.body["enabled"]
    call.world.change(hook, enabled=enabled, updated_at_ms=call.world.now_ms)
    return {"id": hook.id, "enabled": enabled}


# -- checks ------------------------------------------------------------------------------------------------


def check_url(world: World, url: str) -> None:
    """An https URL with a host and without credentials [2026-10 sdk]; http as webhooks.allow_http says."""
    shown = repr(_CREDENTIALS.sub("//…@", url)[:200])
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        rule = f"up to {LONGEST_URL} printable ASCII characters without a space; percent-encode others"
        raise Refusal("bad_request", f"url {shown}: a URL is {rule}")
    parts = _split(url)
    if parts is None or not parts.hostname:
        raise Refusal("bad_request", f"url {shown} names no host and port; write it as https://host/path")
    if parts.username is not None:
        raise Refusal("bad_request", f"url {shown} holds credentials; receivers check the signature instead")
    if parts.scheme != "https" and not (parts.scheme == "http" and _http_allowed(world, parts.hostname)):
        allowed = world.settings.word("webhooks.allow_http")
        raise Refusal("bad_request", f"url {shown} must be https; setting webhooks.allow_http is {allowed}")


def _http_allowed(world: World, host: str) -> bool:
    """A local receiver has no certificate, so http is taken there [choice]."""
    allowed = world.settings.word("webhooks.allow_http")
    return allowed == "any" or (allowed == "loopback" and nearby.is_near(host))


def _split(url: str) -> SplitResult | None:
    """The parts of a URL; None when its host or port is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    return parts if port != 0 and (_HOST_NAME.fullmatch(host) or nearby.is_address(host)) else None


# -- rows --------------------------------------------------------------------------------------------------


def new_secret(world: World) -> str:
    return SECRET + world.streams.text("webhook_secret", 40)


def new_webhook(world: World, organization_id: str, body: dict[str, Any], secret: str) -> Webhook:
    return Webhook(
        id=f"wh_{world.streams.text('webhook', 24)}",
        created_at_ms=world.now_ms,
        updated_at_ms=world.now_ms,
        organization_id=organization_id,
        name=body["name"],
        url=body["url"],
        events=tuple(body.get("events", ())),
        key=signing.key_of(secret),
        secret_prefix=secret[:PREFIX_LENGTH],
    )


# -- timers ------------------------------------------------------------------------------------------------


@area.timer(events.RETRY)
def retry(world: World, delivery_id: str) -> None:
    """The wait after a failed attempt is over."""
    events.retry(world, delivery_id)


@area.timer(events.SEND)
def send_late(world: World, delivery_id: str) -> None:
    """An attempt that a fault kept back goes."""
    events.send_late(world, delivery_id)


@area.timer(events.ANSWER)
def answer(world: World, delivery_id: str, status_code: int | None, error: str) -> None:
    """A slow receiver's answer is there, or the timeout."""
    events.settle(world, delivery_id, Outcome(status_code, error))


# -- actions -----------------------------------------------------------------------------------------------


class Sample(Target):
    """Which organization, and what it is told."""

    type: str = "vm.running"
    data: dict[str, Any] = {}
    """Members that replace those of the sample, or are added to them."""


class SampleResource(Row, frozen=True, kw_only=True):
    """What a sample event is about: it exists in no table."""


@area.action("webhook.send", Sample)
def send(world: World, what: Sample) -> dict[str, Any]:
    """A signed sample event goes to the webhooks of an organization that want its type."""
    organization = pick(world, Organization, what, "slug", "name")
    if what.type not in EVENT_TYPES:
        raise Refusal("bad_request", f"no event type {what.type!r}{nearest(what.type, list(EVENT_TYPES))}")
    family, _, verb = what.type.partition(".")
    about = organization if family == "balance" else SampleResource(id=world.streams.uuid("sample"))
    data = sample_data(world, family, verb, about.id) | what.data
    event = events.record(world, organization.id, what.type, about, data)
    hooks = world.select(Webhook, "organization", organization.id)
    told = [hook.id for hook in hooks if events.wants(world, hook, what.type)]
    return {"event": event.id, "type": event.type, "webhooks": told}


def sample_data(world: World, family: str, verb: str, about: str) -> dict[str, Any]:
    """The data of a sample event, shaped as that of a real one."""
    if family == "vm":
        endpoint = f"https://sample-{about[:8]}.{world.settings.word('vms.endpoint_domain')}"
        return {"vmId": about, "vm_id": about, "endpoint": endpoint, "status": verb}
    if family == "replica":
        return {"clusterId": world.streams.uuid("sample"), "replicaId": about}
    if family == "cluster":
        return {"clusterId": about, "status": verb, "statusReason": ""}
    if family == "balance":
        threshold = world.settings.whole("billing.low_cents" if verb == "low" else "billing.floor_cents")
        return {"available_cents": threshold, "threshold_cents": threshold}
    return {
        "batch_id": about,
        "status": verb,
        "request_counts": {
            "total": 1,
            "completed": int(verb == "completed"),
            "failed": int(verb != "completed"),
        },
        "cost_nano_usd": 0,
        "output_file_id": None,
        "error_file_id": None,
    }


# -- views -------------------------------------------------------------------------------------------------


def summary(hook: Webhook) -> dict[str, Any]:
    return {
        "id": hook.id,
        "name": hook.name,
        "url": hook.url,
        "secretPrefix": hook.secret_prefix,
        "events": list(hook.events),
        "enabled": hook.enabled,
        "createdAt": iso(hook.created_at_ms),
        "updatedAt": iso(hook.updated_at_ms),
    }


def delivery_item(delivery: Delivery) -> dict[str, Any]:
    """`eventId` is the resource the event is about, not the id of the body [2026-10 sdk]."""
    view: dict[str, Any] = {
        "id": delivery.id,
        "eventType": delivery.event.type,
        "eventId": delivery.event.about,
        "attemptNumber": delivery.attempt,
        "status": delivery.status,
        "createdAt": iso(delivery.created_at_ms),
    }
    if delivery.status_code is not None:
        view["statusCode"] = delivery.status_code
    if delivery.error:
        view["errorMessage"] = delivery.error
    if delivery.delivered_at_ms is not None:
        view["deliveredAt"] = iso(delivery.delivered_at_ms)
    return view


# -- fixture -----------------------------------------------------------------------------------------------


class WebhookSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A webhook that exists when the world begins."""

    organization: str
    """Slug."""
    name: str
    url: str
    events: list[str] = []
    secret: str = ""
    """Empty: a fixed one, made from the name."""


@area.seed("webhooks", list[WebhookSpec])
def seed_webhooks(world: World, specs: list[WebhookSpec]) -> None:
    for spec in specs:
        owner = organization_of_slug(world, spec.organization)
        workload.check_name(spec.name)
        check_url(world, spec.url)
        secret = spec.secret or access.fixed_secret(world.name, SECRET, spec.name)
        world.put(new_webhook(world, owner.id, msgspec.to_builtins(spec), secret))
