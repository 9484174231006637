"""The official Python SDK against the simulator: every call that both know, in the profile of its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain import access
from simulator.engine import Simulator
from simulator.worlds import DEFAULT, Opening, Worlds
from tests.support.people import LINES
from tests.support.sdk import Sdk, operations

MODEL = "rtx-3090"
HEDY = "hedy@globex.example"
SSH_KEY, OTHER_SSH_KEY = ({"name": name, "publicKey": LINES[name]} for name in ("ed25519", "nistp256"))


class Walk:
    """The life of an organization, told with the SDK alone; what the outside does are actions."""

    def __init__(self) -> None:
        worlds = Worlds()
        worlds.open(DEFAULT, Opening(settings={"profile": "2026-10"}))
        self.simulator: Simulator = worlds.get(DEFAULT)
        self.sdk = Sdk(worlds)
        (key, self.key), (other, self._other_key) = access.fixture_keys(self.simulator.world)
        self.org, self.globex = key.organization_id, other.organization_id
        self.ssh_key = ""
        self.session = self.do("session.create", user="ada@acme.example")["token"]

    def do(self, action: str, **arguments: Any) -> Any:
        return self.simulator.do(action, arguments)

    def call(self, name: str, /, *path: str, **given: Any) -> Any:
        """With the organization's key."""
        return self.sdk.call(name, self.key, *path, **given)

    def vm(self) -> str:
        """The id of a VM that runs."""
        if not self.ssh_key:
            self.ssh_key = self.call("ssh_keys.create_org_ssh_key", self.org, body=SSH_KEY).id
        wanted = {"name": "trainer", "gpuModelId": MODEL, "sshKeyIds": [self.ssh_key]}
        vm: str = self.call("vms.create_vm", self.org, body=wanted, idempotency_key="once").id
        self.simulator.advance_until_status(vm, "running")
        return vm

    def by_person(self, name: str, /, *path: str, **given: Any) -> Any:
        """With the session of its owner."""
        return self.sdk.call(name, self.session, *path, **given)

    def by_globex(self, name: str, /, *path: str, **given: Any) -> Any:
        """With the key of another organization."""
        return self.sdk.call(name, self._other_key, *path, **given)


# -- stories: each in a world of its own --------------------------------------------------------------------


def account(walk: Walk) -> None:
    assert walk.call("account.whoami").organization_id == walk.org
    assert walk.by_person("account.get_me").user.email == "ada@acme.example"
    walk.by_person("account.update_profile", body={"fullName": "Ada"})
    walk.by_person("account.bootstrap", body={"orgName": "Acme"})
    walk.call("organizations.add_org_member", walk.org, body={"email": HEDY, "role": "admin"})
    hedy = walk.do("session.create", user=HEDY)["token"]
    assert len(walk.sdk.call("account.list_my_invites", hedy)) == 1
    walk.sdk.call("account.decline_org_invite", hedy, walk.org)
    walk.call("organizations.add_org_member", walk.org, body={"email": HEDY, "role": "viewer"})
    walk.sdk.call("account.accept_org_invite", hedy, walk.org)


def organizations(walk: Walk) -> None:
    walk.by_person("organizations.create_org", body={"name": "Robotics"})
    assert walk.call("organizations.get_org", walk.org).slug == "acme"
    walk.call("organizations.update_org", walk.org, body={"name": "Acme Ltd"})
    alan = next(one for one in walk.call("organizations.list_org_members", walk.org) if one.role == "member")
    walk.call("organizations.update_org_member_role", walk.org, alan.user_id, body={"role": "viewer"})
    walk.call("organizations.remove_org_member", walk.org, alan.user_id)
    walk.call("organizations.add_org_member", walk.org, body={"email": HEDY, "role": "member"})
    assert [invite.email for invite in walk.call("organizations.list_org_invites", walk.org)] == [HEDY]
    walk.call("organizations.revoke_org_invite", walk.org, HEDY)


