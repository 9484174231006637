"""Imports: the layers, what the core may not touch, and what `import simulator` costs."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.tidy import ROOT, sources

BIN = Path(sys.executable).parent
SLOW_OR_SERVING = {"faker", "flask", "openapi_core", "openapi_spec_validator", "waitress", "yaml"}


def run(*command: object, cwd: Path = ROOT, text: str | None = None) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, input=text, capture_output=True, text=True, check=False)


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return run(BIN / "lint-imports", "--no-cache", "--no-logo", cwd=root)


def layers() -> list[list[str]]:
    """The layers of pyproject.toml from top to bottom, siblings together."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contract = next(each for each in settings["tool"]["importlinter"]["contracts"] if each["id"] == "layers")
    return [re.findall(r"\w+", layer) for layer in contract["layers"]]


@pytest.fixture
def model(tmp_path) -> Path:
    """A tree under the rules of pyproject.toml that has every layer, each importing the one below."""
    package = tmp_path / "simulator"
    (package / "resources").mkdir(parents=True)
    (package / "__init__.py").touch()
    below: list[str] = []
    for siblings in reversed(layers()):
        imports = "".join(f"import simulator.{name}\n" for name in below)
        for name in siblings:
            path = "resources/__init__.py" if name == "resources" else f"{name}.py"
            (package / path).write_text(imports, "utf-8")
        below = siblings
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return tmp_path


def test_layers_hold():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_downward_imports_pass(model):
    result = lint_imports(model)
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_upward_import_is_seen_in_every_layer(model):
    names = [siblings[0] for siblings in layers()]
    pairs = list(zip(names[1:], names, strict=False))
    for lower, upper in pairs:
        path = "resources/__init__.py" if lower == "resources" else f"{lower}.py"
        (model / "simulator" / path).write_text(f"import simulator.{upper}\n", "utf-8")
    result = lint_imports(model)
    assert result.returncode == 1, result.stdout + result.stderr
    unseen = [
        (lower, upper)
        for lower, upper in pairs
        if not re.search(rf"simulator\.{lower} -> simulator\.{upper} \(l\.1\)", result.stdout)
    ]
    assert unseen == [], result.stdout


def test_siblings_may_not_import_each_other(model):
    (model / "simulator/fixture.py").write_text("import simulator.scenario\n", "utf-8")
    result = lint_imports(model)
    assert (result.returncode, "simulator.fixture -> simulator.scenario" in result.stdout) == (1, True)


def test_a_file_on_no_layer_is_seen(model):
    (model / "simulator/stray.py").touch()
    result = lint_imports(model)
    assert (result.returncode, "simulator.stray" in result.stdout) == (1, True), result.stdout


def banned(path: str, text: str) -> int:
    """How many banned uses ruff sees in a text, were it the file at this path."""
    result = run(
        *(sys.executable, "-m", "ruff", "check", "--select", "DTZ,PTH,TID251", "--output-format", "concise"),
        *("--stdin-filename", path, "-"),
        text=text,
    )
    assert result.returncode in {0, 1}, result.stderr
    return len(re.findall(rf"^{path}:", result.stdout, re.MULTILINE))


@pytest.mark.parametrize(
    "statement",
    [
        "import threading",
        "import time",
        "from time import monotonic",
        "import socket",
        "import http.client",
        "from pathlib import Path",
        "import os",
        "import flask",
        "import secrets",
        "import random\nrandom.random()",
        "from random import shuffle",
        "from uuid import uuid4",
        "import uuid\nuuid.uuid4()",
        "import datetime\ndatetime.datetime.now(datetime.UTC)",
        "from datetime import datetime\ndatetime.utcnow()",
        "open('file')",
    ],
)
@pytest.mark.parametrize("path", ["simulator/kernel/sample.py", "simulator/resources/vms.py"])
def test_the_core_may_not_touch_the_world_outside(path, statement):
    assert banned(path, statement + "\n") >= 1


def test_the_core_may_draw_from_a_seeded_generator():
    assert banned("simulator/kernel/streams.py", "import random\nrandom.Random(7).random()\n") == 0


@pytest.mark.parametrize("path", ["simulator/adapters/web.py", "simulator/engine.py", "simulator/assets.py"])
def test_the_layers_above_may(path):
    assert banned(path, "import threading\nfrom pathlib import Path\n") == 0


IMPORT_EACH_ALONE = """
import importlib, sys
for name in sys.argv[1:]:
    for loaded in [each for each in sys.modules if each.partition(".")[0] == "simulator"]:
        del sys.modules[loaded]
    importlib.import_module(name)
"""


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def test_every_module_can_be_imported_alone_and_warns_of_nothing():
    names = [module_name(source.path) for source in sources("simulator")]
    result = run(sys.executable, "-W", "error", "-c", IMPORT_EACH_ALONE, *names)
    assert result.returncode == 0, result.stderr


def test_a_module_that_warns_or_fails_is_seen(tmp_path):
    (tmp_path / "warns.py").write_text("import warnings\nwarnings.warn('old', DeprecationWarning)\n", "utf-8")
    result = run(sys.executable, "-W", "error", "-c", IMPORT_EACH_ALONE, "warns", cwd=tmp_path)
    assert (result.returncode, "DeprecationWarning: old" in result.stderr) == (1, True)


def loaded_by(statement: str) -> set[str]:
    result = run(sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)")
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_import_simulator_loads_neither_flask_nor_other_slow_packages():
    assert loaded_by("import simulator") & SLOW_OR_SERVING == set()


def test_a_slow_import_is_seen():
    assert loaded_by("import simulator, flask, yaml") & SLOW_OR_SERVING == {"flask", "yaml"}
