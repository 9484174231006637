"""What the documents say is what the code does."""

from __future__ import annotations

import pytest

from tests.support.tables import BLOCK, DOCUMENTS, ROOT, TABLES, printed


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_generated_tables_are_fresh(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert printed(text) == text, f"{name} is stale; run make tables"


def test_every_table_stands_in_a_document() -> None:
    texts = [(ROOT / name).read_text("utf-8") for name in DOCUMENTS]
    assert {found[1] for text in texts for found in BLOCK.findall(text)} == set(TABLES)