def keys(walk: Walk) -> None:
    made = walk.by_person("api_keys.create_org_api_key", walk.org, body={"name": "ci"})
    assert made.key.startswith("or_")
    assert "ci" in [key.name for key in walk.call("api_keys.list_org_api_keys", walk.org)]
    walk.call("api_keys.revoke_org_api_key", walk.org, made.id)
    ssh_key = walk.call("ssh_keys.create_org_ssh_key", walk.org, body=SSH_KEY)
    assert len(walk.call("ssh_keys.list_org_ssh_keys", walk.org)) == 1
    walk.call("ssh_keys.delete_org_ssh_key", walk.org, ssh_key.id)
    registry: dict[str, Any] = {
        "name": "hub",
        "server": "ghcr.io",
        "authType": "basic",
        "credentials": {"username": "ada", "password": "secret"},
    }
    made = walk.call("registry_credentials.create_org_registry_credential", walk.org, body=registry)
    assert len(walk.call("registry_credentials.list_org_registry_credentials", walk.org)) == 1
    walk.call("registry_credentials.delete_org_registry_credential", walk.org, made.id)


def catalog(walk: Walk) -> None:
    assert "RTX 3090" in [model.name for model in walk.call("catalog.list_gpu_models")]
    assert walk.call("catalog.get_gpu_availability")
    for name in ("get_pricing", "list_locations", "list_models", "list_vm_templates"):
        assert walk.call(f"catalog.{name}") is not None


def vms(walk: Walk) -> None:
    vm = walk.vm()
    page = walk.call("vms.list_org_vms", walk.org, limit=10, active_only=True)
    assert [one.id for one in page.items] == [vm]
    for name in ("get_vm", "get_vm_detail", "get_vm_burn", "get_vm_ssh_keys"):
        walk.call(f"vms.{name}", vm)
    second = walk.call("ssh_keys.create_org_ssh_key", walk.org, body=OTHER_SSH_KEY)
    walk.call("vms.attach_vm_ssh_key", vm, body={"sshKeyId": second.id})
    walk.call("vms.set_vm_visibility", vm, body={"public": True})
    walk.call("vms.reboot_vm", vm)
    assert walk.call("vms.stop_vm", vm).status == "stopped"
    walk.call("vms.resize_vm_disk", vm, body={"newSizeGb": 200})
    walk.call("vms.restart_vm", vm)
    walk.simulator.advance_until_status(vm, "running")
    assert walk.call("usage.get_current_usage", walk.org)
    assert walk.call("vms.terminate_vm", vm).status == "terminated"


def snapshots(walk: Walk) -> None:
    vm = walk.vm()
    taken = walk.call("snapshots.create_vm_snapshot", vm, body={"name": "after-epoch-3"})
    walk.simulator.advance(60)
    assert len(walk.call("snapshots.list_org_snapshots", walk.org, vm_id=vm)) == 1
    walk.call("snapshots.fork_vm", walk.org, body={"snapshotId": taken.id, "sshKeyIds": [walk.ssh_key]})
    walk.call("snapshots.delete_snapshot", taken.id)


def billing(walk: Walk) -> None:
    assert walk.call("billing.get_balance", walk.org).balance_cents == 10000
    walk.call("billing.create_billing_setup_intent", walk.org)
    assert (
        walk.call("billing.create_billing_deposit", walk.org, body={"amountCents": 5000}).status
        == "succeeded"
    )
    assert walk.call("billing.get_auto_recharge", walk.org).enabled is False
    policy = {"enabled": True, "thresholdCents": 1000, "amountCents": 5000}
    walk.call("billing.update_auto_recharge", walk.org, body=policy)
    card = walk.call("billing.list_billing_payment_methods", walk.org).payment_methods[0]
    walk.call("billing.delete_billing_payment_method", walk.org, card.id)


