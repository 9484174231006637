"""Who may do what: organizations, people, keys, scopes and roles.

The order is the same for every operation: 401, then 403 for the organization, then 403 for scope or role
[choice: nothing leaks]. What is found afterwards, and refused with 404, is dispatch's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, ClassVar, Literal, get_args

import msgspec

from simulator.kernel.operation import ROLES, Operation, Principal
from simulator.kernel.refusal import Refusal
from simulator.kernel.streams import BASE62, digest_number, spell
from simulator.kernel.world import Index, Row, World

SCOPES = ("billing:read", "clusters:read", "clusters:write", "inference", "vms:read", "vms:write")
"""The scopes the documentation names [seed][2026-07]; a key without a scope list answers these."""

KNOWN_SCOPES = (*SCOPES, "billing:write")
"""What a key may be given: the words above, and those that some operation here asks for [choice]."""

_OPENED_BY = {
    "documented": {
        "vms": ("vms", "clusters"),
        "clusters": ("clusters",),
        "billing": ("billing",),
        "admin": ("clusters",),
    },
    "observed": {
        "vms": ("clusters",),
        "clusters": ("clusters",),
        "billing": ("billing", "clusters"),
        "admin": ("clusters",),
    },
}
"""Scope families by setting scopes.mode, and the resources whose :read or :write opens them: as the
documentation reads [choice], or as the service was seen to act, where clusters:* opens everything and vms:*
alone nothing [2026-10 sdk][client].
"""


DELETED = "deleted"
"""The account_status of an organization that has been deleted; no answer shows it."""


Feature = Literal["batch", "public", "spot", "stop"]
FEATURES: tuple[Feature, ...] = get_args(Feature)
"""What can be switched off for an organization: the Batch API [2026-07], public endpoints [choice], VMs of
tier spot, stopping a VM [2026-10 sdk: the codes FEATURE_DISABLED, STOP_DISABLED]."""


class Organization(Row, frozen=True, kw_only=True):
    """A tenant. `account_status`: active, pending, restricted, suspended, banned [2026-10 sdk], DELETED."""

    indexes: ClassVar = {"slug": Index(lambda org: org.slug)}

    short_id: str
    name: str
    slug: str
    billing_email: str
    plan: str = "pay-as-you-go"
    is_provider: bool = False
    account_status: str = "active"
    billing: dict[str, str] = {}
    """Address and tax members of updateOrg, as they were sent [2026-10 sdk]."""
    features: tuple[str, ...] = FEATURES
    """What of these it may use."""


class User(Row, frozen=True, kw_only=True):
    """A person. The default organization is one of theirs, or "" while they have none."""

    indexes: ClassVar = {"email": Index(lambda user: user.email.lower())}

    email: str
    full_name: str = ""
    avatar_url: str = ""
    default_organization_id: str = ""
    onboarded: bool = False
    """Set by bootstrap, by the first getMe of a session [2026-07], or by joining an organization [choice]."""


class Membership(Row, frozen=True, kw_only=True):
    """A person's role in an organization; the id is `organization/user`."""

    id_within_organization: ClassVar = True
    indexes: ClassVar = {
        "organization": Index(lambda member: member.organization_id),
        "user": Index(lambda member: member.user_id),
        "owned": Index(lambda member: member.user_id if member.role == "owner" else None),
        "owners": Index(lambda member: member.organization_id if member.role == "owner" else None),
    }

    organization_id: str
    user_id: str
    role: str


class ApiKey(Row, frozen=True, kw_only=True):
    """A bearer key of one organization; of the secret only the SHA-256 is kept [choice]."""

    indexes: ClassVar = {
        "digest": Index(lambda key: key.digest),
        "organization": Index(lambda key: key.organization_id),
    }

    organization_id: str
    name: str
    prefix: str
    digest: str
    scopes: tuple[str, ...] | None = None
    """None: everything the organization may do [choice]."""
    created_by: str = ""
    expires_at_ms: int | None = None
    revoked_at_ms: int | None = None
    last_used_at_ms: int | None = None
    note: str = ""


class Session(Row, frozen=True, kw_only=True):
    """A short-lived dashboard token of a user."""

    indexes: ClassVar = {"digest": Index(lambda session: session.digest)}

    user_id: str
    digest: str
    expires_at_ms: int


class Invite(Row, frozen=True, kw_only=True):
    """An offer of membership to an address; the id is `organization/address in lower case`."""

    indexes: ClassVar = {
        "organization": Index(lambda invite: invite.organization_id),
        "email": Index(lambda invite: invite.email.lower()),
    }

    organization_id: str
    email: str
    role: str
    invited_by: str
    expires_at_ms: int


def membership_of(world: World, organization_id: str, user_id: str) -> Membership | None:
    return world.find(Membership, f"{organization_id}/{user_id}")


