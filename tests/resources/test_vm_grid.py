"""Every verb in every status, in every profile: the grid of the documentation, held against the table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.resources.vms.lifecycle import LIFECYCLE, STATES
from tests.support.cloud import Cloud
from tests.support.vms import bring_to, cloud_of_profile

PROFILES = ("2026-06", "2026-07", "2026-10")

VERBS = {
    "stop": ("stop", None),
    "restart": ("restart", None),
    "reboot": ("reboot", None),
    "terminate": ("terminate", None),
    "resize_disk": ("resize-disk", {"newSizeGb": 500}),
    "attach_ssh_key": ("ssh-keys", ...),
    "set_visibility": ("visibility", {"public": True}),
    "snapshot": ("snapshots", {"name": "grid"}),
    "transfer": ("/v1/orgs/{org}/transfers", {"resourceType": "vm", "targetOrgSlug": "globex"}),
}

# What the service answers, and the status the VM is left in ("=": the one it had).
GRID: dict[str, dict[str, tuple[int, str]]] = {
    "stop": {
        **dict.fromkeys(("pending", "deploying", "running", "interrupted"), (200, "stopped")),
        "stopped": (200, "="),
        **dict.fromkeys(("failed", "terminated"), (409, "=")),
    },
    "restart": {
        **dict.fromkeys(("pending", "deploying", "interrupted", "terminated"), (409, "=")),
        "running": (200, "="),
        **dict.fromkeys(("stopped", "failed"), (200, "deploying")),
    },
    "reboot": {**dict.fromkeys(STATES, (400, "=")), "running": (204, "=")},
    "terminate": dict.fromkeys(STATES, (200, "terminated")),
    "resize_disk": {**dict.fromkeys(STATES, (400, "=")), "stopped": (204, "=")},
    "attach_ssh_key": {**dict.fromkeys(STATES, (204, "=")), "terminated": (400, "=")},
    "set_visibility": {**dict.fromkeys(STATES, (200, "=")), "terminated": (400, "=")},
    "snapshot": {
        **dict.fromkeys(("pending", "deploying", "interrupted"), (409, "=")),
        **dict.fromkeys(("running", "stopped", "failed"), (200, "=")),
        "terminated": (400, "="),
    },
    "transfer": {
        **dict.fromkeys(("pending", "deploying"), (409, "=")),
        **dict.fromkeys(("running", "interrupted", "stopped", "failed"), (200, "=")),
        "terminated": (400, "="),
    },
}


def expected(verb: str, state: str, profile: str) -> tuple[int, str]:
    if (verb, state, profile) == ("reboot", "terminated", "2026-10"):
        return 409, "="
    return GRID[verb][state]


def test_the_grid_and_the_table_know_the_same_pairs() -> None:
    pairs = {(state, verb) for state, verb, _ in LIFECYCLE.pairs()}
    assert pairs == {(state, verb) for verb in GRID for state in STATES}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("state", "verb"), [(state, verb) for state, verb, _ in LIFECYCLE.pairs()])
def test_a_verb_in_a_status(open_cloud: Callable[..., Cloud], profile: str, state: str, verb: str) -> None:
    cloud = cloud_of_profile(open_cloud, profile, vms__queue=True)
    vm = bring_to(cloud, state)
    path, body = VERBS[verb]
    if path.startswith("/"):
        assert isinstance(body, dict)
        body = {**body, "resourceId": vm["id"]}
    else:
        path = f"/v1/vms/{vm['id']}/{path}"
    before, version = cloud.vm(vm["id"])["status"], cloud.world.version

    answer = cloud.post(path, {"sshKeyId": cloud.ssh_key} if body is ... else body)

    status, target = expected(verb, state, profile)
    assert (answer.status, before) == (status, state), answer
    assert cloud.vm(vm["id"])["status"] == (state if target == "=" else target)
    assert (LIFECYCLE.find(state, verb) is None) == (status >= 400)
    if status >= 400:
        assert cloud.world.version == version
        assert state in answer.body["error"]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_refused_verb_names_its_code(open_cloud: Callable[..., Cloud], profile: str) -> None:
    cloud = cloud_of_profile(open_cloud, profile)
    vm = bring_to(cloud, "terminated")
    generic = "bad_request" if profile == "2026-06" else "BAD_REQUEST"
    assert cloud.post(f"/v1/vms/{vm['id']}/stop").code == "INVALID_VM_STATE"
    assert cloud.post(f"/v1/vms/{vm['id']}/visibility", {"public": True}).code == generic
    assert cloud.post(f"/v1/vms/{vm['id']}/reboot").code == "INVALID_VM_STATE"
