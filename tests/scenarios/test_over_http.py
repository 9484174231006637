"""The same calls give the same journal, byte for byte, whether they come through a socket or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from simulator.adapters.server import Server
from simulator.engine import ClockState
from tests.scenarios.client import Client, Lost
from tests.scenarios.stories import STORIES
from tests.support.cloud import Answer
from tests.support.command import PATIENCE_S


class Connected(Client):
    """A client that calls a server over HTTP, also from within a webhook."""

    def __init__(self, scenario: str) -> None:
        super().__init__(scenario)
        self.server = Server(self.worlds, port=0)
        self.server.start()

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> Answer:
        self.calls += 1
        token = self.key if key is None else key
        sent = {"Authorization": f"Bearer {token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        url = self.server.url + path.replace("{org}", self.org)
        try:
            came = requests.request(method, url, json=body, headers=sent, timeout=PATIENCE_S)
            is_json = came.headers.get("Content-Type") == "application/json"
            return Answer(
                came.status_code, came.json() if is_json else came.content or None, dict(came.headers)
            )
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, ValueError):
            raise Lost("no whole answer") from None


@pytest.fixture
def connected() -> Iterator[Any]:
    opened: list[Connected] = []

    def open_one(name: str) -> Connected:
        opened.append(Connected(name))
        return opened[-1]

    yield open_one
    for client in opened:
        client.server.stop()


@pytest.mark.parametrize("how", ["careful", "careless"])
@pytest.mark.parametrize("name", STORIES)
def test_a_story_has_one_journal(name: str, how: str, connected: Any) -> None:
    journals = []
    for client in (Client(name), connected(name)):
        getattr(STORIES[name], how)(client)
        client.simulator.come_to_rest()
        journals.append(list(client.journal()))
    assert journals[0] == journals[1]
    assert len(journals[0]) > 1


@pytest.mark.parametrize("name", ["answers-lost", "api-brownout", "rate-limited"])
def test_a_story_has_one_journal_when_each_request_moves_the_clock(name: str, connected: Any) -> None:
    journals = []
    for client in (Client(name), connected(name)):
        client.simulator.set_clock(ClockState(mode="stepped"))
        STORIES[name].careful(client)
        client.simulator.come_to_rest()
        journals.append(list(client.journal()))
    assert journals[0] == journals[1]
