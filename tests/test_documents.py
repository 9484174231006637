"""What the documents say is what the code does."""

from __future__ import annotations

import re
import subprocess

import pytest

from simulator.kernel.settings import Settings
from tests.support.tables import BLOCK, DOCUMENTS, FILES, ROOT, TABLES, printed


@pytest.mark.parametrize("name", [*DOCUMENTS, *FILES])
def test_what_is_generated_is_fresh(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert printed(name, text) == text, f"{name} is stale; run make tables"


def test_every_table_stands_in_a_document() -> None:
    texts = [(ROOT / name).read_text("utf-8") for name in DOCUMENTS]
    assert {found[1] for text in texts for found in BLOCK.findall(text)} == set(TABLES)


def test_every_setting_that_a_document_sets_is_one() -> None:
    texts = [path.read_text("utf-8") for path in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")]]
    named = [pair for text in texts for pair in re.findall(r"--set (\w+\.\w+)=([^`\s]+)", text)]
    assert len(named) > 1
    for key, value in named:
        Settings().but({key: value})


@pytest.mark.parametrize(
    "name", [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("[A-Z]*.md"))]
)
def test_every_relative_link_leads_to_a_file_that_git_has(name: str) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = set(listed.splitlines()) | {f"{path.rpartition('/')[0]}/" for path in listed.splitlines()}
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)\)", (ROOT / name).read_text("utf-8"))
    assert set(links) <= files, set(links) - files
