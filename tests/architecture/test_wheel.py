"""The built packages hold what they must, and the wheel works far from the repository."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.tidy import ROOT

DATA = {"fixtures": "simulator/fixtures", "scenarios": "simulator/scenarios", "simulator": "simulator"}


def run(*command: object, cwd: Path, packages: Path | None = None) -> str:
    """Run a command that must succeed, its imports looked for in `packages` first."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if packages:
        environment["PYTHONPATH"] = str(packages)
    words = [str(word) for word in command]
    result = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(words)}\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The wheel alone in a folder; what it depends on is installed beside the tests."""
    folder = tmp_path_factory.mktemp("installed")
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        folder,
        wheel,
        cwd=folder,
    )
    return folder


def expected_files() -> set[str]:
    """All of the package and of the data folders that is in the repository, by its place in the wheel."""
    return {
        f"{place}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, place in DATA.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_holds_the_package_the_data_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected_files()
    assert {"simulator/py.typed", "simulator/openapi.json", "simulator/scenarios/README.md"} <= names
    assert "simulator/scenario.schema.json" in names


def test_wheel_names_its_license_and_its_command(wheel):
    archive = zipfile.ZipFile(wheel)
    info = next(name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name)
    assert f"{info}/licenses/LICENSE" in archive.namelist()
    commands = archive.read(f"{info}/entry_points.txt").decode()
    assert "openrelay-simulator = simulator.adapters.cli:main" in commands


def test_sdist_holds_what_a_checkout_needs_and_no_leftovers(built):
    needed = {"LICENSE", "Makefile", "fixtures", "pyproject.toml", "scenarios", "simulator", "tests"}
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        parts = [Path(name).parts[1:] for name in archive.getnames()]
    assert {name for name in needed if (ROOT / name).exists()} <= {names[0] for names in parts}
    assert [names for names in parts if {"__pycache__", ".venv", ".git"} & set(names)] == []


def test_wheel_is_imported_from_an_empty_folder(installed, tmp_path):
    command = "import simulator; print(simulator.__file__, simulator.__version__)"
    printed = run(sys.executable, "-c", command, cwd=tmp_path, packages=installed)
    assert printed.startswith(str(installed))


def test_command_of_the_wheel_runs_in_an_empty_folder(installed, tmp_path):
    printed = run(installed / "bin/openrelay-simulator", "--help", cwd=tmp_path, packages=installed)
    assert "serve" in printed


# -- an empty environment

SUITE = """
import httpx
import pytest

def test_a_bad_day(openrelay):
    openrelay.fault(operation="whoami", times=1, do={"reset": True})
    with pytest.raises(httpx.TransportError):
        openrelay.client().get("/v1/whoami")
    assert openrelay.client().get("/v1/whoami").status_code == 200
"""


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """The folder of commands of a new environment with the wheel and two of its extras in it."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", f"{wheel}[pytest,fast]", cwd=folder)
    return folder / "bin"


def test_scenarios_and_worlds_come_with_the_package(environment, tmp_path):
    command = environment / "openrelay-simulator"
    client = ROOT / "examples/careful_client.py"
    printed = run(command, "run", "answers-lost", "--", environment / "python", client, cwd=tmp_path)
    assert "PASSED" in printed
    assert "large" in run(command, "worlds", cwd=tmp_path)


@pytest.mark.parametrize("server", ["waitress", "granian"])
def test_it_serves_from_an_empty_folder(environment, tmp_path, server):
    words = ("-m", "simulator", "serve", "--port", "0", "--server", server)
    with subprocess.Popen(
        [environment / "python", *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            lines: Any = process.stdout
            url = next(line.split()[-1] for line in lines if "base URL" in line)
            run(environment / "openrelay-simulator", "wait", "--url", url, cwd=tmp_path)
        finally:
            process.terminate()


def test_the_plugin_is_there_as_soon_as_it_is_installed(environment, tmp_path):
    (tmp_path / "test_cloud.py").write_text(SUITE)
    printed = run(environment / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    assert "1 passed" in printed
