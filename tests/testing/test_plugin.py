"""The pytest plugin: what it costs unused, what it is told, and what it tells of a failure."""

from __future__ import annotations

from typing import Any

import pytest

Pytester = pytest.Pytester
OURS = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest")


def run(pytester: Pytester, body: str, *options: str, ini: str = "", conftest: str = "") -> pytest.RunResult:
    """A run of a suite; with workers, in a process of its own."""
    pytester.makeini(f"[pytest]\nasyncio_default_fixture_loop_scope = function\n{ini}")
    if conftest:
        pytester.makeconftest(conftest)
    pytester.makepyfile(body)
    start = pytester.runpytest_subprocess if "-n" in options else pytester.runpytest_inprocess
    return start(*OURS, *options)


# -- unused ------------------------------------------------------------------------------------------------


def test_a_suite_that_does_not_use_it_imports_none_of_it(pytester: Pytester) -> None:
    body = """
        import sys
        def test_nothing():
            heavy = {"flask", "waitress", "openapi_core", "jsonschema_rs", "msgspec", "freezegun", "yaml"}
            assert not heavy & set(sys.modules)
            ours = {name for name in sys.modules if name.startswith("simulator.")}
            light = {"kernel", "kernel.release", "testing", "testing.plugin"}
            assert ours == {f"simulator.{name}" for name in light}
    """
    options = ("-p", "no:anyio", "-p", "no:asyncio")
    pytester.makepyfile(body)
    pytester.runpytest_subprocess(*OURS, *options).assert_outcomes(passed=1)


# -- what a world begins from ------------------------------------------------------------------------------

ASK = """
    import pytest
    def opening(openrelay):
        found = openrelay.opening
        title = found.scenario.get("title")
        return (found.fixture, title, found.seed, openrelay.simulator.clock.mode, found.settings)
"""


def test_the_marker_says_what_a_world_begins_from(pytester: Pytester) -> None:
    body = (
        ASK
        + """
    @pytest.mark.openrelay(scenario="node-lost", seed=7, clock="stepped", settings={"vms.queue": True})
    def test_one(openrelay):
        assert opening(openrelay)[1:] == ("Node lost while training", 7, "stepped", {"vms.queue": True})
    @pytest.mark.openrelay(world="empty")
    def test_other(openrelay):
        assert opening(openrelay) == ("empty", None, 0, "manual", {})
    """
    )
    run(pytester, body).assert_outcomes(passed=2)


def test_markers_of_a_class_hold_unless_the_test_says_otherwise(pytester: Pytester) -> None:
    body = (
        ASK
        + """
    @pytest.mark.openrelay(world="empty", seed=3)
    class TestIt:
        def test_one(self, openrelay):
            assert opening(openrelay)[0::2][:2] == ("empty", 3)
        @pytest.mark.openrelay(seed=4)
        def test_other(self, openrelay):
            assert opening(openrelay)[0::2][:2] == ("empty", 4)
    """
    )
    run(pytester, body).assert_outcomes(passed=2)


def test_ini_options_and_the_settings_fixture(pytester: Pytester) -> None:
    ini = "openrelay_world = empty\nopenrelay_clock = stepped\n"
    ini += "openrelay_settings =\n  vms.queue=true\n  profile=2026-07\n"
    conftest = """
        import pytest
        @pytest.fixture
        def openrelay_settings():
            return {"profile": "2026-10"}
    """
    body = (
        ASK
        + """
    @pytest.mark.openrelay(settings={"limits.per_minute": 5})
    def test_one(openrelay):
        settings = {"vms.queue": "true", "profile": "2026-10", "limits.per_minute": 5}
        assert opening(openrelay) == ("empty", None, 0, "stepped", settings)
    """
    )
    run(pytester, body, ini=ini, conftest=conftest).assert_outcomes(passed=1)


