"""Who may call what, and in which order it is refused: every operation there is, whatever its area.

401, then 403 for the organization, then 403 for scope and role, then 404, then 400 or 422 [choice]. A refused
call changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import pytest

from simulator import assets
from simulator.contract import Contract
from simulator.dispatch import CREDENTIAL_KINDS
from simulator.domain import access
from simulator.domain.access import KNOWN_SCOPES, Membership, Organization
from simulator.kernel.operation import ROLES
from simulator.kernel.settings import SETTINGS
from simulator.registry import OPERATIONS
from tests.support.anyrow import any_row
from tests.support.cloud import Answer, Cloud
from tests.support.people import KEYS, mint, newcomer, refused, session_of, sign_in

PROFILES = ("2026-06", "2026-07", "2026-10")
SPECS = Contract(assets.contract_document()).operations
NAMES = [name for name in OPERATIONS if SPECS[name].auth in CREDENTIAL_KINDS]


def in_organization(name: str) -> bool:
    """Whether the path says which organization the call acts in."""
    return SPECS[name].path.startswith("/v1/orgs/{orgId}")


def for_keys(name: str, profile: str = "2026-06") -> bool:
    """Whether API keys may call it at all."""
    allowed = OPERATIONS[name].keys_allowed
    return allowed == "yes" or (
        allowed != "no" and assets.profile(profile)[allowed] not in (False, "session")
    )


IN_ORGANIZATION = [name for name in NAMES if in_organization(name)]
MODES = {"documented": "2026-06", "observed": "2026-10"}
SCOPED = [
    (mode, name)
    for mode, profile in MODES.items()
    for name in NAMES
    if for_keys(name, profile) and OPERATIONS[name].scope != "any"
]
FINDING = [name for name in NAMES if OPERATIONS[name].finds]
ACTING = [name for name in NAMES if OPERATIONS[name].role]
WRITES = [name for name in ACTING if OPERATIONS[name].write]
READS = [name for name in ACTING if not OPERATIONS[name].write]
WITH_BODY = [name for name in NAMES if (body := SPECS[name].body) and body.schema]


class Caller(NamedTuple):
    """A cloud and credentials in it; everything that is to change has been changed."""

    cloud: Cloud
    revoked: str
    expired: str
    globex: str
    globex_key: str
    globex_session: str
    newcomer: str

    def call(
        self, name: str, key: str | None = None, org: str = "{org}", last: str = "none", body: bytes = b""
    ):
        """Call an operation: {orgId} is `org`, every other value in the path is `last`."""
        spec = SPECS[name]
        path = re.sub(r"\{(\w+)\}", lambda match: org if match[1] == "orgId" else last, spec.path)
        return self.cloud.call(spec.method, path, body or None, key=key)

    def refuses(self, name: str, status: int, code: str = "", **how: Any) -> Answer:
        """Check that a call is refused so, and that nothing has changed."""
        version = self.cloud.world.version
        answer = self.call(name, **how)
        refused(answer, status, code)
        assert self.cloud.world.version == version
        return answer


def prepared(profile: str, *found: str) -> Caller:
    """A cloud with a row of either organization, `ours` and `theirs`, for every one of these operations.

    Both are providers: to be none is 403, and would come before what is looked at here.
    """
    cloud = Cloud(profile=profile)
    for organization in cloud.rows(Organization):
        cloud.world.change(organization, is_provider=True)
    revoked, expired = mint(cloud, name="revoked"), mint(cloud, name="expired")
    cloud.delete(f"{KEYS}/{revoked['id']}")
    cloud.do("key.expire", name="expired")
    globex = next(row for row in cloud.rows(Organization) if row.slug == "globex")
    for organization_id, row_id in ((cloud.org, "ours"), (globex.id, "theirs")):
        for name in found:
            put_any(cloud, name, organization_id, row_id)
    return Caller(
        cloud=cloud,
        revoked=revoked["key"],
        expired=expired["key"],
        globex=globex.id,
        globex_key=next(secret for key, secret in access.fixture_keys(cloud.world) if key.name == "globex"),
        globex_session=sign_in(cloud, "hedy@globex.example"),
        newcomer=newcomer(cloud),
    )


def put_any(cloud: Cloud, name: str, organization_id: str, row_id: str) -> None:
    """A row of the class that an operation finds."""
    kind = OPERATIONS[name].finds
    assert kind is not None
    if kind is Membership:
        row_id = f"{organization_id}/{row_id}"
    if cloud.world.find(kind, row_id) is None:
        owners = {row.owner for row in OPERATIONS.values() if row.finds is kind}
        cloud.world.put(any_row(kind, id=row_id, **dict.fromkeys(owners, organization_id)))


@pytest.fixture(scope="module")
def clouds() -> dict[str, Caller]:
    """One cloud per profile, and some more: the tests change nothing, and check that they do not."""
    made = {profile: prepared(profile, *FINDING) for profile in PROFILES}
    made |= {mode: prepared(profile) for mode, profile in MODES.items()}
    made |= {"suspended": prepared("2026-06"), "suspended, with rows": prepared("2026-06", *FINDING)}
    for name in ("suspended", "suspended, with rows"):
        made[name].cloud.do("account.set_status", name="acme", status="suspended")
    return made


@pytest.fixture
def caller(clouds: dict[str, Caller]) -> Iterator[Caller]:
    yield clouds["2026-06"]
    assert clouds["2026-06"].cloud.bugs() == []


# -- what operations say of themselves


def test_every_operation_of_the_contract_is_carried_out_by_the_area_of_its_tag() -> None:
    assert {name: row.area for name, row in OPERATIONS.items()} == {
        name: spec.tag for name, spec in SPECS.items()
    }


def test_session_operations_of_the_contract_are_those_that_refuse_keys() -> None:
    assert [name for name in NAMES if SPECS[name].auth == "session"] == [
        name for name in NAMES if OPERATIONS[name].keys_allowed == "no"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_names_a_role_a_scope_family_and_a_setting_that_exist(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation.role in ("", *ROLES)
    assert operation.keys_allowed in ("yes", "no", *SETTINGS)
    for mode, write in product(("documented", "observed"), (False, True)):
        opening = operation.scope == "any" or access.scopes_for(mode, operation.scope, write=write)
        assert opening is True or opening <= {*KNOWN_SCOPES}


@pytest.mark.parametrize("name", NAMES)
def test_what_the_contract_lets_change_by_method_is_a_write(name: str) -> None:
    """A POST that only looks something up is the exception, and says so by its role."""
    operation, spec = OPERATIONS[name], SPECS[name]
    assert operation.write or spec.method in ("GET", "POST")
    assert not (operation.write and spec.method == "GET")


# -- 401


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", NAMES)
def test_no_credential_is_401(clouds: dict[str, Caller], profile: str, name: str) -> None:
    code = "unauthorized" if profile == "2026-06" else "UNAUTHORIZED"
    clouds[profile].refuses(name, 401, code, key="")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("credential", "code"),
    [
        ("malformed key", "unauthorized"),
        ("vl_" + "A" * 40, "unauthorized"),
        ("sess_" + "A" * 40, "unauthorized"),
        ("{revoked}", "REVOKED_API_KEY"),
        ("{expired}", "EXPIRED_API_KEY"),
    ],
)
def test_a_credential_that_does_not_hold_is_401(
    caller: Caller, name: str, credential: str, code: str
) -> None:
    key = credential.format(revoked=caller.revoked, expired=caller.expired)
    for organization in ("{org}", caller.globex, "none"):
        caller.refuses(name, 401, code, key=key, org=organization, body=b"{")


# -- 403


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", IN_ORGANIZATION)
def test_another_organizations_path_is_403(clouds: dict[str, Caller], profile: str, name: str) -> None:
    caller = clouds[profile]
    code = "forbidden" if profile == "2026-06" else "FORBIDDEN"
    ways = [
        (None, caller.globex),
        (None, "none"),
        (caller.globex_key, "{org}"),
        (caller.globex_session, "{org}"),
    ]
    for key, organization in [*ways, (caller.newcomer, "{org}")]:
        caller.refuses(name, 403, code, key=key, org=organization, last="ours", body=b"{")


@pytest.mark.parametrize(("mode", "name"), SCOPED)
def test_a_key_without_the_scope_is_403(clouds: dict[str, Caller], mode: str, name: str) -> None:
    caller = clouds[MODES[mode]]
    operation = OPERATIONS[name]
    opening = access.scopes_for(mode, operation.scope, write=operation.write)
    key = key_with(caller.cloud, tuple(scope for scope in KNOWN_SCOPES if scope not in opening))
    for last in ("none", "ours"):
        answer = caller.refuses(name, 403, key=key, last=last, body=b"{")
        assert (answer.error["deniedBy"], answer.error["permission"] in opening) == ("key", True)


@pytest.mark.parametrize(
    ("mode", "name"), [pair for pair in SCOPED if pair[1] in {*READS, *FINDING, *WITH_BODY}]
)
def test_a_key_with_one_of_the_scopes_passes(clouds: dict[str, Caller], mode: str, name: str) -> None:
    """A read is answered, a write comes as far as the next check: the row is unknown, or the body is none."""
    caller, operation = clouds[mode], OPERATIONS[name]
    for scope in access.scopes_for(mode, operation.scope, write=operation.write):
        answer = caller.call(
            name, key=key_with(caller.cloud, (scope,)), body=b"{" if operation.write else b""
        )
        assert answer.status < 400 or "deniedBy" not in answer.error, answer


def key_with(cloud: Cloud, scopes: tuple[str, ...]) -> str:
    """A key with these scopes, made once per cloud."""
    secret = access.fixed_secret("default", "vl_", " ".join(scopes))
    if cloud.world.first(access.ApiKey, "digest", access.digest(secret)) is None:
        maker = cloud.rows(access.ApiKey)[0].created_by
        access.add_key(
            cloud.world, secret, organization_id=cloud.org, name="scoped", scopes=scopes, created_by=maker
        )
    return secret


@pytest.mark.parametrize("name", WRITES)
def test_a_viewer_may_not_write(caller: Caller, name: str) -> None:
    answer = caller.refuses(
        name, 403, "forbidden", key=session_of(caller.cloud, "viewer"), last="ours", body=b"{"
    )
    assert answer.error["deniedBy"] == "role"


@pytest.mark.parametrize("name", [name for name in ACTING if OPERATIONS[name].role in ("admin", "owner")])
def test_a_member_may_not_do_what_is_for_admins(caller: Caller, name: str) -> None:
    answer = caller.refuses(
        name, 403, "forbidden", key=session_of(caller.cloud, "member"), last="ours", body=b"{"
    )
    assert answer.error["deniedBy"] == "role"


@pytest.mark.parametrize("name", [name for name in WRITES if OPERATIONS[name].role == "member"])
def test_a_member_may_make_every_other_write(caller: Caller, name: str) -> None:
    """It comes as far as the next check: the row is unknown, or the body is none."""
    key, version = session_of(caller.cloud, "member"), caller.cloud.world.version
    answer = caller.call(name, key=key, body=b"{")
    assert answer.status in (204, 400, 404, 422), answer
    assert caller.cloud.world.version == version


@pytest.mark.parametrize("name", [name for name in NAMES if OPERATIONS[name].keys_allowed == "no"])
def test_a_call_for_sessions_refuses_keys_with_the_status_the_contract_lists(
    caller: Caller, name: str
) -> None:
    status, code = (403, "forbidden") if "403" in SPECS[name].statuses else (401, "unauthorized")
    caller.refuses(name, status, code, body=b"{")


@pytest.mark.parametrize("name", [n for n in ACTING if not in_organization(n) and not OPERATIONS[n].finds])
def test_a_person_without_an_organization_may_read_the_catalogue_and_nothing_else(
    caller: Caller, name: str
) -> None:
    if OPERATIONS[name].scope == "any":
        assert caller.call(name, key=caller.newcomer).status == 200
    else:
        caller.refuses(name, 403, key=caller.newcomer, body=b"{")


@pytest.mark.parametrize("name", WRITES)
def test_a_suspended_account_is_read_only(clouds: dict[str, Caller], name: str) -> None:
    caller = clouds["suspended, with rows"]
    for key in (caller.cloud.key, session_of(caller.cloud, "owner")):
        caller.refuses(name, 403, "ACCOUNT_RESTRICTED", key=key, last="ours", body=b"{")


@pytest.mark.parametrize("name", READS)
def test_a_suspended_account_can_be_read(clouds: dict[str, Caller], name: str) -> None:
    answer = clouds["suspended"].call(name)
    assert answer.status < 400 or answer.code != "ACCOUNT_RESTRICTED"


# -- 404


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", FINDING)
def test_an_unknown_row_and_another_organizations_are_404(
    clouds: dict[str, Caller], profile: str, name: str
) -> None:
    caller = clouds[profile]
    code = "not_found" if profile == "2026-06" else "NOT_FOUND"
    for key, last in product((None, session_of(caller.cloud, "owner")), ("none", "theirs")):
        caller.refuses(name, 404, code, key=key, last=last, body=b"{")
        caller.refuses(name, 404, code, key=key, last=last)


# -- and only then the request itself


@pytest.mark.parametrize("name", WITH_BODY)
def test_a_bad_body_is_refused_once_all_else_holds(caller: Caller, name: str) -> None:
    operation, spec = OPERATIONS[name], SPECS[name]
    key = None if for_keys(name) else session_of(caller.cloud, "owner")
    code = "bad_request" if spec.problem_status == 400 else "unprocessable"
    for body in (b"{", b"[]", b"\xff", b"{" * 10_000):
        caller.refuses(name, spec.problem_status, code, key=key, last="ours", body=body)
    assert operation.write or spec.method == "POST"


@pytest.mark.parametrize("character", ["x", "\x01", "\u2028", "😀"])
@pytest.mark.parametrize("name", WITH_BODY)
def test_an_error_body_stays_under_4_kib_whatever_was_sent(caller: Caller, name: str, character: str) -> None:
    spec, long = SPECS[name], character * 5000
    key = None if for_keys(name) else session_of(caller.cloud, "owner")
    assert spec.body is not None
    body = json.dumps({field: [{long: 2**70}] for field in spec.body.fields or ("x",)}).encode()
    caller.refuses(name, spec.problem_status, key=key, last="ours", body=body)
