"""Tests that are run again: crash points, and mixes of faults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def short_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a machine says that it is CI, pytest prints the whole text of a failure a second time."""
    for variable in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(variable, raising=False)


OURS = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest")
CLIENTS = """
    import httpx
    import pytest
    TRANSPORT = (httpx.TransportError,)
    def vms(openrelay, client):
        while True:
            try:
                answer = client.get(f"/v1/orgs/{openrelay.org_id}/vms?activeOnly=true")
                if answer.status_code == 200:
                    return answer.json()["items"]
            except (*TRANSPORT, ValueError):
                pass
            openrelay.advance(15)
    def create(openrelay, careful):
        client = openrelay.client()
        for _ in range(20):
            there = vms(openrelay, client) if careful else []
            if there:
                return there[0]["id"]
            try:
                body = {"name": "t", "gpuModelId": "rtx-3090"}
                answer = client.post(f"/v1/orgs/{openrelay.org_id}/vms/create", json=body)
                if answer.status_code == 200:
                    return answer.json()["id"]
            except TRANSPORT:
                pass
            openrelay.advance(15)
    def end(openrelay, vm):
        client = openrelay.client()
        for _ in range(20):
            try:
                if client.post(f"/v1/vms/{vm}/terminate").status_code == 200:
                    return
            except TRANSPORT:
                pass
            openrelay.advance(15)
    def live(openrelay, careful):
        vm = create(openrelay, careful)
        openrelay.advance(200)
        end(openrelay, vm)
        openrelay.assert_no_leaks()
"""
CAREFUL = (
    CLIENTS
    + """
    def test_careful(openrelay):
        live(openrelay, True)
"""
)
CARELESS = (
    CLIENTS
    + """
    def test_careless(openrelay):
        live(openrelay, False)
"""
)


def run(pytester: pytest.Pytester, body: str, *options: str) -> pytest.RunResult:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(body)
    start = pytester.runpytest_subprocess if "-n" in options else pytester.runpytest_inprocess
    return start(*OURS, *options)


# -- crash points ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_a_careless_client_is_caught_at_the_call_whose_answer_was_lost(
    pytester: pytest.Pytester, options: tuple[str, ...]
) -> None:
    result = run(pytester, CARELESS, "--openrelay-crash-points", *options)
    result.assert_outcomes(failed=1)
    output = result.stdout.str()
    assert "1 of 2 crash points" in output
    assert "crash point 1: the answer to createVm was lost; it was carried out" in output
    assert "test_careless' --openrelay-crash-points=1" in output
    assert "vm 't' is running and costs $0.18 an hour" in output


def test_a_careful_client_lives_through_all_of_them(pytester: pytest.Pytester) -> None:
    run(pytester, CAREFUL, "--openrelay-crash-points=all").assert_outcomes(passed=1)


def test_one_crash_point_is_repeated_by_its_number(pytester: pytest.Pytester) -> None:
    assert run(pytester, CARELESS, "--openrelay-crash-points=2").parseoutcomes() == {"passed": 1}
    assert "1 of 1 crash points" in run(pytester, CARELESS, "--openrelay-crash-points=1").stdout.str()


def test_fixtures_and_parameters_are_those_of_the_test(pytester: pytest.Pytester) -> None:
    body = """
        import pytest
        RUNS = []
        @pytest.fixture
        def setting(openrelay):
            openrelay.ask("POST", f"/v1/orgs/{openrelay.org_id}/ssh-keys", {}) if False else None
            return openrelay
        @pytest.mark.parametrize("number", [1, 2])
        def test_one(setting, number):
            RUNS.append(number)
            client = setting.client()
            for _ in range(number):
                try:
                    client.post("/v1/onboarding/bootstrap")
                except Exception:
                    pass
        def test_runs():
            assert RUNS == [1, 1, 2, 2, 2]
    """
    run(pytester, body, "--openrelay-crash-points").assert_outcomes(passed=3)


def test_a_test_that_fails_anyway_or_has_no_cloud_is_run_once(pytester: pytest.Pytester) -> None:
    body = """
        RUNS = []
        def test_fails(openrelay):
            RUNS.append(1)
            openrelay.client().post("/v1/onboarding/bootstrap")
            assert False
        def test_plain():
            assert len(RUNS) == 1
    """
    run(pytester, body, "--openrelay-crash-points").assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--openrelay-crash-points=reads",), "take writes, all, or the number of a call"),
        (("--openrelay-seeds=0",), "take 1 or more"),
        (("--openrelay-seeds=3", "--openrelay-crash-points"), "one at a time"),
    ],
)
def test_what_cannot_be_asked_for(pytester: pytest.Pytester, options: tuple[str, ...], told: str) -> None:
    result = run(pytester, CAREFUL, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert told in result.stderr.str()


# -- mixes of faults ---------------------------------------------------------------------------------------


def test_a_careful_client_lives_through_mixes_of_faults(pytester: pytest.Pytester) -> None:
    run(pytester, CAREFUL, "--openrelay-seeds=15").assert_outcomes(passed=1)


def test_the_least_mix_that_fails_is_saved_and_fails_again(pytester: pytest.Pytester) -> None:
    result = run(pytester, CARELESS, "--openrelay-seeds=30")
    result.assert_outcomes(failed=1)
    output = result.stdout.str()
    assert "the least of 30 mixes of seed 0" in output
    assert output.count("'on': ") == 1
    found = re.search(r"--openrelay-scenario=(\S+\.yaml)", output)
    assert found
    file = Path(found[1])
    assert "lose_answer: true" in file.read_text()
    again = run(pytester, CARELESS, f"--openrelay-scenario={file}")
    again.assert_outcomes(failed=1)
    assert "vm 't' is running and costs $0.18 an hour" in again.stdout.str()
    assert run(pytester, CAREFUL, f"--openrelay-scenario={file}").parseoutcomes() == {"passed": 1}


def test_the_same_seed_finds_the_same(pytester: pytest.Pytester) -> None:
    first, second = (
        re.findall(
            r"'do': .*", run(pytester, CARELESS, "--openrelay-seeds=30", "--openrelay-seed=4").stdout.str()
        )
        for _ in range(2)
    )
    assert first == second != []
