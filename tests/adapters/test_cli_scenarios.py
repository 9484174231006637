"""Scenarios on the command line, beside `run`: `serve --scenario`, the listings, `check`."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from simulator import assets
from simulator.domain.faults import SEAMS
from tests.support.command import PATIENCE_S, one_line, run
from tests.support.serving import Serve, Serving

DAY = """scenario: 1
title: A day of mine
seed: 3
settings: {billing.tick_s: 7}
faults:
  - {id: down, on: request, operation: getPricing, do: {respond: {status: 503}}}
expect:
  - {fault: down}
"""


@pytest.fixture
def day(tmp_path: Path) -> Path:
    file = tmp_path / "day.yaml"
    file.write_text(DAY, "utf-8")
    return file


def pricing(serving: Serving) -> requests.Response:
    auth = {"Authorization": f"Bearer {serving.exports['OPENRELAY_API_KEY']}"}
    return requests.get(f"{serving.url}/v1/pricing", headers=auth, timeout=PATIENCE_S)


# -- serve -------------------------------------------------------------------------------------------------


def test_serve_lives_in_a_bundled_scenario(serve: Serve) -> None:
    serving = serve("--scenario", "rate-limited", "--clock", "manual")
    assert "from fixture default, scenario 'More requests than the limit allows', profile" in serving.printed
    current = serving.sim("/scenarios/current")
    assert (current["title"], current["holds"]) == ("More requests than the limit allows", False)
    statuses = [pricing(serving).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


def test_serve_lives_in_a_scenario_of_a_file(serve: Serve, day: Path) -> None:
    serving = serve("--scenario", day, "--clock", "manual")
    world = serving.sim()["world"]
    values = {row["key"]: row["value"] for row in serving.sim("/settings")["items"]}
    assert (world["seed"], values["billing.tick_s"]) == (3, 7)
    answer = pricing(serving)
    assert (answer.status_code, answer.headers["X-Sim-Fault"]) == (503, "down")
    assert serving.sim("/scenarios/current")["holds"] is True


def test_what_the_command_line_says_wins_over_the_scenario(serve: Serve, day: Path) -> None:
    serving = serve("--scenario", day, "--seed", 0, "--set", "billing.tick_s=9", "--profile", "2026-10")
    world = serving.sim()["world"]
    values = {row["key"]: row["value"] for row in serving.sim("/settings")["items"]}
    assert (world["seed"], world["profile"], values["billing.tick_s"]) == (0, "2026-10", 9)


def test_a_scenario_is_a_variable_too(serve: Serve, day: Path) -> None:
    assert serve(scenario=str(day)).sim("/scenarios/current")["title"] == "A day of mine"


def test_a_reset_takes_it_back_to_the_scenarios_first_moment(serve: Serve, day: Path) -> None:
    serving = serve("--scenario", day, "--clock", "manual")
    pricing(serving)
    assert run("reset", url=serving.url).returncode == 0
    assert serving.sim("/scenarios/current")["holds"] is False
    assert pricing(serving).status_code == 503


def test_a_scenario_with_a_world_beside_it(serve: Serve, day: Path) -> None:
    (day.parent / "mine.yaml").write_text("extends: empty\nstart: '2027-01-01T00:00:00Z'\n", "utf-8")
    day.write_text(f"{DAY}world: mine.yaml\n", "utf-8")
    now = serve("--scenario", day, "--clock", "manual").sim("/clock")["now"]
    assert now == "2027-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--scenario", "node-losst"), "did you mean 'node-lost'?"),
        (("--scenario", "./none.yaml"), "none.yaml: No such file"),
        (("--scenario", "node-lost", "--world", "full"), "brings a world of its own; leave out --world"),
        (("--scenario", "node-lost", "--set", "billing.tik_s=1"), "did you mean 'billing.tick_s'?"),
        (("--scenario", "{bad}"), "{bad}: faults[0].do: no fault 'respnd' at the seam request; did you mean"),
        (("--scenario", "{day}", "--state", "{state}"), "leave out --scenario"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_serve_cannot_live_in_is_one_line(day: Path, words: tuple[str, ...], told: str) -> None:
    places = {"day": day, "bad": day.parent / "bad.yaml", "state": day.parent / "state.json"}
    places["bad"].write_text(DAY.replace("respond", "respnd"), "utf-8")
    places["state"].write_text("{}", "utf-8")
    done = run("serve", "--port", 0, *(word.format(**places) for word in words))
    assert done.returncode == 2
    assert told.format(**places) in one_line(done)


# -- listings ----------------------------------------------------------------------------------------------


def test_scenarios_are_listed_with_their_titles() -> None:
    lines = run("scenarios").stdout.splitlines()
    assert [line.split()[0] for line in lines] == assets.names("scenarios")
    assert "answers-lost          The answer to a create is lost" in lines


def test_faults_are_listed_with_seam_meaning_and_arguments() -> None:
    lines = run("faults").stdout.splitlines()
    assert [tuple(line.split()[:2]) for line in lines] == [
        (seam, name) for seam, kinds in SEAMS.items() for name in kinds
    ]
    (delay,) = (line for line in lines if line.startswith("request    delay "))
    assert delay.rpartition("  ")[2].strip() == "seconds, jitter, real"


def test_a_scenario_by_its_name_is_printed_with_its_story() -> None:
    done = run("scenarios", "answers-lost")
    assert (done.returncode, done.stdout) == (
        0,
        (assets.folder("scenarios") / "answers-lost.yaml").read_text(),
    )
    assert "did you mean 'answers-lost'?" in run("scenarios", "answer-lost").stderr


# -- folders of one's own ------------------------------------------------------------------------------------


@pytest.fixture
def shelves(tmp_path: Path) -> dict[str, str]:
    """A folder of scenarios and one of worlds, as variables."""
    scenarios, worlds = tmp_path / "scenarios", tmp_path / "worlds"
    scenarios.mkdir()
    worlds.mkdir()
    (scenarios / "night.yaml").write_text("scenario: 1\ntitle: Night\nworld: tiny\nexpect: [{leaks: 0}]\n")
    (scenarios / "node-lost.yaml").write_text("scenario: 1\ntitle: Another loss\n")
    (scenarios / "broken.yaml").write_text("scenario: 1\ntitle: [\n")
    (worlds / "tiny.yaml").write_text("extends: empty\ntitle: Tiny\n")
    return {"scenarios": str(scenarios), "worlds": str(worlds)}


def test_files_of_ones_own_folder_go_by_their_names(shelves: dict[str, str]) -> None:
    done = run("run", "night", "--", "true", **shelves)
    assert done.returncode == 0, done.stderr
    assert "Night" in done.stdout
    assert run("run", "--scenarios", shelves["scenarios"], "night", "--", "true").returncode == 2  # no world


def test_ones_own_come_before_the_bundled_ones_and_all_are_listed(shelves: dict[str, str]) -> None:
    listed = dict(line.split(maxsplit=1) for line in run("scenarios", **shelves).stdout.splitlines())
    assert listed["night"] == "Night"
    assert listed["node-lost"] == "Another loss"
    assert set(listed) > set(assets.names("scenarios"))
    assert "tiny     Tiny" in run("worlds", **shelves).stdout.splitlines()


def test_a_file_that_cannot_be_read_says_so_in_the_list(shelves: dict[str, str]) -> None:
    done = run("scenarios", **shelves)
    assert done.returncode == 0
    assert "broken                cannot be read: broken.yaml: " in done.stdout
    assert "broken.yaml" in one_line(run("run", "broken", "--", "true", **shelves))


def test_a_folder_that_is_none_is_one_line() -> None:
    done = run("serve", "--worlds", "/nowhere")
    assert done.returncode == 2
    assert "'/nowhere' does not exist" in one_line(done)


# -- check -------------------------------------------------------------------------------------------------


def test_check_says_what_a_scenario_begins_with(day: Path) -> None:
    day.write_text(DAY.removeprefix("scenario: 1\n"))
    done = run("check", day)
    assert done.returncode == 1
    assert "begins with the line `scenario: 1`" in done.stderr


def test_check_says_which_files_are_scenarios(day: Path) -> None:
    world = day.parent / "world.yaml"
    world.write_text("extends: default\n", "utf-8")
    done = run("check", day, world)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{day}: a scenario", f"{world}: a world"]


def test_check_names_file_line_column_and_what_would_be_right(day: Path) -> None:
    day.write_text(DAY.replace("getPricing", "getPrcing"), "utf-8")
    done = run("check", day)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        f"{day}:6:40: faults[0].operation: no operation 'getPrcing'; did you mean 'getPricing'"
    )


def test_check_tells_of_every_file_and_fails_for_one(day: Path) -> None:
    bad = day.parent / "bad.yaml"
    bad.write_text("scenario: 1\ntitle: x\nexpct: []\n", "utf-8")
    done = run("check", bad, day)
    assert (done.returncode, done.stdout) == (1, f"{day}: a scenario\n")
    assert done.stderr.startswith(f"{bad}:3:1: ")
    assert "did you mean 'expect'?" in done.stderr


def test_all_bundled_scenarios_are_right() -> None:
    files = sorted(assets.folder("scenarios").glob("*.yaml"))
    done = run("check", *files)
    assert done.stdout.splitlines() == [f"{file}: a scenario" for file in files], done.stderr
