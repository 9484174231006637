"""VMs brought to any status by the means a user of the service has, and actions where those end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.cloud import Cloud

SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHCZRQH6ZTXyJZkPNfnhQZbfTpJmxZlWqIoA1Qr8vXsF grid@example"


def cloud_of_profile(open_cloud: Callable[..., Cloud], profile: str, **settings: Any) -> Cloud:
    """A cloud of a profile with an SSH key, which the later service asks for."""
    cloud = open_cloud(profile=profile, **settings)
    answer = cloud.post("/v1/orgs/{org}/ssh-keys/create", {"name": "grid", "publicKey": SSH_KEY})
    assert answer.status == 200, answer
    cloud.ssh_key = answer.body["id"]
    return cloud


def bring_to(cloud: Cloud, status: str) -> dict[str, Any]:
    """A VM in this status. `pending` needs the setting vms.queue."""
    keys = {"sshKeyIds": [cloud.ssh_key]} if cloud.ssh_key else {}
    if status == "pending":
        cloud.launch("in-the-way", gpuCount=4, **keys)
        return cloud.launch("grid", gpuCount=4, **keys)
    vm = cloud.launch("grid", gpuCount=4, **keys)
    if status == "deploying":
        return vm
    if status == "failed":
        cloud.do("vm.fail", id=vm["id"])
        return vm
    cloud.simulator.advance_until_status(vm["id"], "running")
    if status == "interrupted":
        cloud.do("node.offline", node_of="grid")
    elif status != "running":
        cloud.post(f"/v1/vms/{vm['id']}/{'stop' if status == 'stopped' else 'terminate'}")
    return vm
