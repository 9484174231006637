"""docs/tutorial.md, done step by step: what it shows is what comes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TUTORIAL = (Path(__file__).resolve().parents[2] / "docs" / "tutorial.md").read_text("utf-8")
BLOCK = re.compile(r"```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)```", re.DOTALL)
"""What the page has one do and see: the kind, the name and the text of each."""
QUIET = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest")


def lay(folder: Path, title: str, text: str) -> None:
    """Write a file, or put a part of it in the place of what it replaces."""
    name, _, part = title.partition(", ")
    before = (folder / name).read_text() if part else ""
    rent, train = before.find("def rent"), before.find("def train")
    whole = {
        "": text,
        "its function rent": f"{before[:rent]}{text}\n\n{before[train:]}",
        "its end": before[:train] + text,
    }
    (folder / name).write_text(whole[part])


def test_every_step_shows_what_the_page_says(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    printed, ran = "", 0
    for kind, title, text in BLOCK.findall(TUTORIAL):
        if title:
            lay(pytester.path, title, text)
        elif kind == "console" and "pytest" in text.split():
            options = text.split()[3:]
            printed = pytester.runpytest_subprocess(*QUIET, "-q", *options).stdout.str()
            ran += 1
        elif not kind:
            for line in text.splitlines():
                assert line in printed, printed
    assert ran == 5
