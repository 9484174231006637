"""What the tests reach: which operation was answered with which status, in which test file.

A plugin of pytest. It listens at the one place that every call of the API passes, whether it came over a
socket, through WSGI or from this process; a simulator in a process of its own is not heard. A whole run in
which every test passes fails all the same

- when an operation never succeeded, or never answered an error that its contract documents,
- when no test of its area calls it,
- when one answered a status that its contract does not list,
- when other test files call an operation than `tests/exercised.json` says, from which the table of operations
  has its last column. `pytest --write-exercised` writes that file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import msgspec
import pytest

from simulator import assets
from simulator.contract import Route
from simulator.contract.spec import METHODS
from simulator.dispatch import FAULT
from simulator.engine import Simulator
from simulator.kernel.operation import Reply, Request

ROOT = Path(__file__).resolve().parents[2]
EXERCISED = ROOT / "tests" / "exercised.json"
COMMAND = "make test PYTEST_ARGS=--write-exercised"
MOST_NAMED = 10
NARROWING = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "stepwise", "collectonly")
"""Options of pytest that leave tests out."""

SEARCHING = ("tests/conformance/", "tests/properties/", "tests/testing/")
"""Tests that hit what they hit: they count for nothing here."""
OF_AREAS = "tests/resources/"
"""Tests that call an operation for its own sake; others need it for something else, or call every one."""

IMPOSSIBLE: dict[tuple[str, int], str] = {
    ("attachVmSshKey", 409): "2026-10 lists it and says of every status something else: 204, terminated 400",
    ("terminateVm", 409): "2026-10 lists it and says that a VM of any status can be terminated, also again",
}
"""Documented errors that nothing leads to, and why."""

EVERYWHERE = {
    403: "a scope is missing, on the inference host too [seed]",
    413: "a body over the limit",
    500: "the simulator itself failed, which a test makes it do",
}
"""Errors that any operation may answer, whether its contract lists them or not."""
UNLISTED = {
    ("getVm", 400): "a path that is no text, which any operation would answer so [choice]",
    ("createBatch", 402): "nothing is available to pay with [choice]",
    ("createVm", 404): "nodeId names no node that the caller can see [2026-10 sdk]",
    ("createCluster", 503): "no room, where the setting capacity.refusal_status says so [2026-10 sdk]",
    ("restartCluster", 409): "no room for a replica [choice]",
}
"""Errors that one operation answers although its contract does not list them."""


class Answered(msgspec.Struct, frozen=True, order=True):
    """An answer of the simulator, as far as it matters here."""

    file: str
    operation: str
    status: int


class Documented(msgspec.Struct, frozen=True):
    """Where an operation comes from; its statuses at first, in later versions, and all that are listed."""

    source: str
    first: list[int]
    later: list[int]
    listed: list[int]

    @property
    def errors(self) -> list[int]:
        return [status for status in (*self.first, *self.later) if status >= 400]


def documented() -> dict[str, Documented]:
    """What the contract says of each operation, in its order."""
    return {
        raw["operationId"]: Documented(
            raw["x-source"],
            [int(status) for status in raw["x-documented-statuses"]],
            [int(status) for status in raw.get("x-later-statuses", ())],
            [int(status) for status in raw["responses"] if status.isdigit()],
        )
        for item in assets.contract_document()["paths"].values()
        for method, raw in item.items()
        if method in METHODS
    }


def problems(answered: Iterable[Answered]) -> Iterator[str]:
    """A line for each gap: what no test has reached, and what should not have been answered."""
    seen: dict[str, set[int]] = {name: set() for name in documented()}
    for each in answered:
        if not each.file.startswith(SEARCHING):
            seen[each.operation].add(each.status)
    for name, known in documented().items():
        if not any(status < 400 for status in seen[name]):
            yield f"{name} never succeeded"
        missing = [s for s in known.errors if s not in seen[name] and (name, s) not in IMPOSSIBLE]
        if missing:
            yield f"{name} never answered {', '.join(map(str, missing))}"
        strange = seen[name] - {*known.listed, *EVERYWHERE}
        for status in sorted(s for s in strange if (name, s) not in UNLISTED):
            yield f"{name} answered {status}, which its contract does not list"
    for name, status in IMPOSSIBLE:
        if status in seen[name]:
            yield f"{name} answered {status}, which {__name__} calls impossible"


def exercised(answered: Iterable[Answered]) -> dict[str, list[str]]:
    """The test files of areas in which an operation was called."""
    files: dict[str, set[str]] = {name: set() for name in documented()}
    for each in answered:
        if each.file.startswith(OF_AREAS):
            files[each.operation].add(each.file)
    return {name: sorted(found) for name, found in files.items()}


def read_exercised() -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(EXERCISED.read_text("utf-8"))
    return found


def write_exercised(found: Mapping[str, list[str]]) -> None:
    """Write down what was seen, and print the tables again."""
    from tests.support import tables

    EXERCISED.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    tables.write()


# -- the plugin --------------------------------------------------------------------------------------------


def is_whole(config: pytest.Config) -> bool:
    """Whether every test there is was asked for."""
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not any(
        getattr(config.option, name, None) for name in NARROWING
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-exercised", action="store_true", help="write tests/exercised.json and the tables"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.option.write_exercised and not is_whole(config):
        raise pytest.UsageError("--write-exercised needs a run of all tests")
    reach = Reach(config)
    listen(reach)
    config.pluginmanager.register(reach)


def listen(reach: Reach) -> None:
    """Hear every answer of this process; nothing of it is changed."""
    call = Simulator.call

    @wraps(call)
    def heard(simulator: Simulator, request: Request, *more: Any) -> Reply:
        reply = call(simulator, request, *more)
        route = simulator.contract.route(request.method, request.path)
        if isinstance(route, Route) and FAULT not in reply.headers:  # what a fault answers proves nothing
            reach.answered.add(Answered(reach.file, route.operation.id, reply.status))
        return reply

    Simulator.call = heard  # type: ignore[assignment, method-assign]


class Reach:
    """What was heard, here and by the workers of pytest-xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.file = ""
        self.answered: set[Answered] = set()
        self.problems: list[str] = []

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.file = nodeid.partition("::")[0]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker has ended, and hands over what it heard."""
        heard = getattr(node, "workeroutput", {}).get("answered", [])
        self.answered.update(msgspec.convert(heard, list[Answered]))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["answered"] = msgspec.to_builtins(self.answered)
        elif exitstatus == pytest.ExitCode.OK and is_whole(self.config):
            self._judge()
            if self.problems:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _judge(self) -> None:
        self.problems = list(problems(self.answered))
        found = exercised(self.answered)
        if self.config.option.write_exercised:
            write_exercised(found)
        self.problems += [
            f"{name}: no test in {OF_AREAS} calls it" for name, files in found.items() if not files
        ]
        if found != read_exercised():
            known = read_exercised()
            changed = [name for name, files in found.items() if known.get(name) != files]
            named = ", ".join(changed[:MOST_NAMED]) + (", …" if changed[MOST_NAMED:] else "")
            self.problems.append(f"other tests than before call {named}; run {COMMAND}")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.problems:
            terminalreporter.section("operations", red=True)
            for problem in self.problems:
                terminalreporter.line(problem)
