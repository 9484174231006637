"""Where schemathesis meets the simulator: a cloud with something of everything in it, and the contract.

The contract is the one that is served, without its `default` answers: so a status that an operation does not
list is undocumented, but for the few in tests/support/reach.py. Ids and bodies that are made up all end at
the same 404 and 400; so half of the valid requests are given such as mean something. Which half, their text
decides. Invalid ones stay as they are.
"""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import Any
from zlib import crc32

import schemathesis
from schemathesis import AuthContext, BaseSchema, Case
from schemathesis.config import SchemathesisConfig

from simulator import assets
from simulator.adapters.web import create_app
from simulator.contract.spec import JSON, METHODS
from tests.support.batches import MODEL, batch_of, jsonl, record, upload
from tests.support.cloud import Answer, Cloud
from tests.support.clusters import run_cluster
from tests.support.money import CARDS
from tests.support.parties import party
from tests.support.people import LINES, mint, session_of
from tests.support.providers import TOKENS, enrolled, token_of
from tests.support.reach import UNLISTED
from tests.support.runners import INSTALLATION, pool_of
from tests.support.webhooks import hook_of

EXAMPLES = int(os.environ.get("CONFORMANCE_EXAMPLES", "0"))
"""How many requests the generator makes up per operation, and sequences; 0: a few, as the tests do."""


LOGIN = {"username": "ada", "password": "secret"}
REGISTRY = {"name": "registry", "server": "ghcr.io", "authType": "basic", "credentials": LOGIN}
SOUND: dict[str, Any] = {
    "amountCents": 2500,
    "authType": "basic",
    "containerPort": 8080,
    "cpuCores": 16,
    "credentials": LOGIN,
    "diskSizeGb": 100,
    "email": "new@example.com",
    "endpoint": "/v1/chat/completions",
    "events": ["vm.running"],
    "gpuCount": 1,
    "gpuModelId": "rtx-3090",
    "gpusPerReplica": 1,
    "hardwareFingerprint": "of rack-2",
    "hostname": "rack-2",
    "installationId": INSTALLATION,
    "model": MODEL,
    "name": "anything",
    "nebulaPubkey": "simulated",
    "newSizeGb": 200,
    "poolRamGb": 64,
    "publicKey": LINES["nistp256"],
    "ramGb": 64,
    "replicaCount": 2,
    "resourceType": "vm",
    "scopes": ["clusters:read"],
    "server": "ghcr.io",
    "targetOrgSlug": "globex",
    "tier": "community",
    "url": "https://hooks.example.com/openrelay",
}
"""Members of bodies, with values that mean something in every cloud."""


class Arena:
    """A cloud, what there is in it by its name in paths and bodies, and the owner's session."""

    def __init__(self) -> None:
        self.cloud = cloud = Cloud()
        acme, globex = party(cloud, "acme"), party(cloud, "globex")
        self.session = session_of(cloud, "owner")
        cloud.do("user.create", email="new@example.com")
        acme.post("/v1/orgs/{org}/provider/apply", {"note": "Four racks"})
        cloud.do("provider.approve", name="acme")
        key_id, token, file_id = acme.ssh_key(), token_of(acme), upload(cloud, jsonl(record("one")))["id"]
        vm_id = cloud.run_vm(gpuModelId="rtx-3090", sshKeyIds=[key_id])["id"]
        theirs = _made(globex.post("/v1/orgs/{org}/vms/create", {"name": "theirs"}))
        cloud.simulator.advance_until_status(theirs, "running")
        snapshot_id = _made(acme.post(f"/v1/vms/{vm_id}/snapshots", {"name": "before"}))
        self.paths = {
            "api-keys": mint(cloud)["id"],
            "batches": batch_of(cloud, count=500)["id"],
            "clusters": run_cluster(cloud),
            "files": file_id,
            "invites": "new@example.com",
            "members": acme.get("/v1/orgs/{org}/members").body[-1]["userId"],
            "nodes": enrolled(cloud, token),
            "payment-methods": acme.get(CARDS).body["paymentMethods"][0]["id"],
            "registry-credentials": _made(acme.post("/v1/orgs/{org}/registry-credentials/create", REGISTRY)),
            "runner-pools": pool_of(cloud)["id"],
            "snapshots": snapshot_id,
            "ssh-keys": key_id,
            "tokens": acme.get(TOKENS).body[0]["id"],
            "transfers": globex.offered(theirs, acme),
            "vms": vm_id,
            "webhooks": hook_of(cloud)["id"],
        }
        self.fields = SOUND | {
            "input_file_id": file_id,
            "resourceId": vm_id,
            "snapshotId": snapshot_id,
            "sshKeyId": key_id,
            "sshKeyIds": [key_id],
            "token": token,
        }
        cloud.simulator.reset(cloud.world)

    def start_over(self) -> None:
        """Back to the moment at which everything had been made."""
        self.cloud.simulator.reset()

    def furnish(self, case: Case) -> None:
        """Let half of the valid requests mean something."""
        valid = case.meta is not None and case.meta.generation.mode.is_positive
        if not valid or not _heads(case.operation.label, case.path_parameters, case.query, case.body):
            return
        for name in case.path_parameters:
            segment = case.operation.path.partition(f"/{{{name}}}")[0].rpartition("/")[2]
            if segment in self.paths:
                case.path_parameters[name] = self.paths[segment]
        if isinstance(case.body, dict) and case.media_type == JSON:
            needed = {name: case.body[name] for name in _required(case)}
            case.body = needed | {name: self.fields[name] for name in case.body if name in self.fields}


def _made(answer: Answer) -> str:
    assert answer.status == 200, answer
    made: str = answer.body["id"]
    return made


def _required(case: Case) -> list[str]:
    """The members that a JSON body must have."""
    schema = case.operation.definition.raw["requestBody"]["content"][JSON]["schema"]
    schemas = case.operation.schema.raw_schema["components"]["schemas"]
    found: list[str] = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema).get("required", [])
    return found


def _heads(*values: Any) -> bool:
    """A coin that falls the same way for the same values."""
    return crc32(repr(values).encode(errors="replace")) % 2 == 0


def read_schema(arena: Arena) -> BaseSchema:
    """The contract, to be called in this process, by key or session as each operation wants."""
    document = deepcopy(assets.contract_document())
    for item in document["paths"].values():
        for method in METHODS & item.keys():
            responses, name = item[method]["responses"], item[method]["operationId"]
            default = responses.pop("default")
            responses |= {str(status): default for known, status in UNLISTED if known == name}
    config = SchemathesisConfig.from_path(Path(__file__).with_name("schemathesis.toml"))
    project = config.projects.default
    project.parameters = {"orgId": arena.cloud.org}
    if EXAMPLES:
        project.generation.max_examples = EXAMPLES
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.app = create_app(arena.cloud.worlds)

    @schema.auth(refresh_interval=None)
    class Credential:
        def get(self, case: Case, context: AuthContext) -> str:
            by_session = case.operation.definition.raw.get("x-auth") == "session"
            return arena.session if by_session else arena.cloud.key

        def set(self, case: Case, data: str, context: AuthContext) -> None:
            case.headers["Authorization"] = f"Bearer {data}"

    return schema


ARENA = Arena()
SCHEMA = read_schema(ARENA)