def webhooks(walk: Walk) -> None:
    hook = {"name": "fleet", "url": "https://hooks.acme.test/openrelay", "events": ["vm.running"]}
    made = walk.call("webhooks.create_org_webhook", walk.org, body=hook)
    assert len(walk.call("webhooks.list_org_webhooks", walk.org)) == 1
    walk.do("webhook.send", type="vm.running", name="acme")
    assert len(walk.call("webhooks.list_org_webhook_deliveries", walk.org, made.id, limit=5)) == 1
    walk.call("webhooks.update_org_webhook", walk.org, made.id, body={**hook, "name": "all"})
    walk.call("webhooks.regenerate_org_webhook_secret", walk.org, made.id)
    walk.call("webhooks.toggle_org_webhook", walk.org, made.id, body={"enabled": False})
    walk.call("webhooks.delete_org_webhook", walk.org, made.id)


def transfers(walk: Walk) -> None:
    offered = {"resourceType": "vm", "resourceId": walk.vm(), "targetOrgSlug": "globex"}

    def offer() -> str:
        made: str = walk.call("transfers.initiate_transfer", walk.org, body=offered).id
        return made

    walk.call("transfers.cancel_transfer", offer())
    rejected = offer()
    assert walk.by_globex("transfers.get_transfer_pending_count", walk.globex).count == 1
    assert len(walk.by_globex("transfers.list_incoming_transfers", walk.globex)) == 1
    walk.by_globex("transfers.reject_transfer", rejected)
    key = walk.by_globex("ssh_keys.create_org_ssh_key", walk.globex, body=OTHER_SSH_KEY)
    walk.by_globex("transfers.accept_transfer", offer(), body={"sshKeyIds": [key.id]})
    assert len(walk.call("transfers.list_outgoing_transfers", walk.org)) == 3
    walk.by_person("transfers.list_transfer_target_orgs")


def provider(walk: Walk) -> None:
    walk.call("provider.apply_for_provider", walk.org, body={"note": "Two racks in Ghent."})
    assert walk.call("provider.get_provider_status", walk.org).is_provider is False
    walk.do("provider.approve", name="acme")
    token = walk.call("provider.generate_provisioning_token", walk.org, body={"name": "rack"})
    assert len(walk.call("provider.list_provisioning_tokens", walk.org)) == 1
    walk.call("provider.provider_bootstrap", token=token.token)
    walk.do(
        "node.add", hostname="gent-1", location="eu-west", organization="acme", vcpu=8, ram_gb=64, disk_gb=500
    )
    node = walk.call("provider.list_provider_nodes", walk.org)[0]
    walk.call("provider.update_provider_node", walk.org, node.id, body={"status": "maintenance"})
    walk.call("provider.get_provider_stats", walk.org)
    walk.call("provider.get_provider_earnings", walk.org)
    walk.call("provider.revoke_provisioning_token", walk.org, token.id)


def runners(walk: Walk) -> None:
    state = walk.call("runners.get_runner_connect_url", walk.org).url.rpartition("=")[2]
    asked = {"code": "simulated", "state": state}
    there = walk.call("runners.list_runner_installations", walk.org, body=asked).installations[0]
    wanted = {"installationId": there.installation_id, "grant": there.connect_grant}
    pool = walk.call("runners.create_runner_pool", walk.org, body=wanted).id
    walk.do("runner.queue_job", id=pool)
    assert len(walk.call("runners.list_runner_pools", walk.org)) == 1
    for name in ("get_runner_pool", "get_runner_job_metrics", "list_runner_jobs"):
        walk.call(f"runners.{name}", walk.org, pool)
    walk.call("runners.resize_runner_pool", walk.org, pool, body={"poolRamGb": 128})
    walk.call("runners.delete_runner_pool", walk.org, pool)


STORIES = (
    account,
    organizations,
    keys,
    catalog,
    vms,
    snapshots,
    billing,
    webhooks,
    transfers,
    provider,
    runners,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_sdk_reads_what_the_simulator_answers(story: Callable[[Walk], None]) -> None:
    story(Walk())


def test_every_call_that_both_know_is_made() -> None:
    called: set[str] = set()
    for story in STORIES:
        walk = Walk()
        story(walk)
        called |= walk.sdk.called
    assert called == set(operations())