def test_the_command_line_seed_is_that_of_every_world(pytester: Pytester) -> None:
    body = (
        ASK
        + """
    @pytest.mark.openrelay(seed=3)
    def test_one(openrelay):
        assert opening(openrelay)[2] == 11
    """
    )
    run(pytester, body, "--openrelay-seed=11").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("'node-lost'", "openrelay takes names only, such as scenario='node-lost'"),
        ("scenarios='x'", "openrelay has no scenarios=; it takes scenario, world, seed, clock, settings"),
        ("scenario='node-lots'", "no scenario 'node-lots'; did you mean 'node-lost'?"),
        ("scenario='./night.yaml'", "night.yaml: No such file or directory"),
        ("world='emtpy'", "no fixture 'emtpy'; did you mean 'empty'?"),
        ("world='empty', scenario='node-lost'", "a scenario names its world itself"),
        ("clock='slow'", "clock mode 'slow'"),
        ("clock={'speed': 3}", "clock: unknown speed; known are mode, rate, step_s"),
        ("settings={'vms.queu': 1}", "unknown setting 'vms.queu'; did you mean 'vms.queue'?"),
        ("scenario={'scenario': 1}", "title"),
    ],
)
def test_a_mistake_is_one_line_without_a_traceback(pytester: Pytester, given: str, told: str) -> None:
    body = f"import pytest\n@pytest.mark.openrelay({given})\ndef test_one(openrelay): pass\n"
    result = run(pytester, body)
    result.assert_outcomes(errors=1)
    output = result.stdout.str()
    assert told in output
    assert "Traceback" not in output
    assert "plugin.py" not in output


def test_the_marker_on_a_test_without_a_cloud_does_nothing(pytester: Pytester) -> None:
    body = "import pytest\n@pytest.mark.openrelay(scenario='no-such')\ndef test_one(): pass\n"
    run(pytester, body, "--strict-markers").assert_outcomes(passed=1)


# -- worlds ------------------------------------------------------------------------------------------------


def test_the_environment_is_set_and_put_back(pytester: Pytester) -> None:
    body = """
        import os
        import urllib.request
        def test_one(openrelay_env):
            assert os.environ["OPENRELAY_API_KEY"] == openrelay_env.api_key
            assert os.environ["ORG_ID"] == openrelay_env.org_id
            assert urllib.request.urlopen(os.environ["OPENRELAY_BASE_URL"] + "/_sim/health").status == 200
        def test_two():
            assert "OPENRELAY_API_KEY" not in os.environ
    """
    run(pytester, body).assert_outcomes(passed=2)


def test_every_test_has_a_world_of_its_own_with_the_same_bytes_each_time(pytester: Pytester) -> None:
    body = """
        def note(name, text):
            with open(name, "a") as file:
                print(text, file=file)
        def made(openrelay):
            create = f"/v1/orgs/{openrelay.org_id}/vms/create"
            vm = openrelay.ask("POST", create, {"name": "t", "gpuModelId": "rtx-3090"})
            openrelay.advance(120)
            return f"{openrelay.api_key} {vm}"
        def test_one(openrelay):
            note("one", made(openrelay))
            assert len(openrelay.ask("GET", f"/v1/orgs/{openrelay.org_id}/vms")["items"]) == 1
        def test_two(openrelay):
            assert openrelay.ask("GET", f"/v1/orgs/{openrelay.org_id}/vms")["items"] == []
            note("two", made(openrelay))
    """
    for _ in range(2):
        run(pytester, body).assert_outcomes(passed=2)
    one, two = ((pytester.path / name).read_text().splitlines() for name in ("one", "two"))
    assert one[0] == one[1]
    assert two[0] == two[1]
    assert one[0].split()[0] != two[0].split()[0]


