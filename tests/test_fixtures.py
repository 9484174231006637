"""Fixtures: the bundled worlds, their profiles, and what is said to a file that makes no sense."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml

from simulator import assets
from simulator.domain.access import ApiKey, Membership, Organization, User
from simulator.domain.capacity import Claim, Node
from simulator.domain.metering import UsageSession
from simulator.domain.products import GpuModel
from simulator.domain.ssh import SshKey
from simulator.fixture import FixtureError
from simulator.generate import Generate
from simulator.kernel.settings import SETTINGS, UnknownSetting
from simulator.kernel.world import World
from simulator.registry import SEEDS
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Cloud
from tests.support.invariants import check_world

Open = Callable[..., Cloud]
FIXTURES = ("broke", "default", "empty", "full", "large")
ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "fixtures" / "README.md").read_text("utf-8")


def opened(fixture: str | dict[str, Any], seed: int = 0, **settings: Any) -> World:
    return assets.open_world("default", fixture, seed, settings)


def run(script: str, **environment: str) -> str:
    """What a Python of its own prints."""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ran.stdout.strip()


@pytest.fixture(scope="module")
def large() -> World:
    return opened("large")


# -- the bundled worlds ------------------------------------------------------------------------------------


def test_these_are_bundled() -> None:
    assert tuple(assets.names("fixtures")) == FIXTURES


@pytest.mark.parametrize("name", FIXTURES)
def test_a_bundled_world_opens_with_its_books_in_order(name: str) -> None:
    world = opened(name)
    check_world(world)
    assert world.version == 0
    assert assets.load_fixture(name)["title"]


@pytest.mark.parametrize("name", FIXTURES)
def test_a_bundled_world_opens_in_every_profile(name: str) -> None:
    for profile in assets.names("fixtures/profiles"):
        assert opened(name, profile=profile).settings["profile"] == profile


def test_the_default_fleet_has_every_trap_of_capacity() -> None:
    world = opened("default")
    nodes = {node.hostname: node for node in world.rows(Node)}
    units = {name: [unit.gpus for unit in node.units] for name, node in nodes.items()}
    assert [units[name] for name in ("ash-4090-1", "ash-4090-2", "ams-4090-1")] == [[1, 1, 1, 1], [2, 2], [4]]
    assert units["scl-h100-1"] == [8]
    assert units["ash-a100-1"] == [2, 2, 2, 2]
    online = [node for node in nodes.values() if node.status == "online"]
    assert Counter(node.gpu_model_id for node in online)["rtx-3090"] == 2
    assert [unit.kind for unit in nodes["ams-l40s-1"].units] == ["device-request"] * 4
    assert [unit.kind for unit in nodes["scl-l40s-1"].units] == ["device-request"] * 2
    assert Counter(node.status for node in nodes.values()) == {"online": 20, "offline": 1, "draining": 1}
    assert any(node.tier == "verified" for node in online)
    places = {node.location_id for node in nodes.values() if not node.units}
    assert places == {row["id"] for row in assets.load_fixture("default")["locations"]}


@pytest.mark.parametrize("name", FIXTURES)
def test_every_gpu_can_be_used_and_has_a_disk(name: str) -> None:
    """The share of one GPU, less the hypervisor's, covers 65 % of its VRAM."""
    world = opened(name)
    for node in world.rows(Node):
        if node.units:
            host_mb = node.ram_mb // node.gpus
            guest_mb = host_mb - 32 - max(1024, host_mb // 20)
            assert guest_mb * 100 >= 65 * 1024 * world.get(GpuModel, node.gpu_model_id).vram_gb, node
            assert node.disk_gb >= 100 * node.gpus, node


def test_a_verified_price_is_never_below_the_community_one() -> None:
    for model in opened("default").rows(GpuModel):
        if not model.hidden:
            assert model.community_cents is not None
            assert model.verified_cents == -(-model.community_cents * 5 // 4), "a quarter more, rounded up"


def test_the_default_credentials_are_those_of_acme(open_cloud: Open) -> None:
    cloud = open_cloud()
    assert cloud.org == "3b1f6c1e-8d0a-4f7b-9c52-6a1d0e4b7a01"
    assert cloud.get("/v1/orgs/{org}/billing/balance").body["availableCents"] == 10_000
    roles = {row.role for row in cloud.world.select(Membership, "organization", cloud.org)}
    assert roles == {"owner", "admin", "member", "viewer"}
    assert [org.slug for org in cloud.rows(Organization)] == ["acme", "globex"]
    assert [key.name for key in cloud.rows(ApiKey)] == ["default", "globex"]


def test_in_empty_nothing_is_in_use_and_everything_can_be_created(open_cloud: Open) -> None:
    cloud = open_cloud("empty")
    assert cloud.rows(Claim) == []
    for row in cloud.get("/v1/gpu-availability").body:
        assert row["inUse"] == 0
        assert row["vm"]["placeableGpuCounts"] == row["vm"]["tileLattice"]


def test_in_full_no_gpu_is_free_and_a_cpu_vm_finds_a_place(open_cloud: Open) -> None:
    cloud = open_cloud("full")
    for row in cloud.get("/v1/gpu-availability").body:
        assert row["available"] == 0
        body = {"name": "a", "gpuModelId": row["gpuModelId"]}
        assert cloud.post("/v1/orgs/{org}/vms/create", body).status in (400, 409)
    assert cloud.launch(gpuModelId=None)["status"] == "deploying"


def test_in_broke_nothing_can_be_deployed_until_money_comes(open_cloud: Open) -> None:
    cloud = open_cloud("broke")
    refused = cloud.post("/v1/orgs/{org}/vms/create", {"name": "a", "gpuModelId": "rtx-3090"})
    assert (refused.status, refused.code) == (403, "INSUFFICIENT_BALANCE")
    cloud.do("balance.credit", name="acme", cents=1)
    assert cloud.launch(gpuModelId="rtx-3090")["status"] == "deploying"


# -- large -------------------------------------------------------------------------------------------------


def test_large_has_many_of_everything(large: World) -> None:
    kinds = (Organization, User, ApiKey, SshKey, Vm)
    assert [len(list(large.rows(kind))) for kind in kinds] == [102, 505, 202, 500, 10_000]
    assert {vm.status for vm in large.rows(Vm)} == {"deploying", "running", "stopped", "failed", "terminated"}
    assert len({user.email for user in large.rows(User)}) == 505
    for organization in large.rows(Organization):
        assert large.first(Membership, "owners", organization.id), organization
    assert len(large.bucket(Vm, "organization", "3b1f6c1e-8d0a-4f7b-9c52-6a1d0e4b7a01")) > 500


def test_vms_of_large_began_on_many_days_of_the_month(large: World) -> None:
    days = Counter((large.now_ms - vm.created_at_ms) // 86_400_000 for vm in large.rows(Vm))
    assert sorted(days) == list(range(14))
    assert all(count > 300 for count in days.values())
    sessions = list(large.rows(UsageSession))
    assert len(sessions) == sum(1 for vm in large.rows(Vm) if vm.status == "running")


def test_the_same_seed_makes_the_same_large_world_under_any_hash_seed() -> None:
    script = (
        "import hashlib, msgspec; from simulator import assets; from simulator.generate import expand;"
        "document = expand(assets.load_fixture('large'), 7);"
        "print(hashlib.sha256(msgspec.json.encode(document)).hexdigest())"
    )
    digests = {run(script, PYTHONHASHSEED=hash_seed) for hash_seed in ("0", "1", "4711")}
    assert len(digests) == 1


def test_another_seed_makes_other_people() -> None:
    document = {"generate": {"organizations": 2, "people": 4}}
    emails = [{user.email for user in opened(document, seed).rows(User)} for seed in (0, 1)]
    assert emails[0].isdisjoint(emails[1])


def test_a_document_without_generate_needs_no_faker() -> None:
    script = (
        "import sys; from simulator import assets;"
        "assets.open_world('default', 'default', 0); print('faker' in sys.modules)"
    )
    assert run(script) == "False"


# -- profiles ----------------------------------------------------------------------------------------------


def test_june_is_the_defaults() -> None:
    june = assets.profile("2026-06")
    assert {key: june[key] for key in june} == {key: row.default for key, row in SETTINGS.items()}


@pytest.mark.parametrize("name", ["2026-07", "2026-10"])
def test_a_profile_names_itself_and_says_where_each_row_comes_from(name: str) -> None:
    path = ROOT / "fixtures" / "profiles" / f"{name}.yaml"
    content = yaml.safe_load(path.read_text("utf-8"))
    assert content["profile"] == name
    lines = [
        line
        for line in path.read_text("utf-8").splitlines()
        if line and not line.startswith(("#", "profile"))
    ]
    assert len(lines) == len(content) - 1
    assert all(re.search(r"# .*\[(2026-07|2026-10 sdk|client)\]", line) for line in lines)
    assert all(SETTINGS[key].default != value for key, value in content.items()), (
        "rows that differ, no others"
    )


PROFILED = [
    ("errors.code_style", "snake", "upper", "upper"),
    ("me.allow_keys", True, False, False),
    ("members.mode", "at_once", "invite", "invite"),
    ("vms.ssh_ready", "probe", "running", "probe"),
    ("availability.shape", "union", "nested", "nested"),
    ("capacity.refusal_status", 409, 409, 503),
    ("keys.prefix", "vl_", "vl_", "or_"),
    ("keys.revoke_unknown", "204", "204", "404"),
    ("vms.require_ssh_key", False, False, True),
    ("vms.idempotency_key", False, False, True),
    ("vms.size_with_count", "accepted", "accepted", "refused"),
    ("vms.reboot_terminated_status", 400, 400, 409),
    ("sshkeys.in_use", "scrubbed", "scrubbed", "refused"),
    ("members.last_owner_status", 403, 403, 409),
    ("webhooks.empty_means", "all", "all", "vm"),
    ("scopes.mode", "documented", "documented", "observed"),
    ("ids.gpu_models", "slug", "slug", "uuid"),
]


@pytest.mark.parametrize("row", PROFILED, ids=[row[0] for row in PROFILED])
def test_what_the_service_was_like_in_each_month(row: tuple[Any, ...]) -> None:
    key, *values = row
    assert [assets.profile(name)[key] for name in ("2026-06", "2026-07", "2026-10")] == values


def test_settings_win_over_the_fixture_and_the_fixture_over_its_profile(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        'extends: default\nsettings: {profile: "2026-10", capacity.refusal_status: 409}\n', "utf-8"
    )
    world = assets.open_world("default", str(path), 0, {"keys.prefix": "vl_"})
    assert world.settings["profile"] == "2026-10"
    assert world.settings["capacity.refusal_status"] == 409
    assert world.settings["keys.prefix"] == "vl_"
    assert world.settings["sshkeys.in_use"] == "refused"


# -- files of one's own ------------------------------------------------------------------------------------


def written(tmp_path: Path, text: str, name: str = "mine.yaml") -> str:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return str(path)


def test_a_section_replaces_and_one_with_a_plus_adds(tmp_path: Path) -> None:
    node = "{hostname: mine-1, location: us-east, vcpu: 8, ram_gb: 64, disk_gb: 100}"
    assert [
        row.hostname
        for row in opened(written(tmp_path, f"extends: default\nclaims: []\nnodes: [{node}]")).rows(Node)
    ] == ["mine-1"]
    assert len(list(opened(written(tmp_path, f"extends: default\nnodes+: [{node}]")).rows(Node))) == 23


def test_settings_of_an_extended_file_are_merged(tmp_path: Path) -> None:
    written(tmp_path, "extends: default\nsettings: {vms.queue: true, billing.tick_s: 5}", "parent.yaml")
    world = opened(written(tmp_path, "extends: parent.yaml\nsettings: {billing.tick_s: 7}"))
    assert (world.settings["vms.queue"], world.settings["billing.tick_s"]) == (True, 7)


def test_a_vm_of_a_fixture_is_as_if_it_had_come_this_far(tmp_path: Path) -> None:
    text = """
extends: empty
vms:
  - {name: running, organization: acme, gpu_model: rtx-3090, gpu_count: 2, running_for_s: 3600}
  - {name: deploying, organization: acme, size: small, status: deploying}
  - {name: stopped, organization: acme, gpu_model: rtx-4090, status: stopped}
  - {name: failed, organization: acme, gpu_model: rtx-4090, status: failed}
  - {name: terminated, organization: acme, gpu_model: rtx-4090, status: terminated}
"""
    cloud = Cloud(written(tmp_path, text))
    check_world(cloud.world)
    vms = {vm["name"]: vm for vm in cloud.get("/v1/orgs/{org}/vms").body["items"]}
    assert {name: vm["status"] for name, vm in vms.items()} == {name: name for name in vms}
    assert {name: vm.get("statusReason") for name, vm in vms.items()} == {
        "running": None,
        "deploying": None,
        "stopped": "user_stopped",
        "failed": "vm_exited",
        "terminated": "user_terminated",
    }
    assert cloud.get("/v1/orgs/{org}/billing/balance").body["accruedUsageCents"] == 36
    assert "terminatedAt" in cloud.get(f"/v1/vms/{vms['terminated']['id']}/detail").body
    assert cloud.post(f"/v1/vms/{vms['stopped']['id']}/restart").body["status"] == "deploying"
    cloud.advance(45)
    assert {cloud.vm(vms[name]["id"])["status"] for name in ("deploying", "stopped", "running")} == {
        "running"
    }
    assert cloud.bugs() == []


NODE = "hostname: x, location: us-east, vcpu: 1, ram_gb: 1, disk_gb: 1"
MODEL = "id: l4, name: a, manufacturer: b, architecture: c, vram_gb: 1, form_factor: pcie"

BAD = {
    "no-mapping": ("- a", "mine.yaml: a mapping of sections is wanted, found list"),
    "nothing": ("", "found NoneType"),
    "no-yaml": ("nodes: [", "mine.yaml: while parsing"),
    "no-text": ("nodes: \x00", "mine.yaml: .*control characters"),
    "numbered-section": ("1: x", "mine.yaml: key '1' is no text without quotes"),
    "unknown-section": ("nodez: []", "unknown section 'nodez'; did you mean 'nodes'"),
    "section-null": ("nodes:", "nodes: Expected `array`, got `null`"),
    "settings-list": ("settings: [1]", "settings: a mapping is wanted, found"),
    "setting-unknown": ("settings: {billing.tick: 1}", "unknown setting 'billing.tick'; did you mean"),
    "setting-value": (
        "settings: {billing.tick_s: 0}",
        "billing.tick_s: 0 is not a whole number of at least 1",
    ),
    "profile": ("settings: {profile: '2025-01'}", "no profile '2025-01'; did you mean"),
    "extends-unknown": ("extends: defualt", "no fixture 'defualt'; did you mean 'default'"),
    "extends-no-file": ("extends: other.yaml", "no file 'other.yaml'; bundled worlds are broke, default"),
    "extends-itself": ("extends: mine.yaml", "mine.yaml: extends itself, or more than 10 others"),
    "start": ("start: tomorrow", "start: 'tomorrow' is not a moment such as 2026"),
    "vm-without-room": (
        "extends: full\nvms: [{name: a, organization: acme, gpu_model: rtx-3090}]",
        "vms: no node has 1 x rtx-3090",
    ),
    "generate-unknown": ("generate: {vmz: 1}", "generate: .*`vmz`"),
    "generate-negative": ("generate: {vms: -1}", "generate: vms: Expected `int` >= 0"),
    "generate-list": ("generate: []", "generate: Expected `object`"),
    "generate-without-owners": ("generate: {vms: 1}", "generate: VMs and SSH keys need an organization"),
    "generate-people-alone": ("generate: {people: 1}", "generate: people and keys need organizations"),
    "generate-few-people": (
        "generate: {organizations: 5, people: 1}",
        "generate: 1 people for 5 organizations",
    ),
    "generate-nowhere": ("generate: {nodes: {cpu: 1}}", "generate: nodes need a location"),
}

# Each written below `extends: default`.
BAD_OF_DEFAULT = {
    "plus-null": ("nodes+:", r"mine.yaml: nodes\+: a list is wanted, found None"),
    "plus-mapping": ("nodes+: {a: 1}", r"nodes\+: a list is wanted"),
    "unknown-field": (f"nodes+: [{{{NODE}, colour: red}}]", r"nodes\[22\]: .*`colour`"),
    "missing-field": ("nodes: [{hostname: x}]", r"nodes\[0\]: .*missing required field"),
    "wrong-type": ("cpu_sizes: [{id: a, vcpu: many}]", r"cpu_sizes\[0\].vcpu: Expected `int`, got `str`"),
    "out-of-bounds": (f"nodes: [{{{NODE.replace('vcpu: 1', 'vcpu: -1')}}}]", r"nodes\[0\].vcpu: .*>= 1"),
    "unknown-location": (f"nodes: [{{{NODE.replace('us-east', 'us-eats')}}}]", "did you mean 'us-east'"),
    "unknown-model": (f"nodes: [{{{NODE}, gpu_model: l4x, units: [1]}}]", "no GpuModel 'l4x'"),
    "node-twice": (f"claims: []\nnodes: [{{{NODE}}}, {{{NODE}}}]", "nodes: there is a node 'x'"),
    "model-twice": (f"gpu_models+: [{{{MODEL}}}]", "gpu_models: 'l4' stands there twice"),
    "template-model": (
        "templates: [{slug: a, name: a, filename: a, image_url: a, gpu_models: [l44]}]",
        "templates: a: no GPU model 'l44'",
    ),
    "claim-node": ("claims: [{node: nope}]", "claims: no Node 'nope'; there are ash-4090-1"),
    "claim-unit": ("claims: [{node: ash-4090-1, units: [4]}]", "no unit 4 that is free"),
    "claim-twice": ("claims: [{node: ash-4090-1, units: [0, 0]}]", "no unit 0 that is free"),
    "claim-room": ("claims: [{node: ash-4090-1, vcpu: 65}]", "has 64 vCPU, 262144 MiB RAM"),
    "vm-organization": ("vms: [{name: a, organization: acne}]", "vms: organization 'acne'"),
    "vm-status": (
        "vms: [{name: a, organization: acme, status: gone}]",
        r"vms\[0\].status: .*'gone'; known are deploying",
    ),
    "vm-name": ("vms: [{name: '', organization: acme}]", "vms: name '' has 0 characters"),
    "vm-too-old": (
        "vms: [{name: a, organization: acme, running_for_s: 1300000}]",
        "vms: a did not begin in the month of `start`",
    ),
    "generate-model": ("generate: {nodes: {l44: 1}}", "generate: nodes: 'l44' is neither"),
    "generate-vms-nowhere": ("generate: {vms: 1}", "generate: vms need nodes"),
    "generate-start": ("start: soon\ngenerate: {vms: 1, nodes: {cpu: 1}}", "generate: .*soon"),
    "generate-section": ("nodes: 5\ngenerate: {vms: 1}", "generate: nodes: "),
    "generate-too-many": ("generate: {vms: 200, nodes: {rtx-5090: 1}}", "vms: .*counts that would fit now"),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD)
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises((FixtureError, UnknownSetting), match=f"(?s){said}"):
        opened(written(tmp_path, text))


@pytest.mark.parametrize(("text", "said"), BAD_OF_DEFAULT.values(), ids=BAD_OF_DEFAULT)
def test_what_cannot_be_meant_beside_the_default_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(FixtureError, match=f"(?s){said}"):
        opened(written(tmp_path, f"extends: default\n{text}"))


def test_a_ring_of_files_is_refused(tmp_path: Path) -> None:
    written(tmp_path, "extends: mine.yaml", "other.yaml")
    with pytest.raises(FixtureError, match="extends itself, or more than 10 others in a row"):
        opened(written(tmp_path, "extends: other.yaml"))


@pytest.mark.parametrize("name", ["nope", "nope.yaml", "./nope"])
def test_an_unknown_fixture_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(FixtureError, match="broke, default, empty, full, large"):
        opened(name)


# -- the README --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", README, re.DOTALL))
def test_the_examples_of_the_readme_open(tmp_path: Path, block: str) -> None:
    check_world(opened(written(tmp_path, block)))


@pytest.mark.parametrize("section", [*SEEDS, "generate"])
def test_the_readme_has_every_section_with_every_field(section: str) -> None:
    form = Generate if section == "generate" else get_args(SEEDS[section].form)[0]
    start = README.index("## Many of everything" if section == "generate" else f"| `{section}` |")
    block = README[start:] if section == "generate" else re.split(r"\n\n|\n\| `", README[start:])[0]
    for field in msgspec.structs.fields(form):
        assert f"`{field.name}`" in block, f"{section}: {field.name}"
