"""What the service says otherwise from one profile to the next: each such row, in each of the three profiles.

A test names the settings it is about; the last one holds their sum against the profiles themselves, so a row
that is added to a profile asks for a test here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator import assets
from simulator.domain import access
from simulator.domain.access import ApiKey, Organization
from simulator.kernel.settings import SETTINGS
from tests.support.cloud import Answer, Cloud
from tests.support.clusters import run_cluster
from tests.support.money import CARDS, deposit
from tests.support.parties import party
from tests.support.people import KEYS, email_of, mint, newcomer, session_of
from tests.support.runners import INSTALLATION, POOLS, forget_cards, grant_of
from tests.support.vms import cloud_of_profile
from tests.support.webhooks import hook_of, send

PROFILES = ("2026-06", "2026-07", "2026-10")
TESTED: set[str] = set()
"""Settings with a test here."""

Open = Callable[..., Cloud]
CREATE = "/v1/orgs/{org}/vms/create"
TRANSFERS = "/v1/orgs/{org}/transfers"
MEMBERS = "/v1/orgs/{org}/members"


def told(*settings: str, june: Any, july: Any, october: Any) -> pytest.MarkDecorator:
    """A test of these settings, with what it shall find in a cloud of each profile."""
    TESTED.update(settings)
    rows = zip(PROFILES, (june, july, october), strict=True)
    return pytest.mark.parametrize(("profile", "said"), list(rows), ids=PROFILES)


@pytest.fixture
def cloud(open_cloud: Open, profile: str) -> Cloud:
    """A cloud of the profile, with an SSH key that its VMs are given."""
    return cloud_of_profile(open_cloud, profile)


def create(
    cloud: Cloud, key: str | None = None, headers: dict[str, str] | None = None, **body: Any
) -> Answer:
    wanted = {"name": "trainer", "gpuModelId": "rtx-3090", "sshKeyIds": [cloud.ssh_key], **body}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    return cloud.post(CREATE, wanted, key=key, **(headers or {}))


def run_vm(cloud: Cloud) -> str:
    vm_id: str = create(cloud).body["id"]
    cloud.simulator.advance_until_status(vm_id, "running")
    return vm_id


def outcome(answer: Answer) -> tuple[int, str]:
    """The status, and the code of an error."""
    return answer.status, answer.code if answer.status >= 400 else ""


# -- keys and people


@told("keys.prefix", june="vl_", july="vl_", october="or_")
def test_new_keys_have_the_prefix_and_keys_of_either_work(cloud: Cloud, said: str) -> None:
    assert mint(cloud)["key"].startswith(said)
    for prefix in ("vl_", "or_"):
        secret = access.fixed_secret("default", prefix, f"made {prefix}")
        maker = cloud.rows(ApiKey)[0].created_by
        access.add_key(cloud.world, secret, organization_id=cloud.org, name=prefix, created_by=maker)
        assert cloud.get("/v1/whoami", key=secret).status == 200


@told("keys.revoke_unknown", june=(204, ""), july=(204, ""), october=(404, "NOT_FOUND"))
def test_revoking_an_unknown_key(cloud: Cloud, said: tuple[int, str]) -> None:
    assert outcome(cloud.delete(f"{KEYS}/key_unknown")) == said


@told("me.allow_keys", june=(200, ""), july=(403, "FORBIDDEN"), october=(403, "FORBIDDEN"))
def test_me_and_profile_with_a_key(cloud: Cloud, said: tuple[int, str]) -> None:
    assert outcome(cloud.get("/v1/me")) == said
    assert outcome(cloud.patch("/v1/me/profile", {"fullName": "Ada"})) == said
    assert cloud.get("/v1/me", key=session_of(cloud, "owner")).status == 200


@told("errors.code_style", june="not_found", july="NOT_FOUND", october="NOT_FOUND")
def test_the_case_of_generic_codes(cloud: Cloud, said: str) -> None:
    assert cloud.get("/v1/vms/unknown").code == said


@told("scopes.mode", june=("vms:write", 200), july=("vms:write", 200), october=("clusters:write", 403))
def test_the_scope_that_opens_the_writes_of_vms(cloud: Cloud, said: tuple[str, int]) -> None:
    opening, with_vms_alone = said
    secret = access.fixed_secret("default", "vl_", "older")
    access.add_key(
        cloud.world, secret, organization_id=cloud.org, name="older", scopes=("vms:read", "vms:write")
    )
    assert create(cloud, key=secret).status == with_vms_alone
    assert create(cloud, key=mint(cloud, opening)["key"]).status == 200


@told("members.mode", june=(404, 200, 0), july=(200, 200, 2), october=(200, 200, 2))
def test_adding_a_member_is_done_at_once_or_by_an_invite(cloud: Cloud, said: tuple[int, int, int]) -> None:
    newcomer(cloud)
    stranger, known, invites = said
    for email, status in (("nobody@example.com", stranger), ("new@example.com", known)):
        assert cloud.post(f"{MEMBERS}/add", {"email": email, "role": "member"}).status == status
    assert len(cloud.get("/v1/orgs/{org}/invites").body) == invites
    joined = [member["email"] for member in cloud.get(MEMBERS).body]
    assert ("new@example.com" in joined) is (invites == 0)


@told("members.last_owner_status", june=403, july=403, october=409)
def test_the_last_owner_stays(cloud: Cloud, said: int) -> None:
    owner = next(row for row in cloud.get(MEMBERS).body if row["email"] == email_of(cloud, "owner"))
    session = session_of(cloud, "owner")
    path = f"{MEMBERS}/{owner['userId']}"
    assert cloud.patch(path, {"role": "admin"}, key=session).status == said
    assert cloud.delete(path, key=session).status == said


# -- VMs


@told("ids.gpu_models", june=True, july=True, october=False)
def test_models_are_named_by_slug_or_by_uuid(cloud: Cloud, said: bool) -> None:
    assert ("rtx-3090" in [model["id"] for model in cloud.get("/v1/gpu-models").body]) is said
    assert (create(cloud).body["gpuModelId"] == "rtx-3090") is said


@told(
    "capacity.refusal_status",
    june=(409, "INSUFFICIENT_GPU_CAPACITY"),
    july=(409, "INSUFFICIENT_GPU_CAPACITY"),
    october=(503, "INSUFFICIENT_GPU_CAPACITY"),
)
def test_a_place_that_is_taken(cloud: Cloud, said: tuple[int, str]) -> None:
    assert create(cloud, gpuModelId="rtx-4090", gpuCount=4).status == 200
    assert outcome(create(cloud, gpuModelId="rtx-4090", gpuCount=4)) == said


@told("vms.size_with_count", june=(200, ""), july=(200, ""), october=(400, "RESOURCE_SIZE_NOT_APPLICABLE"))
def test_a_size_beside_a_number_of_gpus(cloud: Cloud, said: tuple[int, str]) -> None:
    assert outcome(create(cloud, gpuCount=1, resourceSize="large")) == said


@told("vms.require_ssh_key", june=(200, ""), july=(200, ""), october=(400, "BAD_REQUEST"))
def test_a_vm_without_an_ssh_key(cloud: Cloud, said: tuple[int, str]) -> None:
    assert outcome(create(cloud, sshKeyIds=None)) == said


@told("vms.idempotency_key", june=2, july=2, october=1)
def test_a_create_that_is_repeated_with_its_idempotency_key(cloud: Cloud, said: int) -> None:
    answers = [create(cloud, headers={"Idempotency-Key": "one"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert len({answer.body["id"] for answer in answers}) == said


@told("vms.ssh_ready", june=False, july=True, october=False)
def test_whether_ssh_is_ready_as_soon_as_a_vm_runs(cloud: Cloud, said: bool) -> None:
    assert cloud.get(f"/v1/vms/{run_vm(cloud)}/detail").body["sshReady"] is said


@told("vms.reboot_terminated_status", june=400, july=400, october=409)
def test_a_reboot_of_a_terminated_vm(cloud: Cloud, said: int) -> None:
    vm_id = run_vm(cloud)
    cloud.post(f"/v1/vms/{vm_id}/terminate")
    assert cloud.post(f"/v1/vms/{vm_id}/reboot").status == said


@told("sshkeys.in_use", june=(204, ""), july=(204, ""), october=(409, "KEY_IN_USE"))
def test_deleting_the_last_key_of_a_vm(cloud: Cloud, said: tuple[int, str]) -> None:
    create(cloud)
    assert outcome(cloud.delete(f"/v1/orgs/{{org}}/ssh-keys/{cloud.ssh_key}")) == said


FLAT = {"capacity", "inUse", "available", "groupSize"}


@told("availability.shape", june=FLAT, july=set(), october=set())
def test_availability_has_the_flat_numbers_beside_the_nested_ones(cloud: Cloud, said: set[str]) -> None:
    for row in cloud.get("/v1/gpu-availability").body:
        assert FLAT & set(row) == said
        assert {"name", "vm", "cluster"} <= set(row)


# -- transfers


@told("transfers.target_orgs_for_keys", june=(200, ""), july=(200, ""), october=(401, "UNAUTHORIZED"))
def test_a_key_asks_where_it_could_transfer_to(cloud: Cloud, said: tuple[int, str]) -> None:
    answer = cloud.get("/v1/transfers/target-orgs")
    assert outcome(answer) == said
    assert answer.status == 401 or answer.body == []


@told("transfers.clusters", june=200, july=200, october=400)
def test_a_cluster_can_be_offered(cloud: Cloud, said: int) -> None:
    body = {"resourceType": "cluster", "resourceId": run_cluster(cloud), "targetOrgSlug": "globex"}
    assert cloud.post(TRANSFERS, body).status == said


@told("transfers.ssh_keys", june=0, july=1, october=0)
def test_whether_keys_of_the_former_owner_stay_on_a_vm(cloud: Cloud, said: int) -> None:
    globex, vm_id = party(cloud, "globex"), run_vm(cloud)
    body = {"resourceType": "vm", "resourceId": vm_id, "targetOrgSlug": "globex"}
    offer = cloud.post(TRANSFERS, body).body["id"]
    assert globex.accept(offer, globex.ssh_key()).status == 204
    listed = globex.get(f"/v1/vms/{vm_id}/ssh-keys").body
    assert len([key for key in listed if key["crossOrg"]]) == said


# -- money


@told(
    "billing.deposit_min_cents",
    "billing.deposit_max_cents",
    june=(1000, 50_000),
    july=(1000, 50_000),
    october=(2500, 80_000),
)
def test_the_least_and_the_largest_deposit(cloud: Cloud, said: tuple[int, int]) -> None:
    cloud.do("account.set_spend_limit", id=cloud.org, cents=80_000)
    least, most = said
    for cents, status in ((least - 1, 400), (least, 200), (most, 200), (most + 1, 400)):
        assert deposit(cloud, cents).status == status, cents


@told("billing.require_runway", june=(200, ""), july=(200, ""), october=(400, "INSUFFICIENT_RUNWAY"))
def test_a_deposit_of_less_than_an_hour_of_the_burn(cloud: Cloud, said: tuple[int, str]) -> None:
    cloud.do("price.set", id="rtx-3090", cents=3000)
    run_vm(cloud)
    assert outcome(deposit(cloud, 2999)) == said


@told("billing.default_card", june=False, july=False, october=True)
def test_whether_another_card_becomes_the_default_one(cloud: Cloud, said: bool) -> None:
    saved = cloud.do("card.save", id=cloud.org)
    assert (cloud.get(CARDS).body["defaultPaymentMethodId"] == saved["card"]) is said


@told("billing.check_cards", june=True, july=True, october=False)
def test_whether_a_card_is_saved_that_its_bank_does_not_vouch_for(cloud: Cloud, said: bool) -> None:
    assert cloud.do("card.save", id=cloud.org, last4="9995")["saved"] is said


@told("billing.delete_unknown_card", june=(204, ""), july=(204, ""), october=(404, "NOT_FOUND"))
def test_deleting_a_foreign_card(cloud: Cloud, said: tuple[int, str]) -> None:
    other = next(row for row in cloud.rows(Organization) if row.slug == "globex")
    card = cloud.do("card.save", id=other.id)["card"]
    assert outcome(cloud.delete(f"{CARDS}/{card}")) == said
    assert cloud.get(f"/v1/orgs/{other.id}/billing/payment-methods", key=party(cloud, "globex").key).body[
        "paymentMethods"
    ]


# -- webhooks and runners


@told("webhooks.empty_means", june=1, july=1, october=0)
def test_a_webhook_without_events_hears_of_more_than_vms(cloud: Cloud, said: int) -> None:
    hook_of(cloud)
    send(cloud, "cluster.running")
    assert len(cloud.mailbox.received) == said
    send(cloud, "vm.running")
    assert cloud.mailbox.types()[said:] == ["vm.running"]


@told("runners.defaults", june=(400, "bad_request"), july=(200, ""), october=(200, ""))
def test_a_runner_pool_of_which_only_the_installation_is_named(cloud: Cloud, said: tuple[int, str]) -> None:
    answer = cloud.post(POOLS, {"installationId": INSTALLATION, "grant": grant_of(cloud)})
    assert outcome(answer) == said
    if answer.status == 200:
        shown = (answer.body["name"], answer.body["poolRamGb"], answer.body["diskSizeGb"])
        assert shown == ("acme-robotics", 64, 100)


POOL = {"name": "ci", "installationId": INSTALLATION, "poolRamGb": 32}


@told("runners.oauth", june=(200, ""), july=(200, ""), october=(400, "GRANT_REQUIRED"))
def test_a_runner_pool_without_a_grant(cloud: Cloud, said: tuple[int, str]) -> None:
    assert outcome(cloud.post(POOLS, POOL)) == said


@told("runners.require_card", june=(200, ""), july=(200, ""), october=(400, "CARD_REQUIRED"))
def test_a_runner_pool_without_a_card(cloud: Cloud, said: tuple[int, str]) -> None:
    forget_cards(cloud)
    assert outcome(cloud.post(POOLS, POOL | {"grant": grant_of(cloud)})) == said


# -- and nothing else


def test_every_setting_in_which_the_profiles_differ_is_tested_here() -> None:
    differing = {
        key
        for key in SETTINGS
        if len({repr(assets.profile(name)[key]) for name in PROFILES}) > 1 and key != "profile"
    }
    assert differing == TESTED


OPEN = {
    "availability": ("shape", "ttl_s"),
    "billing": (
        "credit_delay_s",
        "deposit_min_cents",
        "min_deploy_cents",
        "open_at",
        "require_runway",
        "rounding",
        "tick_s",
    ),
    "capacity": ("refusal_status",),
    "clusters": ("deadline_s", "fail_after_s", "health_check_s", "names_unique", "unhealthy_after"),
    "errors": ("code_style", "request_id"),
    "ids": ("gpu_models", "style"),
    "keys": ("prefix",),
    "limits": ("burst", "per_minute"),
    "me": ("allow_keys",),
    "members": ("mode",),
    "names": ("unique",),
    "nodes": ("drain_ends_workloads",),
    "provider": ("commission_percent",),
    "runners": ("tiers",),
    "scopes": ("mode",),
    "snapshots": ("capture",),
    "timing": ("teardown_s", "gpu_vm.booting_s", "cpu_vm.booting_s", "replica.booting_s"),
    "vms": ("beta_ops", "legacy_node_loss", "require_ssh_key"),
    "webhooks": ("allow_http", "delivery_id", "empty_means", "jitter_percent", "retry_s", "timeout_s"),
}
"""What the sources leave open, or answer differently."""


@pytest.mark.parametrize("family", OPEN)
def test_every_open_question_of_the_service_is_a_setting(family: str) -> None:
    assert {f"{family}.{name}" for name in OPEN[family]} <= set(SETTINGS)
