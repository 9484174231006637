"""The plugin that says what the tests do not reach: what it finds, and when it speaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import reach
from tests.support.reach import IMPOSSIBLE, UNLISTED, Answered, documented, exercised, problems

ALL = {
    Answered("tests/resources/test_all.py", name, status)
    for name, known in documented().items()
    for status in known.listed
    if (name, status) not in IMPOSSIBLE
}
"""What a suite without a gap would reach."""


def test_there_are_112_operations_and_each_lists_what_it_documents() -> None:
    assert len(documented()) == 112
    for name, known in documented().items():
        assert {*known.errors} <= {*known.listed}, name


def test_a_suite_without_a_gap_is_told_nothing() -> None:
    assert list(problems(ALL)) == []


@pytest.mark.parametrize(("name", "status"), [("getVm", 404), ("createVm", 503), ("providerBootstrap", 502)])
def test_an_error_that_nothing_reaches_is_told(name: str, status: int) -> None:
    rest = {each for each in ALL if (each.operation, each.status) != (name, status)}
    assert list(problems(rest)) == [f"{name} never answered {status}"]
    again = [Answered(file, name, status) for file in ("tests/conformance/a.py", "tests/properties/a.py")]
    assert list(problems(rest.union(again))) == [f"{name} never answered {status}"]
    assert list(problems(rest | {Answered("tests/test_access_order.py", name, status)})) == []


def test_an_operation_without_a_success_is_told() -> None:
    rest = {each for each in ALL if each.operation != "stopVm" or each.status >= 400}
    assert list(problems(rest)) == ["stopVm never succeeded"]


def test_a_status_that_the_contract_does_not_list_is_told_but_for_known_ones() -> None:
    strange = {Answered("tests/test_engine.py", "getVm", status) for status in (402, 418)}
    known = {Answered("tests/test_engine.py", *each) for each in UNLISTED}
    assert list(problems(ALL | known | strange)) == [
        "getVm answered 402, which its contract does not list",
        "getVm answered 418, which its contract does not list",
    ]


def test_an_answer_that_is_called_impossible_is_told() -> None:
    name, status = next(iter(IMPOSSIBLE))
    (line,) = problems(ALL | {Answered("tests/test_engine.py", name, status)})
    assert line == f"{name} answered {status}, which {reach.__name__} calls impossible"


def test_tests_of_areas_are_those_that_exercise_an_operation() -> None:
    files = ("tests/resources/b.py", "tests/resources/a.py", "tests/test_engine.py", "tests/properties/a.py")
    found = exercised(Answered(file, "getVm", status) for file in files for status in (200, 404))
    assert found.pop("getVm") == ["tests/resources/a.py", "tests/resources/b.py"]
    assert set(map(tuple, found.values())) == {()}


SUITE = {
    "conftest.py": 'pytest_plugins = ["tests.support.reach"]',
    "pytest.ini": "[pytest]\ntestpaths = one",
    "one/test_a.py": """
from tests.support.cloud import Cloud
def test_pricing(): assert Cloud().get("/v1/pricing").status == 200
def test_no_key(): assert Cloud().get("/v1/pricing", key="").status == 401
""",
    "one/test_b.py": """
from tests.support.cloud import Cloud
def test_models(): assert Cloud().get("/v1/gpu-models").status == 200
""",
}


def played(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest over a small suite."""
    for name, text in SUITE.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist", *words]
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**kept, "PYTHONPATH": str(reach.ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_whole_run_fails_for_what_none_of_its_processes_reached(tmp_path: Path) -> None:
    run = played(tmp_path, "-n", "2")
    assert (run.returncode, "3 passed" in run.stdout) == (1, True), run
    lines = run.stdout.splitlines()
    assert "getVm never succeeded" in lines
    assert "listGpuModels never answered 401" in lines
    assert "getPricing: no test in tests/resources/ calls it" in lines
    assert "getPricing never" not in run.stdout
    assert f"run {reach.COMMAND}" in run.stdout


@pytest.mark.parametrize("words", [("-k", "pricing"), ("one",)])
def test_a_part_of_the_tests_is_not_judged(tmp_path: Path, words: tuple[str, ...]) -> None:
    run = played(tmp_path, *words)
    assert (run.returncode, "never" in run.stdout) == (0, False), run


def test_a_part_of_the_tests_cannot_be_written_down(tmp_path: Path) -> None:
    run = played(tmp_path, "--write-exercised", "-k", "pricing")
    assert (run.returncode, "needs a run of all tests" in run.stderr) == (4, True), run