def test_a_wider_scope_is_a_fixture_of_ones_own(pytester: Pytester) -> None:
    conftest = """
        import pytest
        @pytest.fixture(scope="session")
        def shared(openrelay_server):
            with openrelay_server.open("shared", world="empty") as cloud:
                yield cloud
        @pytest.fixture(scope="class")
        def classy(openrelay_server):
            with openrelay_server.open("classy") as cloud:
                yield cloud
    """
    body = """
        class TestIt:
            def test_one(self, shared, classy):
                shared.advance(60)
                classy.advance(60)
            def test_two(self, shared, classy):
                assert shared.simulator.now_ms - shared.simulator.genesis.now_ms == 60000
                assert classy.simulator.now_ms - classy.simulator.genesis.now_ms == 60000
        def test_three(shared, openrelay):
            assert shared.simulator.now_ms - shared.simulator.genesis.now_ms == 60000
            assert shared.api_key != openrelay.api_key
    """
    run(pytester, body, conftest=conftest).assert_outcomes(passed=3)


def test_asynchronous_tests_use_it_like_others(pytester: Pytester) -> None:
    body = """
        import asyncio
        async def test_one(openrelay):
            async with openrelay.client("httpx-async") as client:
                assert (await client.get("/v1/whoami")).status_code == 200
            await asyncio.to_thread(openrelay.advance, 60)
    """
    run(pytester, body, ini="asyncio_mode = auto\n").assert_outcomes(passed=1)


def test_workers_give_the_same_results(pytester: Pytester) -> None:
    body = """
        import pytest
        @pytest.mark.parametrize("number", range(6))
        def test_one(openrelay, number):
            openrelay.client().get("/v1/whoami")
            openrelay.assert_called("whoami", times=1)
            assert number != 5
    """
    for options in ((), ("-n", "2")):
        run(pytester, body, *options).assert_outcomes(passed=5, failed=1)


# -- failures ----------------------------------------------------------------------------------------------

FAILS = """
    import pytest
    @pytest.mark.openrelay(scenario="answers-lost", seed=5)
    def test_trainer(openrelay):
        client, create = openrelay.client(), f"/v1/orgs/{openrelay.org_id}/vms/create"
        for _ in range(2):
            try:
                client.post(create, json={"name": "trainer", "gpuModelId": "rtx-3090"})
            except Exception:
                pass
        openrelay.advance(minutes=5)
        openrelay.assert_no_leaks()
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_a_failed_test_tells_what_happened_in_the_cloud(pytester: Pytester, options: Any) -> None:
    result = run(pytester, FAILS, *options)
    result.assert_outcomes(failed=1)
    output = result.stdout.str()
    assert "- OpenRelay -" in output
    for told in (
        "scenario 'The answer to a create is lost', seed 5, clock manual",
        "::test_trainer' --openrelay-seed=5",
        "5m 00s of virtual time",
        "left behind: vm 'trainer' is running and costs $0.18 an hour",
        "createVm was carried out and its answer lost, by fault answer-lost",
        "does not hold: {'leaks': 0}",
    ):
        assert told in output, told
    assert "vl_" not in output.split("- OpenRelay -")[1]


def test_the_line_that_repeats_a_test_names_the_scenario_of_the_command_line(pytester: Pytester) -> None:
    body = "def test_one(openrelay): openrelay.assert_called('createVm')\n"
    result = run(pytester, body, "--openrelay-scenario=answers-lost")
    result.assert_outcomes(failed=1)
    output = result.stdout.str()
    assert "::test_one' --openrelay-seed=0 --openrelay-scenario=answers-lost" in output
    assert "createVm: at least 1 wanted, 0 found" in output
    assert "simulator/testing/cloud.py" not in output, "what asserts is not shown line by line"


def test_a_test_that_passes_tells_nothing(pytester: Pytester) -> None:
    result = run(pytester, "def test_one(openrelay): openrelay.advance(1)\n", "-rA")
    result.assert_outcomes(passed=1)
    assert "- OpenRelay -" not in result.stdout.str()


def test_what_an_application_raised_is_told(pytester: Pytester) -> None:
    body = """
        def test_one(openrelay):
            def app(environ, start):
                raise RuntimeError("the database is away")
            openrelay.webhooks.subscribe(url=openrelay.webhooks.deliver_to(app))
            openrelay.webhooks.send("vm.running")
            assert False
    """
    output = run(pytester, body).stdout.str()
    assert "RuntimeError: the database is away" in output.split("- OpenRelay -")[1]
