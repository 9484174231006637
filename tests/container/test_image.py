"""The container image, really built and started: with no network but its own, and nothing to write to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import container
from tests.support.container import ROOT, Container

pytestmark = pytest.mark.skipif(bool(container.missing()), reason=f"needs {container.missing()}")

STORY = "scenario: 1\ntitle: A story of one's own\nworld: tiny\nseed: 7\n"
WORLD = "extends: empty\ntitle: A world of one's own\n"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return container.build(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def root(config: dict[str, Any]) -> Iterator[Path]:
    with container.mounted() as place:
        yield place


@pytest.fixture
def running(root: Path, config: dict[str, Any], tmp_path: Path) -> Iterator[Container]:
    scenarios, worlds = tmp_path / "scenarios", tmp_path / "worlds"
    scenarios.mkdir()
    worlds.mkdir()
    (scenarios / "night.yaml").write_text(STORY)
    (worlds / "tiny.yaml").write_text(WORLD)
    tmp_path.chmod(0o755)
    volumes = {scenarios: "/scenarios", worlds: "/worlds"}
    one = Container(root, config, tmp_path / "log")
    with one.running(volumes=volumes, OPENRELAY_SIM_SCENARIO="night", OPENRELAY_SIM_CLOCK="manual"):
        healthy = one.run_inside(*config["Healthcheck"]["Test"][1:], "--timeout", "20s")
        assert healthy.returncode == 0, healthy.stderr + one.log.read_text()
        yield one


def ask(one: Container, path: str, *options: str) -> Any:
    answer = one.run("curl", "--silent", "--fail", *options, f"http://127.0.0.1:8080{path}")
    assert answer.returncode == 0, answer
    return json.loads(answer.stdout)


def test_it_is_healthy_and_the_lines_it_prints_work_when_they_are_pasted(running: Container) -> None:
    printed = running.log.read_text()
    exports = "\n".join(re.findall("^export .*$", printed, re.MULTILINE))
    calls = [line for line in printed.splitlines() if line.startswith("curl ")]
    assert len(calls) >= 3
    for call in calls:
        done = running.run("bash", "-c", f"{exports}\n{call.replace('curl', 'curl --fail -s', 1)}")
        assert done.returncode == 0, f"{call}\n{done}"
        json.loads(done.stdout)


def test_scenarios_and_worlds_that_are_mounted_go_by_their_names(running: Container) -> None:
    assert ask(running, "/_sim/scenarios/current")["title"] == "A story of one's own"
    assert "night" in {row["name"] for row in ask(running, "/_sim/scenarios")["items"]}
    opened = ask(running, "/_sim/worlds", "-d", '{"name": "other", "fixture": "tiny"}')
    assert opened["fixture"] == "tiny"


def test_it_runs_as_nobody_in_particular_and_can_write_nowhere_but_in_tmp(running: Container) -> None:
    status = Path(f"/proc/{running.pid}/status").read_text()
    assert re.search(r"^Uid:\t10001\t10001", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    writable = "import sys, pathlib; [pathlib.Path(place, 'x').write_text('') for place in sys.argv[1:]]"
    assert running.run_inside("python3", "-c", writable, "/tmp").returncode == 0
    for place in ("/", "/opt/simulator", "/scenarios", "/var"):
        refused = running.run_inside("python3", "-c", writable, place)
        assert "Read-only file system" in refused.stderr or "Permission denied" in refused.stderr


def test_it_has_no_way_out_and_needs_none(running: Container) -> None:
    assert running.run("ip", "-brief", "address").stdout.split()[0] == "lo"
    assert len(running.run("ip", "-brief", "link").stdout.splitlines()) == 1
    assert ask(running, "/_sim/health")["status"] == "ok"


def test_sigterm_ends_it_cleanly(running: Container) -> None:
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


def test_a_mistake_is_one_line_and_exit_code_2(root: Path, config: dict[str, Any], tmp_path: Path) -> None:
    one = Container(root, config, tmp_path / "log")
    with one.running(volumes={}, OPENRELAY_SIM_SCENARIO="nihgt"):
        assert one.process.wait(20) == 2
    assert len(one.log.read_text().splitlines()) == 1
    assert one.log.read_text().startswith("openrelay-simulator: no scenario 'nihgt'")


def test_it_holds_what_it_needs_and_no_more(root: Path) -> None:
    site = next((root / "opt/simulator/lib").glob("python3*/site-packages"))
    assert (site / "simulator/scenarios/node-lost.yaml").is_file()
    assert not list(site.glob("pip*"))
    assert not (root / "source").exists()
    assert not [name for name in ("tests", "Makefile") if (root / name).exists()]
    size = sum(file.lstat().st_size for file in (root / "opt/simulator").rglob("*") if not file.is_symlink())
    assert size < 160 << 20, f"{size >> 20} MB"


def test_the_context_of_the_build_is_the_package_and_nothing_else() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept == {"simulator", "fixtures", "scenarios", "pyproject.toml", "README.md", "LICENSE"}
    assert all((ROOT / name).exists() for name in kept)
