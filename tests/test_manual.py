"""The manual as a site: it is built without a warning, and its picture shows what there is to see."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.registry import OPERATIONS
from tests.support.picture import PICTURE, drawn, words

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manual")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_of_the_navigation_is_there(site: Path) -> None:
    pages = ("index", "tutorial", "testing", "reference", "limits", "scenarios/index", "examples/fleet/index")
    for page in pages:
        assert (site / f"{page}.html").stat().st_size > 5_000, page


def test_nothing_is_fetched_but_by_whoever_follows_a_link(site: Path) -> None:
    """It is read where there is no network."""
    index = (site / "index.html").read_text("utf-8")
    assert 'src="http' not in index
    assert 'stylesheet" href="http' not in index


def test_the_code_that_a_page_of_examples_points_at_stands_in_it(site: Path) -> None:
    text = (site / "examples/fleet/index.html").read_text("utf-8")
    for file in ("fleet/trainer.py", "fleet/autoscaler.py", "fleet/events.py", "tests/test_trainer.py"):
        assert f"examples/fleet/{file}</code>" in text


def test_the_limits_are_told_of_every_operation() -> None:
    assert [name for name, row in OPERATIONS.items() if not row.function.__doc__] == []


def test_the_picture_shows_what_a_run_prints_now() -> None:
    """`python -m tests.support.picture` draws it again."""
    assert words(PICTURE.read_text("utf-8")) == words(drawn())