SHORTEST_SECRET = 32
"""Real client code refuses shorter keys [client]; of a shorter credential no part is shown."""


def organization_of_slug(world: World, slug: str) -> Organization:
    """The organization that a section of a fixture names."""
    found = world.first(Organization, "slug", slug)
    assert found is not None, f"organization {slug!r} is not in the fixture"
    return found


# -- secrets -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def world_tag(world_name: str) -> str:
    """Eight characters that end every key of a world, so that a key alone tells which world it belongs to."""
    return spell(digest_number(f"world\0{world_name}"), 8)


def mint(world: World, prefix: str, purpose: str) -> str:
    """A new secret: prefix, 32 characters of the world's seed, the world's tag."""
    return prefix + world.streams.text(purpose, 32, BASE62) + world_tag(world.name)


@lru_cache(maxsize=256)  # tests open worlds of the same few names again and again
def fixed_secret(world_name: str, prefix: str, name: str) -> str:
    """The secret of a fixture's key: it depends on the names alone, so that a README can print it."""
    return prefix + spell(digest_number(f"key\0{world_name}\0{name}"), 32) + world_tag(world_name)


def rekey(world: World, former_name: str) -> None:
    """Give the fixture's keys of a forked world the secrets of its own name."""
    prefix = world.settings.word("keys.prefix")
    for key in world.rows(ApiKey):
        if key.digest == digest(fixed_secret(former_name, prefix, key.name)):
            secret = fixed_secret(world.name, prefix, key.name)
            world.change(key, digest=digest(secret), prefix=secret[:8])


def fixture_keys(world: World) -> list[tuple[ApiKey, str]]:
    """The keys that came with the fixture, each with its secret: what `serve` prints and GET /_sim shows."""
    prefix = world.settings.word("keys.prefix")
    secrets = ((key, fixed_secret(world.name, prefix, key.name)) for key in world.rows(ApiKey))
    return [(key, secret) for key, secret in secrets if key.digest == digest(secret)]


def add_key(world: World, secret: str, **fields: Any) -> ApiKey:
    """Let a secret be a key: of it, the first characters and the digest are kept."""
    key = {"id": f"key_{world.streams.text('key', 24)}", "created_at_ms": world.now_ms, **fields}
    return world.put(msgspec.convert({**key, "prefix": secret[:8], "digest": digest(secret)}, ApiKey))


def digest(secret: str) -> str:
    """What is kept of a secret: its SHA-256 in lowercase hex."""
    return sha256(secret.encode()).hexdigest()


# -- 401 ---------------------------------------------------------------------------------------------------


def authenticate(world: World, headers: Mapping[str, str], *, inference: bool = False) -> Principal:
    """The principal of a request; refused with 401 when there is none.

    The inference host also takes the key as x-api-key [2026-07].
    """
    token = bearer(headers) or (headers.get("x-api-key", "") if inference else "")
    if not token:
        raise Refusal("unauthorized", "no credential; send Authorization: Bearer <API key>")
    key = world.first(ApiKey, "digest", digest(token))
    if key is not None:
        return _key_principal(world, key)
    session = world.first(Session, "digest", digest(token))
    if session is None or session.expires_at_ms <= world.now_ms:
        state = "unknown" if session is None else "expired"
        shown = token[:8] + "…" if len(token) >= SHORTEST_SECRET else f"of {len(token)} characters"
        raise Refusal("unauthorized", f"{state} credential {shown}; GET /_sim shows those of this world")
    user = world.get(User, session.user_id)
    return Principal("user", session.id, user.id, user.default_organization_id)


