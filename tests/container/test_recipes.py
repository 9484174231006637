"""The recipes for CI: run where that can be done here, and held against their schemas where not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from simulator.adapters.cli import serving
from tests.support.container import ROOT
from tests.support.docker import docker
from tests.support.serving import Serve

GUIDE = (ROOT / "docs" / "ci.md").read_text("utf-8")
SNIPPETS = {
    section.partition("\n")[0]: section.partition("```yaml\n")[2].partition("```")[0]
    for section in GUIDE.split("\n## ")
}
"""The YAML of each section, by its title."""
SCHEMAS = {
    "GitHub Actions: a step": "vendor.github-workflows",
    "GitHub Actions: a service container": "vendor.github-workflows",
    "GitLab CI": "vendor.gitlab-ci",
}
CHECK = (sys.executable, "-m", "check_jsonschema", "--builtin-schema")
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))


def done(*command: object, **more: Any) -> str:
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=300, **more
    )
    assert result.returncode == 0, result
    return result.stdout


@pytest.mark.parametrize("title", SCHEMAS)
def test_pipelines_have_the_form_of_their_service(title: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yml"
    file.write_text(SNIPPETS[title], "utf-8")
    done(*CHECK, SCHEMAS[title], file)


def test_credentials_and_variables_in_the_guide_are_those_there_are(serve: Serve) -> None:
    exports = serve().exports
    assert set(re.findall(r"API_KEY: (\S+)", GUIDE)) == {exports["OPENRELAY_API_KEY"]}
    assert set(re.findall(r"ORG_ID: (\S+)", GUIDE)) == {exports["ORG_ID"]}
    known = {str(option.envvar) for option in serving.serve.params if option.envvar}
    assert set(re.findall(r"\bOPENRELAY_SIM_[A-Z_]+\b", GUIDE)) <= known


# -- the action --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the steps of the action leave in the environment of those that follow."""
    temp = tmp_path_factory.mktemp("runner")
    (temp / "env").touch()
    inputs = {"version": "", "port": "18080", "options": "--scenario node-lost --clock manual"}
    runner = {"RUNNER_TEMP": temp, "GITHUB_ENV": temp / "env", "GITHUB_ACTION_PATH": ROOT}
    try:
        for step in ACTION["runs"]["steps"]:
            given = {name: _filled(text, inputs) for name, text in step["env"].items()}
            environment = {**os.environ, **{name: str(value) for name, value in runner.items()}, **given}
            done("bash", "-e", "-o", "pipefail", "-c", step["run"], env=environment, cwd=temp)
        lines = (temp / "env").read_text().splitlines()
        yield dict(line.split("=", 1) for line in lines)
    finally:
        subprocess.run(["pkill", "-f", f"{temp}/openrelay-simulator/bin"], check=False)


def _filled(text: str, inputs: dict[str, str]) -> str:
    return re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: inputs[found[1]], text)


def test_the_action_has_the_form_of_one() -> None:
    done(*CHECK, "vendor.github-actions", ROOT / "action.yml")


def test_the_action_installs_starts_and_tells_the_steps_that_follow(steps: dict[str, str]) -> None:
    assert steps["OPENRELAY_BASE_URL"] == "http://127.0.0.1:18080"
    key = {"Authorization": f"Bearer {steps['OPENRELAY_API_KEY']}"}
    with urlopen(
        Request(f"{steps['OPENRELAY_BASE_URL']}/v1/orgs/{steps['ORG_ID']}/vms", headers=key)
    ) as answer:
        assert answer.status == 200
    with urlopen(f"{steps['OPENRELAY_BASE_URL']}/_sim/scenarios/current") as answer:
        assert b"Node lost" in answer.read()


# -- the others --------------------------------------------------------------------------------------------


def test_the_hook_finds_what_is_wrong_with_a_scenario(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    done(
        sys.executable, "-m", "pre_commit", "validate-manifest", ROOT / ".pre-commit-hooks.yaml", cwd=tmp_path
    )
    assert f"id: {hook['id']}" in SNIPPETS["pre-commit"]
    assert re.search(hook["files"], "tests/scenarios/night.yaml")
    wrong = tmp_path / "night.yaml"
    wrong.write_text("scenario: 1\ntitle: Night\nfalts: []\n", "utf-8")
    program, *words = hook["entry"].split()
    command = [Path(sys.executable).parent / program, *words, wrong]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "night.yaml:3:" in found.stderr


@pytest.mark.parametrize("name", ["simulator.yaml", "ingress-nginx.yaml"])
def test_kubernetes_knows_every_word_of_the_manifests(name: str) -> None:
    told = done(
        sys.executable,
        "-m",
        "kubernetes_validate",
        "--strict",
        ROOT / "deploy/kubernetes" / name,
    )
    assert "WARN" not in told


def test_what_refers_to_another_manifest_is_there() -> None:
    documents = [
        document
        for name in ("simulator.yaml", "ingress-nginx.yaml")
        for document in yaml.safe_load_all((ROOT / "deploy/kubernetes" / name).read_text("utf-8"))
    ]
    services = {one["metadata"]["name"] for one in documents if one["kind"] == "Service"}
    (ingress,) = (one for one in documents if one["kind"] == "Ingress")
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] in services
    envoy = (ROOT / "deploy/kubernetes/envoy.yaml").read_text("utf-8")
    assert re.findall(r"address: (openrelay-[\w-]+)", envoy)[0] in services


def test_the_class_for_testcontainers_starts_what_its_options_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    from simulator.testcontainers import OpenRelayContainer

    with docker() as daemon:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{daemon.server_port}")
        with OpenRelayContainer("simulator:1", scenario="node-lost", clock="manual", seed=7) as openrelay:
            assert daemon.wanted["Image"] == "simulator:1"
            assert set(daemon.wanted["ExposedPorts"]) == {"8080/tcp"}
            key = {"Authorization": f"Bearer {openrelay.api_key}"}
            vms = f"{openrelay.base_url}/v1/orgs/{openrelay.org_id}/vms"
            with urlopen(Request(vms, headers=key)) as answer:
                assert json.loads(answer.read())["items"] == []
            assert openrelay.advance(60)["events"] >= 0
            with urlopen(f"{openrelay.base_url}/_sim") as answer:
                assert json.loads(answer.read())["world"]["seed"] == 7
        assert daemon.serving is None
