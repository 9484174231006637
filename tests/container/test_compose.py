"""compose.yaml: its services do together what they are for, here as processes; its form is Compose's."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

import yaml

from tests.support.command import PATIENCE_S, environment
from tests.support.container import ROOT
from tests.support.serving import Serve

CHECK = (sys.executable, "-m", "check_jsonschema", "--builtin-schema")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def command_of(service: str) -> list[str]:
    """Its command as a process here: its folder is mounted from ours."""
    (mount,) = SERVICES[service]["volumes"]
    source, place, _ = mount.split(":")
    assert SERVICES[service]["working_dir"] == place
    _, script = SERVICES[service]["command"].split()
    return [sys.executable, str(ROOT / source / script)]


def test_the_application_learns_from_webhooks_what_becomes_of_its_vm(serve: Serve) -> None:
    variables = SERVICES["simulator"]["environment"]
    simulator = serve(
        **{name.removeprefix("OPENRELAY_SIM_").lower(): value for name, value in variables.items()}
    )
    port = free_port()
    with subprocess.Popen([*command_of("receiver"), str(port)], stderr=subprocess.DEVNULL) as receiver:
        try:
            places = {"OPENRELAY_BASE_URL": simulator.url, "RECEIVER": f"http://localhost:{port}"}
            done = subprocess.run(
                command_of("application"),
                env=environment() | SERVICES["application"]["environment"] | places,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        finally:
            receiver.kill()
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["vm.running", "vm.terminated"]


def test_the_credentials_are_those_of_the_default_world(serve: Serve) -> None:
    told = SERVICES["application"]["environment"]
    exports = serve().exports
    assert {name: told[name] for name in ("OPENRELAY_API_KEY", "ORG_ID")}.items() <= exports.items()


def test_compose_knows_every_word_of_it() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.compose-spec",
            ROOT / "compose.yaml",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_application_starts_when_the_simulator_is_healthy() -> None:
    assert SERVICES["application"]["depends_on"]["simulator"] == {"condition": "service_healthy"}
