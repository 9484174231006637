"""`--openrelay-coverage` in a session of pytest."""

from __future__ import annotations

import json
from typing import Any

import pytest

OURS = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest")
BODY = """
    def create(openrelay):
        path = f"/v1/orgs/{openrelay.org_id}/vms/create"
        return openrelay.ask("POST", path, {"name": "t", "gpuModelId": "rtx-3090"})["id"]
    def test_runs(openrelay):
        openrelay.run_until(create(openrelay), "running")
    def test_is_terminated(openrelay):
        vm = create(openrelay)
        openrelay.ask("POST", f"/v1/vms/{vm}/terminate")
"""


def run(pytester: pytest.Pytester, *options: str, body: str = BODY) -> pytest.RunResult:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(body)
    start = pytester.runpytest_subprocess if "-n" in options else pytester.runpytest_inprocess
    return start(*OURS, *options)


def groups(pytester: pytest.Pytester) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((pytester.path / "met.json").read_text())["groups"]
    return found


def test_the_summary_tells_what_was_met(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--openrelay-coverage")
    result.assert_outcomes(passed=2)
    output = result.stdout.str()
    assert "OpenRelay coverage" in output
    assert "operations      2 of 112 " in output
    assert "% of all behaviours" in output


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_worlds_and_workers_are_taken_together(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    run(pytester, "--openrelay-coverage=met.json", *options).assert_outcomes(passed=2)
    found = groups(pytester)
    assert found["operations"]["met"] == ["createVm", "terminateVm"]
    assert found["events"]["met"] == ["vm.running", "vm.terminated"]
    assert "vm: deploying → terminated by terminate" in found["transitions"]["met"]


def test_workers_together_meet_what_one_process_does(pytester: pytest.Pytester) -> None:
    run(pytester, "--openrelay-coverage=alone.json").assert_outcomes(passed=2)
    run(pytester, "--openrelay-coverage=met.json", "-n", "2").assert_outcomes(passed=2)
    assert (pytester.path / "met.json").read_bytes() == (pytester.path / "alone.json").read_bytes()


FARTHER = """
    def get(cloud, path):
        cloud.ask("GET", path.format(org=cloud.org_id))
    def test_goes_back(openrelay):
        openrelay.checkpoint()
        get(openrelay, "/v1/orgs/{org}/ssh-keys")
        openrelay.restore()
    def test_begins_anew(openrelay):
        get(openrelay, "/v1/orgs/{org}/webhooks")
        openrelay.scenario("node-lost")
    def test_forks(openrelay):
        get(openrelay.fork(), "/v1/orgs/{org}/vms")
    def test_opens_a_world_and_leaves_it(openrelay, openrelay_server):
        from simulator.testing import OpenRelay
        from simulator.worlds import Opening
        beside = openrelay_server.worlds.open("beside", Opening())
        get(OpenRelay(openrelay_server, beside), "/v1/whoami")
"""


def test_what_a_world_met_before_it_went_back_counts(pytester: pytest.Pytester) -> None:
    run(pytester, "--openrelay-coverage=met.json", body=FARTHER).assert_outcomes(passed=4)
    met = groups(pytester)["operations"]["met"]
    assert sorted(met) == ["listOrgSshKeys", "listOrgVms", "listOrgWebhooks", "whoami"]


@pytest.mark.parametrize(("least", "code"), [("0.1", 0), ("90", 1)])
def test_a_session_fails_under_a_percentage(pytester: pytest.Pytester, least: str, code: int) -> None:
    result = run(pytester, f"--openrelay-coverage-fail-under={least}")
    assert result.ret == code
    assert ("% of the behaviours met, 90 % wanted" in result.stdout.str()) is (code == 1)


def test_as_a_page(pytester: pytest.Pytester) -> None:
    run(pytester, "--openrelay-coverage=met.html")
    page = (pytester.path / "met.html").read_text()
    assert "<li class=yes>createVm</li>" in page
    assert "<li class=no>createCluster</li>" in page
    assert "<script" not in page


def test_a_test_is_not_taken_for_the_file(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--openrelay-coverage", "test_a_test_is_not_taken_for_the_file.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "before a path write --openrelay-coverage=" in result.stderr.str()


def test_without_the_option_nothing_is_collected(pytester: pytest.Pytester) -> None:
    assert "OpenRelay coverage" not in run(pytester).stdout.str()
