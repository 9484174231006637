"""The pytest plugin. It costs nothing until a fixture is used: what it needs is imported there.

@pytest.mark.openrelay(scenario="node-lost", seed=7)
def test_trainer_survives(openrelay):
    run_my_trainer(openrelay.base_url, openrelay.api_key, openrelay.org_id)
    openrelay.advance(minutes=5)
    openrelay.assert_no_leaks()
"""

from __future__ import annotations

import re
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from simulator.testing.cloud import OpenRelay
    from simulator.testing.server import Server

MARKER = "openrelay"
OPTIONS = ("scenario", "world", "seed", "clock", "settings")
"""What the marker takes."""
LONGEST_NAME = 48
COVERAGE = "openrelay-coverage"
RULES = pytest.StashKey[list[dict[str, Any]]]()
"""Fault rules that the cloud of a test has beside its own, where tests are run again."""
CALLS = pytest.StashKey[list[Any]]()
"""The calls that a test made, once it has run."""
OPENING = pytest.StashKey[Any]()
"""What its cloud began from."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("openrelay", "OpenRelay simulator")
    group.addoption(
        "--openrelay-seed", type=int, metavar="N", help="seed of every world, in place of the tests' own"
    )
    group.addoption(
        "--openrelay-coverage",
        nargs="?",
        const="",
        metavar="FILE",
        help="tell which behaviours of the cloud were met; in FILE as text, .json or .html",
    )
    group.addoption(
        "--openrelay-coverage-fail-under",
        type=float,
        default=0,
        metavar="N",
        help="fail when less than N percent of them were met",
    )
    group.addoption("--openrelay-scenario", metavar="NAME|FILE", help="the scenario of every world")
    group.addoption(
        "--openrelay-crash-points",
        nargs="?",
        const="writes",
        metavar="WHICH",
        help="run each test again for each call it made, with the answer lost: writes, all, or a number",
    )
    group.addoption(
        "--openrelay-seeds",
        type=int,
        metavar="N",
        help="run each test again in N clouds with a mix of faults",
    )
    group.addoption(
        "--openrelay-save", default=".openrelay", metavar="DIR", help="where the least failing mix is saved"
    )
    parser.addini("openrelay_world", "world that tests begin with: a bundled one, or a file", default="")
    parser.addini("openrelay_clock", "clock mode: manual, stepped or live", default="manual")
    parser.addini("openrelay_settings", "settings, one KEY=VALUE a line", type="linelist", default=[])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}({', '.join(f'{option}=' for option in OPTIONS)}): what the world of the test begins from",
    )
    file, fail_under = (config.getoption(f"--openrelay-coverage{more}") for more in ("", "-fail-under"))
    if file is not None or fail_under:
        from simulator.testing.coverage import CoverageReport

        config.pluginmanager.register(CoverageReport(config, file or "", fail_under), COVERAGE)
    _run_again(config)


def _run_again(config: pytest.Config) -> None:
    """Register what runs tests again, where an option asks for it."""
    points, seeds = (config.getoption(f"--openrelay-{name}") for name in ("crash-points", "seeds"))
    if points is not None and seeds is not None:
        raise pytest.UsageError("--openrelay-crash-points and --openrelay-seeds: one at a time")
    if points is not None:
        from simulator.testing.crash_points import CrashPoints

        config.pluginmanager.register(CrashPoints(points))
    if seeds is not None:
        from simulator.testing.seeds import Seeds

        folder = config.rootpath / config.getoption("--openrelay-save")
        config.pluginmanager.register(Seeds(seeds, config.getoption("--openrelay-seed") or 0, folder))


@pytest.fixture(scope="session")
def openrelay_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The session's server. `openrelay_server.open(…)` opens worlds of a wider scope than one test."""
    from simulator.testing.server import Server

    report: Any = request.config.pluginmanager.get_plugin(COVERAGE)
    with Server(met=None if report is None else report.met) as server:
        yield server


@pytest.fixture
def openrelay_settings() -> dict[str, Any]:
    """Settings of every world; there to be overridden."""
    return {}


