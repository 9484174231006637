"""The interactive reference: its page, the files it loads, and what it says of worlds and keys."""

from __future__ import annotations

import re

import pytest

from simulator.adapters.reference import MEDIA_TYPES
from tests.support.surface import Surface, refused

PAGE = "/_sim/docs"


def test_the_page_loads_nothing_but_what_is_served_here(sim: Surface) -> None:
    page = sim.get(PAGE)
    assert page.headers["content-type"] == "text/html"
    text = page.raw.decode()
    assert not re.search(r"https?://|//cdn", text)
    loaded = re.findall(r'(?:src|href)="docs/([^"]+)"', text)
    assert sorted(loaded) == sorted(MEDIA_TYPES)


@pytest.mark.parametrize("name", MEDIA_TYPES)
def test_every_file_of_the_page_is_served_as_what_it_is(sim: Surface, name: str) -> None:
    file = sim.get(f"{PAGE}/{name}")
    assert (file.status, file.headers["content-type"]) == (200, MEDIA_TYPES[name])
    assert len(file.raw) > 500


def test_both_documents_are_shown(sim: Surface) -> None:
    text = sim.get(PAGE).raw.decode()
    for path in re.findall(r'(?:api|control): "([^"]+)"', text):
        assert sim.get(f"/_sim/{path}".replace("/_sim/../", "/")).body["openapi"].startswith("3.1")
    refused(sim.get(f"{PAGE}?of=apo"), 400, "bad_request", "'apo' is not one of")


def test_no_other_file_is_to_be_had(sim: Surface) -> None:
    refused(sim.get(f"{PAGE}/../control.json"), 404, "not_found")
    refused(sim.get(f"{PAGE}/index.css"), 404, "not_found", "no file 'index.css'")


def test_the_page_needs_no_token_and_holds_no_key(sim: Surface) -> None:
    guarded = Surface(control_token="a-token-of-some-length")
    page = guarded.get(PAGE)
    assert page.status == 200
    assert guarded.key not in page.raw.decode()
