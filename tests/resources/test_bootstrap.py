"""The installer script: who may fetch it, what it holds, and that a shell can run it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.adapters.server import Server
from simulator.domain.capacity import CLUSTER, VM, Node
from tests.support.cloud import Cloud
from tests.support.invariants import check_world
from tests.support.parties import Party, party
from tests.support.people import mint, newcomer, refused, sign_in
from tests.support.providers import RTX_4090, TOKENS, enrolled, token_of

Open = Callable[..., Cloud]
PROFILES = {"2026-06": str.lower, "2026-07": str.upper, "2026-10": str.upper}
BOOTSTRAP = "/v1/provider/bootstrap"
DAY = 24 * 3600


def fetch(who: Party, query: str = "", **headers: str) -> str:
    """The script, fetched with a key."""
    answer = who.cloud.get(BOOTSTRAP + query, key=who.key, **headers)
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "text/x-shellscript"
    assert answer.headers["Cache-Control"] == "no-store"
    script: str = answer.body.decode()
    return script


def assigned(script: str, name: str) -> str:
    """What a variable of the script is set to."""
    (line,) = re.findall(rf"^{name}=(.*)$", script, re.MULTILINE)
    (word,) = shlex.split(line)
    return word


# -- who may fetch it --------------------------------------------------------------------------------------


def test_a_key_has_a_single_use_token_made(cloud: Cloud, globex: Party) -> None:
    script = fetch(globex, "?name=rack%201")
    (token,) = globex.get(TOKENS).body
    shown = [token[name] for name in ("name", "maxNodes", "status", "nodePool", "expiresAt")]
    assert shown == ["rack 1", 1, "active", "community", "2026-06-16T09:00:00.000Z"]
    assert assigned(script, "token").startswith(token["tokenPrefix"])
    enrolled(cloud, assigned(script, "token"))
    assert globex.get(TOKENS).body[0]["status"] == "exhausted"
    check_world(cloud.world)


def test_every_fetch_with_a_key_makes_another_token(globex: Party) -> None:
    first, second = fetch(globex), fetch(globex)
    assert assigned(first, "token") != assigned(second, "token")
    assert [row["name"] for row in globex.get(TOKENS).body] == ["bootstrap", "bootstrap"]


def test_a_token_serves_as_it_is_and_makes_none(cloud: Cloud, globex: Party) -> None:
    secret = token_of(globex)
    version = cloud.world.version
    for key in ("", globex.key):
        answer = cloud.get(f"{BOOTSTRAP}?token={secret}&name=ignored", key=key)
        assert answer.status == 200
        assert assigned(answer.body.decode(), "token") == secret
    assert cloud.world.version == version


def test_a_token_that_is_used_up_still_gets_the_script(cloud: Cloud, globex: Party) -> None:
    """Running the same command again is safe [docs page]."""
    secret = token_of(globex, maxNodes=1)
    enrolled(cloud, secret)
    assert cloud.get(f"{BOOTSTRAP}?token={secret}", key="").status == 200


@pytest.mark.parametrize("profile", PROFILES)
def test_what_does_not_hold_is_401(open_cloud: Open, profile: str) -> None:
    cloud = open_cloud(profile=profile)
    globex, code = party(cloud, "globex"), PROFILES[profile]("unauthorized")
    secret = token_of(globex, expiresInHours=1)
    refused(cloud.get(BOOTSTRAP, key=""), 401, code)
    refused(cloud.get(BOOTSTRAP, key="vl_" + "A" * 40), 401, code)
    refused(cloud.get(BOOTSTRAP, key=secret), 401, code)
    refused(cloud.get(f"{BOOTSTRAP}?token=vtk_unknown", key=globex.key), 401, code)
    refused(cloud.get(f"{BOOTSTRAP}?token={globex.key}", key=""), 401, code)
    cloud.advance(3600)
    refused(cloud.get(f"{BOOTSTRAP}?token={secret}", key=""), 401, code)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_revoked_token_and_who_is_no_provider_is_403(open_cloud: Open, profile: str) -> None:
    cloud = open_cloud(profile=profile)
    globex, code = party(cloud, "globex"), PROFILES[profile]("forbidden")
    made = globex.post(TOKENS).body
    globex.delete(f"{TOKENS}/{made['id']}")
    refused(cloud.get(f"{BOOTSTRAP}?token={made['token']}", key=""), 403, code)
    assert "provider/apply" in refused(cloud.get(BOOTSTRAP), 403, code)
    refused(cloud.get(BOOTSTRAP, key=newcomer(cloud)), 403, code)


def test_who_may_make_no_token_has_none_made(cloud: Cloud) -> None:
    cloud.post("/v1/orgs/{org}/provider/apply", {"note": "x"})
    cloud.do("provider.approve", name="acme")
    narrow = mint(cloud, "clusters:read")["key"]
    for key in (narrow, sign_in(cloud, "alan@acme.example"), sign_in(cloud, "joan@acme.example")):
        assert "deniedBy" in cloud.get(BOOTSTRAP, key=key).body
    cloud.do("account.set_status", name="acme", status="suspended")
    refused(cloud.get(BOOTSTRAP), 403, "ACCOUNT_RESTRICTED")
    assert cloud.get(TOKENS).body == []
    cloud.do("account.set_status", name="acme", status="active")
    for key in (mint(cloud, "clusters:write")["key"], sign_in(cloud, "grace@acme.example")):
        assert cloud.get(BOOTSTRAP, key=key).status == 200


def test_a_fetch_is_a_use_of_the_key(cloud: Cloud, globex: Party) -> None:
    fetch(globex)
    (row,) = globex.get("/v1/orgs/{org}/api-keys").body
    assert row["lastUsedAt"] == "2026-06-15T09:00:00.000Z"


# -- what is asked for, and what stands in the way ---------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "runtime"),
    [
        ("", "gvisor"),
        ("?gpu=", "gvisor"),
        ("?gpu=0", "gvisor"),
        ("?gpu=False", "gvisor"),
        ("?gpu=1", "qemu"),
        ("?gpu=true", "qemu"),
        ("?gpu=YES", "qemu"),
        ("?gpu=on", "qemu"),
    ],
)
def test_a_true_gpu_asks_for_passthrough(globex: Party, query: str, runtime: str) -> None:
    assert assigned(fetch(globex, query), "runtime") == runtime


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("query", ["gpu=maybe", "gpu=2", "name=" + "x" * 64, "name=%20", "gpu=1&gpu=1"])
def test_a_bad_parameter_is_400(open_cloud: Open, profile: str, query: str) -> None:
    globex = party(open_cloud(profile=profile), "globex")
    refused(globex.get(f"{BOOTSTRAP}?{query}"), 400, PROFILES[profile]("bad_request"))
    assert globex.get(TOKENS).body == []


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("installer", "status", "code"), [("missing", 502, "bad_gateway"), ("unconfigured", 503, "unavailable")]
)
def test_an_installer_that_is_not_there(
    open_cloud: Open, profile: str, installer: str, status: int, code: str
) -> None:
    cloud = open_cloud(profile=profile, provider__installer=installer)
    globex = party(cloud, "globex")
    refused(globex.get(BOOTSTRAP), status, PROFILES[profile](code))
    assert globex.get(TOKENS).body == []
    refused(cloud.get(f"{BOOTSTRAP}?token={token_of(globex)}", key=""), status, PROFILES[profile](code))
    refused(cloud.get(BOOTSTRAP, key=""), 401)
    refused(globex.get(f"{BOOTSTRAP}?gpu=2"), 400)


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({}, "http://localhost"),
        ({"host": "127.0.0.1:4010"}, "http://127.0.0.1:4010"),
        ({"host": "sim.example", "x_forwarded_proto": "https"}, "https://sim.example"),
        ({"host": "x';echo$IFS'hacked"}, "http://x';echo$IFS'hacked"),
    ],
)
def test_the_script_calls_back_where_it_was_fetched(globex: Party, headers: dict[str, str], url: str) -> None:
    assert assigned(fetch(globex, **headers), "url") == url


# -- the script itself -------------------------------------------------------------------------------------


@pytest.fixture
def served(cloud: Cloud) -> Iterator[str]:
    """The cloud on a socket; its address."""
    with Server(cloud.worlds, port=0) as server:
        yield f"{server.host}:{server.port}"


def sh(script: str, *options: str, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "OPENRELAY_DISK_FREE_GB": "100", **given}
    return subprocess.run(
        ["/bin/sh", *options],
        input=script,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_shell_can_read_it(globex: Party) -> None:
    done = sh(fetch(globex), "-n")
    assert (done.returncode, done.stderr) == (0, "")
    assert fetch(globex).startswith("#!/bin/sh\n")


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the script calls curl")
MACHINE = {"OPENRELAY_HOSTNAME": "rack-1", "OPENRELAY_CPU_CORES": "16", "OPENRELAY_RAM_GB": "128"}


@needs_curl
@pytest.mark.parametrize(
    ("query", "gpus", "units"),
    [
        ("?gpu=1", f"{RTX_4090} {RTX_4090}", [(VM, 1), (VM, 1)]),
        ("", f"{RTX_4090} {RTX_4090}", [(CLUSTER, 1), (CLUSTER, 1)]),
        ("?gpu=1", "", []),
    ],
)
def test_it_enrols_the_machine(
    cloud: Cloud, globex: Party, served: str, query: str, gpus: str, units: list[Any]
) -> None:
    script = fetch(globex, query, host=served)
    done = sh(script, **MACHINE, OPENRELAY_GPUS=gpus)
    assert (done.returncode, done.stderr) == (0, ""), done
    (node,) = [row for row in cloud.rows(Node) if row.hostname == "rack-1"]
    assert done.stdout == f"rack-1 is enrolled as node {node.id}\n"
    assert (node.organization_id, node.vcpu, node.ram_mb) == (globex.org, 16, 128 * 1024)
    assert [(unit.kind, unit.gpus) for unit in node.units] == units
    assert sh(script, **MACHINE, OPENRELAY_GPUS=gpus).stdout == done.stdout, "again is safe"
    cloud.advance(10)
    assert cloud.world.get(Node, node.id).status == "online"
    check_world(cloud.world)


@needs_curl
def test_it_finds_out_by_itself_what_the_machine_has(cloud: Cloud, globex: Party, served: str) -> None:
    done = sh(fetch(globex, host=served), OPENRELAY_RAM_GB="64", OPENRELAY_GPUS="")
    assert done.returncode == 0, done
    (node,) = [row for row in cloud.rows(Node) if row.id in done.stdout]
    assert node.hostname == os.uname().nodename
    assert node.vcpu == os.sysconf("SC_NPROCESSORS_ONLN")


@needs_curl
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"OPENRELAY_RAM_GB": "16"}, "ramGb 16"),
        ({"OPENRELAY_RAM_GB": "lots"}, "lots is not a whole number"),
        ({"OPENRELAY_DISK_FREE_GB": "19"}, "a node needs 20"),
        ({"OPENRELAY_GPUS": "8086:56a0"}, "8086:56a0"),
        ({"OPENRELAY_GPUS": '10de:2684"'}, "not a PCI id"),
        ({"OPENRELAY_HOSTNAME": "mtl-3090-1"}, "another provider"),
    ],
)
def test_it_says_what_is_wrong_and_shows_no_secret(
    cloud: Cloud, globex: Party, served: str, given: dict[str, str], words: str
) -> None:
    script = fetch(globex, host=served)
    nodes = len(cloud.rows(Node))
    done = sh(script, **{**MACHINE, "OPENRELAY_GPUS": "", **given})
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert assigned(script, "token") not in done.stderr
    assert len(cloud.rows(Node)) == nodes


@needs_curl
def test_little_disk_is_a_warning(globex: Party, served: str) -> None:
    done = sh(fetch(globex, host=served), **MACHINE, OPENRELAY_GPUS="", OPENRELAY_DISK_FREE_GB="20")
    assert (done.returncode, "50 are better" in done.stderr) == (0, True)


@needs_curl
def test_without_a_way_to_look_for_gpus_passthrough_waits(tmp_path: Path, globex: Party, served: str) -> None:
    """`none` is what a machine says whose GPUs are not detected."""
    for tool in ("cat", "cksum", "curl", "getconf", "sed", "tr", "uname"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    done = sh(fetch(globex, "?gpu=1", host=served), **MACHINE, PATH=str(tmp_path))
    assert (done.returncode, "reboot it" in done.stderr) == (1, True), done
    done = sh(fetch(globex, host=served), **MACHINE, PATH=str(tmp_path))
    assert done.returncode == 0, done