@pytest.fixture
def openrelay(
    request: pytest.FixtureRequest, openrelay_server: Server, openrelay_settings: dict[str, Any]
) -> Iterator[OpenRelay]:
    """A cloud of the test's own."""
    options = chosen(request, openrelay_settings)
    stash = request.node.stash
    with opened(openrelay_server, world_name(request.node.nodeid), options) as cloud:
        for rule in stash.get(RULES, ()):
            cloud.fault(**rule)
        yield cloud
        if RULES in stash:
            stash[CALLS], stash[OPENING] = cloud.calls(), cloud.opening


@contextmanager
def opened(server: Server, name: str, options: dict[str, Any]) -> Iterator[OpenRelay]:
    """A world; what it cannot begin from is told in a line."""
    from simulator.kernel.refusal import Refusal

    with ExitStack() as stack:
        try:
            cloud = stack.enter_context(server.open(name, **options))
        except (ValueError, Refusal) as problem:
            pytest.fail(f"openrelay: {problem}", pytrace=False)
        yield cloud


@pytest.fixture
def openrelay_env(openrelay: OpenRelay, monkeypatch: pytest.MonkeyPatch) -> OpenRelay:
    """The same, with OPENRELAY_BASE_URL, OPENRELAY_API_KEY and ORG_ID in the environment."""
    for name, value in openrelay.environment.items():
        monkeypatch.setenv(name, value)
    return openrelay


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test tells what went on in its clouds."""
    report = yield
    clouds = clouds_of(item) if report.failed else []
    if clouds:
        from simulator.testing.failure import account

        scenario = item.config.getoption("--openrelay-scenario") or ""
        report.sections += [("OpenRelay", account(cloud, item.nodeid, scenario)) for cloud in clouds]
    return report


def clouds_of(item: pytest.Item) -> list[OpenRelay]:
    """The open clouds among a test's fixtures, of whatever scope."""
    fixtures = getattr(item, "funcargs", {})
    kind = getattr(sys.modules.get("simulator.testing.cloud"), "OpenRelay", None)
    found = [value for value in fixtures.values() if kind is not None and isinstance(value, kind)]
    return [cloud for cloud in dict.fromkeys(found) if not cloud.closed]


def world_name(node_id: str) -> str:
    """The name of a test's world: the test's own as far as it can be read, and always the same."""
    words = re.sub(r"[^a-z0-9]+", "-", node_id.rpartition("::")[2].lower()).strip("-")[:LONGEST_NAME]
    return f"{words or 'test'}-{sha256(node_id.encode()).hexdigest()[:8]}"


def chosen(request: pytest.FixtureRequest, settings: dict[str, Any]) -> dict[str, Any]:
    """What the world of a test begins from: the command line, else the marker, else the configuration."""
    config, given = request.config, marked(request.node)
    options: dict[str, Any] = {"clock": config.getini("openrelay_clock"), **given}
    if config.getoption("--openrelay-scenario"):
        options.pop("world", None)
        options["scenario"] = config.getoption("--openrelay-scenario")
    elif "scenario" not in given:
        options.setdefault("world", config.getini("openrelay_world") or None)
    written = dict(_pair(line) for line in config.getini("openrelay_settings"))
    options["settings"] = {**written, **settings, **given.get("settings", {})}
    seed = config.getoption("--openrelay-seed")
    return options if seed is None else {**options, "seed": seed}


def marked(item: pytest.Item) -> dict[str, Any]:
    """The marker's arguments, those of the test before those of its class and module."""
    found: dict[str, Any] = {}
    for mark in item.iter_markers(MARKER):
        if mark.args:
            pytest.fail(f"openrelay takes names only, such as scenario={mark.args[0]!r}", pytrace=False)
        unknown = sorted(set(mark.kwargs) - set(OPTIONS))
        if unknown:
            known = ", ".join(OPTIONS)
            pytest.fail(f"openrelay has no {unknown[0]}=; it takes {known}", pytrace=False)
        found = {**mark.kwargs, **found}
    return found


def _pair(line: str) -> tuple[str, Any]:
    key, equals, value = line.partition("=")
    if not equals:
        pytest.fail(f"openrelay_settings: {line!r} is no KEY=VALUE", pytrace=False)
    return key.strip(), value.strip()