def bearer(headers: Mapping[str, str]) -> str:
    """The token of an Authorization header, "" when it is absent or of another kind."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _key_principal(world: World, key: ApiKey) -> Principal:
    delay_ms = world.settings.whole("keys.revocation_delay_s") * 1000
    if key.revoked_at_ms is not None and key.revoked_at_ms + delay_ms <= world.now_ms:
        raise Refusal("REVOKED_API_KEY", f"key {key.prefix}… ({key.name!r}) was revoked")
    if key.expires_at_ms is not None and key.expires_at_ms <= world.now_ms:
        raise Refusal("EXPIRED_API_KEY", f"key {key.prefix}… ({key.name!r}) has expired")
    return Principal("api_key", key.id, key.created_by, key.organization_id, key.scopes)


def remember_use(world: World, principal: Principal) -> None:
    """Note that a call of a key was carried out, to the minute [choice: a read stays cheap].

    A refused call is no use of the key [choice: it changes nothing at all].
    """
    if principal.kind != "api_key":
        return
    key = world.get(ApiKey, principal.id)
    if key.last_used_at_ms is None or world.now_ms - key.last_used_at_ms >= 60_000:
        world.change(key, last_used_at_ms=world.now_ms)


# -- 403 ---------------------------------------------------------------------------------------------------


def authorize(world: World, operation: Operation, principal: Principal, organization_id: str) -> None:
    """Refuse with 403 what the principal may not do in an organization.

    It is "" where only the row in the path will tell, where the call is the person's own, and for a session
    whose user has no organization.
    """
    check_organization(world, principal, organization_id)
    if principal.kind == "api_key":
        _check_scope(world, operation, principal)
    elif organization_id:
        _check_role(world, operation, principal, organization_id)
    elif operation.role and operation.scope != "any" and operation.finds is None:
        raise Refusal(
            "forbidden", f"{operation.id} needs an organization; POST /v1/onboarding/bootstrap makes one"
        )
    if operation.write and organization_id:
        check_standing(world, organization_id)


def is_deleted(world: World, organization_id: str) -> bool:
    organization = world.find(Organization, organization_id)
    return organization is not None and organization.account_status == DELETED


def check_feature(world: World, operation: Operation, organization_id: str) -> None:
    """Where an organization lacks the feature of an operation, there is nothing: 404; what is for providers
    is refused to others with 403 [2026-07]."""
    feature = operation.feature
    if not feature:
        return
    organization = world.get(Organization, organization_id)
    if feature == "provider":
        if not organization.is_provider:
            raise Refusal(
                "forbidden",
                f"{operation.id} is for providers, and {organization.slug} is none; "
                "POST /v1/orgs/{orgId}/provider/apply asks to become one",
            )
    elif feature not in organization.features:
        raise Refusal("not_found", f"the {feature} API is not enabled for this organization")


def check_organization(world: World, principal: Principal, organization_id: str) -> None:
    """Refuse with 403 what is not the caller's; "" names none."""
    if organization_id and not belongs(world, principal, organization_id):
        raise Refusal(
            "forbidden",
            f"organization {organization_id[:80]!r} is not the caller's; this call is not permitted there",
        )


def belongs(world: World, principal: Principal, organization_id: str) -> bool:
    """Whether the principal can see an organization at all."""
    if principal.kind == "api_key":
        return principal.organization_id == organization_id
    return membership_of(world, organization_id, principal.user_id) is not None


def role_of(world: World, principal: Principal, organization_id: str) -> str:
    """The role in which the principal acts; a key has none and acts as an admin would [choice]."""
    if principal.kind == "api_key":
        return "admin"
    member = membership_of(world, organization_id, principal.user_id)
    return member.role if member else ""


def check_scopes(scopes: Sequence[str]) -> tuple[str, ...]:
    """Scopes a key may have, each once; others are refused with those there are."""
    unknown = [scope for scope in scopes if scope not in KNOWN_SCOPES]
    if unknown:
        known = ", ".join(sorted(KNOWN_SCOPES))
        raise Refusal("bad_request", f"scope {unknown[0][:80]!r} is unknown; known are {known}")
    return tuple(dict.fromkeys(scopes))


def scopes_for(mode: str, family: str, *, write: bool) -> set[str]:
    """The scopes of which one opens a family."""
    if family == "inference":
        return {"inference"}
    verb = "write" if write else "read"
    return {f"{resource}:{verb}" for resource in _OPENED_BY[mode][family]}


def opened(mode: str, scopes: Sequence[str]) -> set[tuple[str, bool]]:
    """What a set of scopes opens: pairs of family and whether it is for writing."""
    families = ((family, write) for family in (*_OPENED_BY[mode], "inference") for write in (False, True))
    return {
        (family, write) for family, write in families if scopes_for(mode, family, write=write) & {*scopes}
    }


def _check_scope(world: World, operation: Operation, principal: Principal) -> None:
    if principal.scopes is None or operation.scope == "any":
        return
    needed = scopes_for(world.settings.word("scopes.mode"), operation.scope, write=operation.write)
    if not needed & set(principal.scopes):
        listed = " or ".join(sorted(needed))
        raise Refusal(
            "forbidden",
            f"the key's scopes {list(principal.scopes)} do not open {operation.id}; it needs {listed}",
            deniedBy="key",
            permission=min(needed),
        )


def _check_role(world: World, operation: Operation, principal: Principal, organization_id: str) -> None:
    role = role_of(world, principal, organization_id)
    if ROLES.index(role) < ROLES.index(operation.role):
        raise Refusal(
            "forbidden",
            f"role {role} may not {operation.id}; it needs {operation.role}",
            deniedBy="role",
            permission=operation.id,
        )


def check_standing(world: World, organization_id: str) -> None:
    """A suspended account is read-only [2026-10 sdk], a banned one too [choice]."""
    status = world.get(Organization, organization_id).account_status
    if status in ("suspended", "banned"):
        raise Refusal(
            "ACCOUNT_RESTRICTED",
            f"the account is {status} and read-only until it is active",
            deniedBy="platform",
        )
