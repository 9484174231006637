"""The house style holds in every file, and each of its rules is seen to fail on a small bad sample."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pytest

from tests.architecture import tidy
from tests.architecture.tidy import ROOT, RULES, Rule, Source, sources

LONG_BODY = "\n".join(f"    x = {number}" for number in range(61))

# rule, path, text that breaks the rule, text that keeps it
SAMPLES = [
    (tidy.file_is_short, "tests/test_sample.py", "x = 1\n" * 601, "x = 1\n" * 600),
    (tidy.name_says_something, "simulator/domain/utils.py", "x = 1", None),
    (tidy.name_says_something, "tests/helpers/test_sample.py", "x = 1", None),
    (tidy.nothing_is_unfinished, "benchmarks/sample.py", "x = 1  # TO" + "DO: two", 'x = "TODO"'),
    (tidy.module_has_a_docstring, "simulator/kernel/sample.py", "x = 1", '"""Said."""'),
    (tidy.functions_are_short, "simulator/kernel/sample.py", f"def f():\n{LONG_BODY}", "def f(): ..."),
    (tidy.parameters_are_few, "simulator/kernel/sample.py", "def f(a, b, c, *, d, e, g): ...", None),
    (tidy.parameters_are_few, "simulator/kernel/sample.py", "def f(a, /, b, c, d, e, g): ...", None),
    (tidy.exceptions_are_named, "simulator/dispatch.py", "try: ...\nexcept: ...", None),
    (tidy.exceptions_are_named, "simulator/dispatch.py", "try: ...\nexcept (KeyError, Exception): ...", None),
    (tidy.nothing_is_printed, "simulator/adapters/web.py", "print(1)", "pprint(1)"),
    (tidy.packages_are_at_home, "simulator/kernel/sample.py", "import yaml", "import json, msgspec"),
    (tidy.packages_are_at_home, "simulator/engine.py", "def f():\n    from flask.globals import g", None),
    (tidy.packages_are_at_home, "simulator/contract/spec.py", "import openapi_core", "import jsonschema_rs"),
    (tidy.packages_are_at_home, "simulator/adapters/web.py", "import httpx", "import flask"),
    (tidy.packages_are_at_home, "simulator/adapters/web.py", "import click", None),
    (tidy.packages_are_at_home, "simulator/adapters/rehearse.py", "import rich", None),
    (tidy.packages_are_at_home, "simulator/adapters/control.py", "import prometheus_client", None),
    (
        tidy.front_door_is_for_guests,
        "simulator/resources/vms.py",
        "from simulator import Simulator",
        "from simulator import dispatch",
    ),
    (
        tidy.areas_stand_alone,
        "simulator/resources/files.py",
        "import simulator.resources.vms",
        "import simulator.resources.files",
    ),
    (
        tidy.areas_stand_alone,
        "simulator/resources/vms/views.py",
        "from simulator.resources import billing",
        "from simulator.resources.vms import lifecycle",
    ),
    (
        tidy.areas_stand_alone,
        "simulator/resources/clusters.py",
        "from simulator.resources.vms.views import view",
        "from simulator.domain.capacity import Claim",
    ),
    (
        tidy.areas_stand_alone,
        "simulator/resources/billing.py",
        "from simulator.resources.files import File",
        "from simulator.resources.vms.lifecycle import stop",
    ),
]

# Files where a rule does not hold, with text that would break it elsewhere.
EXEMPT = [
    (tidy.nothing_is_printed, "simulator/adapters/cli/listings.py", "print(1)"),
    (tidy.exceptions_are_named, "simulator/adapters/web.py", "try: ...\nexcept Exception: ..."),
    (tidy.packages_are_at_home, "simulator/contract/judge.py", "import openapi_core"),
    (tidy.packages_are_at_home, "simulator/adapters/cli/serving.py", "import click"),
    (tidy.packages_are_at_home, "simulator/adapters/verdict_page.py", "from rich.table import Table"),
    (tidy.packages_are_at_home, "simulator/adapters/metrics.py", "import prometheus_client"),
    (
        tidy.parameters_are_few,
        "simulator/adapters/cli/listings.py",
        "@click.option('--a')\ndef f(a, b, c, d, e, g): ...",
    ),
]


def rule_of(check) -> Rule:
    return next(rule for rule in RULES if rule.check is check)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.check.__name__)
def test_every_file_keeps_the_rule(rule: Rule):
    assert rule.problems(sources("simulator", "tests", "benchmarks")) == []


@pytest.mark.parametrize(("check", "path", "bad", "good"), SAMPLES)
def test_rule_sees_a_bad_file_and_passes_a_good_one(check, path, bad, good):
    rule = rule_of(check)
    assert rule.problems([Source(path, bad)]) != []
    assert good is None or rule.problems([Source(path, good)]) == []


@pytest.mark.parametrize(("check", "path", "text"), EXEMPT)
def test_rule_leaves_exempt_files_alone(check, path, text):
    assert rule_of(check).problems([Source(path, text)]) == []


def test_every_rule_has_a_bad_sample():
    assert {rule.check for rule in RULES} == {check for check, *_ in SAMPLES}


def test_self_is_no_parameter():
    source = Source("simulator/kernel/sample.py", "class C:\n    def f(self, a, b, c, d, e): ...")
    assert rule_of(tidy.parameters_are_few).problems([source]) == []


def test_docstring_comments_and_empty_lines_are_no_code():
    source = Source(
        "sample.py", 'def f():\n    """Two\n    lines."""\n\n    # Why.\n    x = 1\n\n    return x\n'
    )
    assert [source.code_lines(function) for function in source.functions] == [2]


def length_problems(lengths: Sequence[int]) -> list[str]:
    problems = []
    if median(lengths) > 10:
        problems.append(f"half of the functions have more than 10 lines of code: median {median(lengths)}")
    if sum(length <= 30 for length in lengths) < 0.9 * len(lengths):
        problems.append("more than one function in ten has over 30 lines of code")
    return problems


def test_functions_are_mostly_short():
    files = sources("simulator")
    lengths = [file.code_lines(function) for file in files for function in file.functions]
    assert length_problems(lengths or [0]) == []


@pytest.mark.parametrize("lengths", [[11, 11, 2], [5] * 8 + [31] * 2])
def test_long_functions_are_seen(lengths):
    assert length_problems(lengths) != []


def code_among_data(root: Path) -> list[Path]:
    return [path for folder in ("fixtures", "scenarios") for path in (root / folder).rglob("*.py*")]


def test_data_folders_hold_no_code(tmp_path):
    assert code_among_data(ROOT) == []
    (tmp_path / "fixtures" / "vectors").mkdir(parents=True)
    stray = tmp_path / "fixtures" / "vectors" / "make.py"
    stray.touch()
    assert code_among_data(tmp_path) == [stray]


def folders_that_are_no_package(root: Path) -> list[Path]:
    folders = {path.parent for path in (root / "simulator").rglob("*.py")}
    return sorted(folder for folder in folders if not (folder / "__init__.py").exists())


def test_folders_of_modules_are_packages(tmp_path):
    """A folder without `__init__.py` would escape import-linter."""
    assert folders_that_are_no_package(ROOT) == []
    (tmp_path / "simulator").mkdir()
    (tmp_path / "simulator" / "stray.py").touch()
    assert folders_that_are_no_package(tmp_path) == [tmp_path / "simulator"]
