"""The scenario file: what it says is done, and what it cannot say is refused with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator import assets
from simulator.adapters.check import check_file
from simulator.domain.metering import Account
from simulator.domain.timeline import Cue
from simulator.insight.verdict import verdict
from simulator.scenario.document import ScenarioError
from simulator.scenario.timeline import MOST_ENTRIES
from simulator.worlds import DEFAULT, Opening
from tests.support.cloud import Cloud

WANTED = {"gpuModelId": "rtx-3090"}


def begin(cloud: Cloud, **sections: Any) -> None:
    """Let the cloud begin as a scenario says."""
    document = {"scenario": 1, "title": "A day", **sections}
    cloud.worlds.reset(DEFAULT, Opening.of_scenario(document))
    cloud.visit(DEFAULT)


def holds(cloud: Cloud) -> list[bool]:
    return [finding.holds for finding in verdict(cloud.world, cloud.simulator.genesis)]


def found(cloud: Cloud) -> list[str]:
    return [finding.found for finding in verdict(cloud.world, cloud.simulator.genesis)]


# -- how it begins -----------------------------------------------------------------------------------------


def test_a_scenario_brings_world_seed_settings_and_overrides(cloud):
    sections = {
        "world": "empty",
        "seed": 5,
        "settings": {"billing.floor_cents": 7},
        "world_overrides": {"start": "2027-01-01T00:00:00Z", "settings": {"billing.low_cents": 9}},
    }
    begin(cloud, **sections)
    world = cloud.world
    assert (
        world.streams.seed,
        world.settings["billing.floor_cents"],
        world.settings["billing.low_cents"],
    ) == (5, 7, 9)
    assert cloud.worlds.opening(DEFAULT).fixture == "empty"


def test_overrides_add_to_sections_like_a_file_that_extends(cloud):
    node: dict[str, Any] = {
        "hostname": "more",
        "location": "us-east",
        "gpu_model": "rtx-4090",
        "units": [1, 1],
    }
    node |= {"vcpu": 64, "ram_gb": 256, "disk_gb": 2000}
    begin(cloud, world_overrides={"nodes+": [node]})
    assert [cloud.launch(f"t-{n}")["status"] for n in range(3)] == ["deploying"] * 3


def test_a_reset_takes_the_scenario_back_to_its_beginning(cloud):
    begin(
        cloud, faults=[{"id": "no", "on": "request", "operation": "getMe", "times": 1, "do": {"respond": {}}}]
    )
    assert [cloud.get("/v1/me").status for _ in range(2)] == [500, 200]
    cloud.worlds.reset(DEFAULT)
    assert [cloud.get("/v1/me").status for _ in range(2)] == [500, 200]


# -- the timeline ------------------------------------------------------------------------------------------


def offline(target: dict[str, Any], **when: Any) -> dict[str, Any]:
    return {**when, "do": {"node.offline": target}}


def done(cloud: Cloud) -> list[int]:
    return [cue.done for cue in cloud.world.select(Cue, "all", "all")]


def test_an_entry_has_its_moment(cloud):
    begin(cloud, timeline=[offline({"select": "first"}, at="1m30s"), offline({"select": "first"}, at=30)])
    cloud.advance(29.999)
    assert done(cloud) == [0, 0]
    cloud.advance(0.001)
    assert done(cloud) == [0, 1]
    cloud.advance(60)
    assert done(cloud) == [1, 1]


def test_an_entry_waits_for_an_event_and_then_a_span(cloud):
    begin(cloud, timeline=[offline({"node_of": "b"}, when={"event": "vm.running", "name": "b"}, after="10s")])
    cloud.run_vm("a", **WANTED)
    cloud.advance(20)
    assert done(cloud) == [0]
    vm = cloud.run_vm("b", **WANTED)
    cloud.advance(9.9)
    assert done(cloud) == [0]
    cloud.advance(0.1)
    assert (done(cloud), cloud.vm(vm["id"])["status"]) == ([1], "interrupted")


def test_an_entry_waits_for_a_call_with_its_values_and_its_status(cloud):
    when = {"call": "createVm", "where": {"status": "4*", "name": "x*"}}
    begin(cloud, timeline=[offline({"select": "first"}, when=when)])
    cloud.launch("x1", **WANTED)
    cloud.advance(0)
    assert done(cloud) == [0]
    cloud.post("/v1/orgs/{org}/vms/create", {"name": "x2", "gpuModelId": "no-such"})
    cloud.advance(0)
    assert done(cloud) == [1]


def test_nth_passes_some_by_and_times_takes_several(cloud):
    when = {"call": "getMe", "nth": 3, "times": 2}
    begin(cloud, timeline=[{"when": when, "do": {"balance.credit": {"name": "acme", "cents": 1}}}])
    counts = []
    for _ in range(6):
        cloud.get("/v1/me")
        cloud.advance(0)
        counts += done(cloud)
    assert counts == [0, 0, 1, 2, 2, 2]


def test_an_action_that_cannot_be_done_is_told_and_the_story_goes_on(cloud):
    begin(cloud, timeline=[offline({"name": "nobody"}, at=1), offline({"select": "first"}, at=2)])
    cloud.advance(5)
    assert done(cloud) == [0, 1]
    assert (holds(cloud), found(cloud)[0].partition(";")[0]) == ([False], "node.offline: no Node 'nobody'")


def test_triggers_that_set_each_other_off_end_with_their_times(cloud):
    """No cycle of triggers runs for ever: each has so many times."""
    back = {"when": {"event": "vm.interrupted", "times": 3}, "do": {"node.online": {"node_of": "a"}}}
    begin(cloud, timeline=[offline({"node_of": "a"}, when={"event": "vm.running", "times": 3}), back])
    cloud.run_vm("a", **WANTED)
    cloud.simulator.advance_until("idle")
    assert done(cloud) == [3, 3]


def test_a_fork_lives_through_its_own_timeline(cloud):
    begin(cloud, timeline=[offline({"select": "first"}, at=10)])
    cloud.worlds.fork(DEFAULT, "twin")
    cloud.advance(20)
    cloud.visit("twin")
    assert done(cloud) == [0]
    cloud.advance(20)
    assert done(cloud) == [1]


def test_until_idle_lives_through_the_whole_timeline(cloud):
    begin(cloud, timeline=[offline({"select": "first"}, at="3d")])
    cloud.simulator.advance_until("idle")
    assert done(cloud) == [1]


# -- expectations ------------------------------------------------------------------------------------------


def expect(cloud: Cloud, *expectations: dict[str, Any]) -> None:
    begin(cloud, expect=list(expectations))


def test_resources_are_counted_by_name_and_status(cloud):
    expect(
        cloud,
        {"resource": "vm", "name": "train-*", "status": "running", "count": 2},
        {"resource": "vm", "status": ["stopped", "failed"], "max": 0},
        {"resource": "vm"},
        {"resource": "cluster"},
    )
    assert holds(cloud) == [False, True, False, False]
    for name in ("train-1", "train-2", "serve"):
        cloud.launch(name, gpuModelId=None, resourceSize="small")
    cloud.advance(60)
    assert holds(cloud) == [True, True, True, False]
    vm = cloud.get("/v1/orgs/{org}/vms").body["items"][-1]
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    assert found(cloud)[0] == "1 vm; 'train-1' is stopped"


def test_calls_are_counted_by_operation_and_status(cloud):
    expect(
        cloud,
        {"calls": "get*", "max": 2},
        {"calls": ["getMe", "getVm"], "status": "4xx", "min": 1},
        {"calls": "createVm", "count": 0},
        {"calls": "getMe", "status": 200, "count": 2},
    )
    cloud.get("/v1/me"), cloud.get("/v1/me")
    assert (holds(cloud), found(cloud)[0]) == ([True, False, True, True], "2 calls")
    cloud.get("/v1/vms/none")
    assert holds(cloud) == [False, True, True, True]


def test_calls_are_counted_exactly_although_the_journal_is_a_ring(cloud):
    expect(cloud, {"calls": "whoami", "count": 10_050}, {"event": "vm.running"})
    for _ in range(10_050):
        cloud.get("/v1/whoami")
    assert holds(cloud) == [True, False]
    assert "nobody can tell" in found(cloud)[1]


def test_events_and_deliveries_are_counted_by_type_and_name(cloud):
    expect(cloud, {"event": "vm.*", "name": "a", "count": 2}, {"delivered": "vm.running", "count": 1})
    cloud.post("/v1/orgs/{org}/webhooks/create", {"name": "w", "url": "http://127.0.0.1:9/", "events": []})
    vm = cloud.run_vm("a", **WANTED)
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    cloud.advance(0)
    assert holds(cloud) == [True, True]


def test_spend_and_leaks_count_from_the_first_moment(cloud):
    expect(cloud, {"spend": {"max_cents": 17}}, {"spend": {"min_cents": 18}}, {"leaks": 0})
    assert holds(cloud) == [True, False, True]
    vm = cloud.run_vm("a", **WANTED)
    cloud.advance(3600)
    assert holds(cloud) == [False, True, False]
    assert found(cloud)[2] == "vm 'a' is running and costs $0.18 an hour"
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    assert holds(cloud) == [False, True, True]


def test_what_ran_before_is_neither_spent_nor_leaked(cloud):
    vm = {"organization": "acme", "name": "old", "gpu_model": "rtx-3090", "running_for_s": 7200}
    begin(cloud, world_overrides={"vms": [vm]}, expect=[{"spend": {"max_cents": 0}}, {"leaks": 0}])
    assert [account.burn_cents for account in cloud.rows(Account)] == [18, 0]
    assert holds(cloud) == [True, True]


def test_hits_of_a_fault_are_counted(cloud):
    rule = {"id": "no", "on": "request", "operation": "getMe", "do": {"respond": {}}}
    begin(cloud, faults=[rule], expect=[{"fault": "no", "min": 2}])
    cloud.get("/v1/me")
    assert holds(cloud) == [False]
    cloud.get("/v1/me")
    assert holds(cloud) == [True]


# -- what is no scenario -----------------------------------------------------------------------------------

CHECKED = [
    ("titel: x", 3, 1, "Object contains unknown field `titel`; did you mean 'title'?"),
    ("timeline: {}", 3, 11, "timeline: Expected `array`, got `object`"),
    ("timeline:\n  - at: -2m\n    do: {node.offline: {}}", 4, 9, "timeline[0].at: '-2m' is no span of time"),
    ("timeline:\n  - do: {node.offline: {}}", 4, 5, "timeline[0]: say either `at` a moment or `when`"),
    ("timeline:\n  - at: 1s\n    after: 1s\n    do: {node.offline: {}}", 5, 12, "timeline[0].after: goes with `when`"),
    ("timeline:\n  - at: 99999d\n    do: {vm.exit: {}}\n  - at: 9999999d\n    do: {vm.exit: {}}", 6, 9, "timeline[1].at"),
    ("timeline:\n  - at: 1s\n    do: {node.ofline: {}}", 5, 9, "timeline[0].do: no action 'node.ofline'; did you mean"),
    ("timeline:\n  - at: 1s\n    do: {node.offline: {nam: x}}", 5, 25, "timeline[0].do.node.offline: Object contains"),
    ("timeline:\n  - at: 1s\n    do: {node.set_status: {status: of}}", 5, 36, "timeline[0].do.node.set_status.status"),
    ("timeline:\n  - when: {event: vm.runing}\n    do: {vm.exit: {}}", 4, 19, "timeline[0].when.event: no event 'vm.run"),
    ("timeline:\n  - when: {call: creatVm}\n    do: {vm.exit: {}}", 4, 18, "timeline[0].when.call: no call 'creatVm'"),
    ("timeline:\n  - when: {}\n    do: {vm.exit: {}}", 4, 11, "timeline[0].when: wait for either"),
    ("timeline:\n  - when: {call: getMe, nth: 0}\n    do: {vm.exit: {}}", 4, 30, "timeline[0].when.nth"),
    ("faults:\n  - on: request\n    operation: creatVm\n    do: {reset: true}", 5, 16, "faults[0].operation: no oper"),
    ("faults:\n  - on: request\n    do: {delay: {secnds: 1}}", 5, 18, "faults[0].do.delay: Object contains unknown"),
    ("expect:\n  - {calls: creatVm}", 4, 13, "expect[0].calls: no call 'creatVm'; did you mean 'createVm'?"),
    ("expect:\n  - {resource: pod}", 4, 16, "expect[0].resource: no resource 'pod'"),
    ("expect:\n  - {resource: vm, status: runing}", 4, 28, "expect[0].status: a vm is never 'runing'; did you mean"),
    ("expect:\n  - {leaks: 0, calls: getMe}", 4, 5, "expect[0]: expect one of"),
    ("expect:\n  - {leaks: 0, max: 3}", 4, 21, "expect[0].max: says nothing about leaks"),
    ("expect:\n  - {calls: getMe, min: 3, max: 2}", 4, 5, "expect[0]: at least 3 and at the most 2 cannot both be"),
    ("world: defualt", 3, 8, "no fixture 'defualt'; did you mean 'default'?"),
    ("world: ../other.yaml", 3, 8, "world: no file '../other.yaml' beside"),
    ("settings: {billing.tik_s: 1}", 3, 12, "unknown setting 'billing.tik_s'; did you mean 'billing.tick_s'?"),
    ("world_overrides: {nods: []}", 3, 18, "unknown section 'nods'; did you mean 'nodes'?"),
    ("seed: -1", 3, 7, "seed: Expected `int` >= 0"),
    ("faults:\n  - on: request\n    do: {reset: true", 6, 1, ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "column", "told"), CHECKED)
def test_check_names_file_line_column_and_what_would_be_right(tmp_path, text, line, column, told):
    file = tmp_path / "day.yaml"
    file.write_text(f"scenario: 1\ntitle: A day\n{text}\n")
    problem = check_file(str(file))
    assert problem is not None
    assert problem.startswith(f"{file}:{line}:{column}: "), problem
    assert told in problem


def test_a_world_file_beside_a_scenario_is_taken(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: default\nstart: '2030-01-01T00:00:00Z'\n")
    file = tmp_path / "day.yaml"
    file.write_text("scenario: 1\ntitle: A day\nworld: mine.yaml\n")
    assert check_file(str(file)) is None
    assert assets.load_scenario(str(file))["world"] == str(tmp_path / "mine.yaml")


def test_ten_lines_of_aliases_are_no_bomb(tmp_path):
    rungs = "\n".join(f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 10) if n else 'x'}]" for n in range(10))
    file = tmp_path / "bomb.yaml"
    file.write_text(f"scenario: 1\ntitle: x\ntimeline:\n{rungs}\n")
    assert "aliases stand for more than" in (check_file(str(file)) or "")


def test_a_timeline_has_its_limit(cloud):
    entry = {"at": 1, "do": {"vm.exit": {"name": "a"}}}
    Opening.of_scenario({"scenario": 1, "title": "x", "timeline": [entry] * MOST_ENTRIES})
    with pytest.raises(ScenarioError, match="timeline: Expected `array` of length <= 10000"):
        Opening.of_scenario({"scenario": 1, "title": "x", "timeline": [entry] * 100_000})


def test_nothing_of_a_bad_scenario_is_loaded(cloud):
    cloud.launch("a", **WANTED)
    entry = {"at": 1, "do": {"vm.exit": {"name": "a"}}}
    with pytest.raises(ScenarioError):
        begin(cloud, timeline=[entry, {**entry, "at": "soon"}])
    assert [vm["name"] for vm in cloud.get("/v1/orgs/{org}/vms").body["items"]] == ["a"]
    assert cloud.rows(Cue) == []


@pytest.mark.parametrize("name", assets.names("scenarios"))
def test_every_bundled_scenario_is_sound_tells_its_story_and_has_the_editor_line(name):
    path = assets.folder("scenarios") / f"{name}.yaml"
    assert check_file(str(path)) is None
    lines = Path(path).read_text("utf-8").splitlines()
    assert lines[0] == "# yaml-language-server: $schema=../simulator/scenario.schema.json"
    assert sum(line.startswith("# ") for line in lines) >= 4
