"""A client of the control surface, which holds every answer against control.json."""

from __future__ import annotations

import json
from typing import Any

from simulator import assets
from simulator.adapters.web import create_app
from simulator.contract import Answer, Contract, NoRoute
from simulator.worlds import DEFAULT, Opening, Worlds
from tests.support.cloud import Mailbox
from tests.support.http import Client, Heard, through_wsgi

CONTRACT = Contract(assets.control_document())


class Surface(Client):
    """A client of the control surface, and of the API of the default world. No answer breaks the contract."""

    def __init__(self, **options: Any) -> None:
        self.mailbox = Mailbox()
        self.worlds = Worlds(self.mailbox)
        self.worlds.open(DEFAULT, Opening())
        super().__init__(through_wsgi(create_app(self.worlds, **options)), self.worlds.get(DEFAULT))

    def call(self, method: str, target: str, body: Any = b"", **headers: str) -> Heard:
        if not target.startswith("/_sim"):
            return super().call(method, target, body, **headers)
        headers.setdefault("authorization", "")
        heard = super().call(method, target, body, **headers)
        route = CONTRACT.route(method, target.partition("?")[0])
        if not isinstance(route, NoRoute) and method != "HEAD":
            media_type = heard.headers.get("content-type", "")
            value = json.loads(heard.raw) if media_type == "application/json" else None
            answer = Answer(heard.status, media_type, value, heard.raw)
            assert CONTRACT.check_response(route.operation, answer) is None
        return heard

    def put(self, target: str, body: Any = b"", **headers: str) -> Heard:
        return self.call("PUT", target, body, **headers)

    def delete(self, target: str, **headers: str) -> Heard:
        return self.call("DELETE", target, **headers)

    def launch(self, name: str = "trainer") -> str:
        heard = self.post("/v1/orgs/{org}/vms/create", {"name": name, "gpuModelId": "rtx-3090"})
        vm_id: str = heard.body["id"]
        return vm_id

    def status(self, vm_id: str) -> str:
        status: str = self.get(f"/v1/vms/{vm_id}").body["status"]
        return status


def refused(heard: Heard, status: int, code: str, *named: str) -> None:
    assert (heard.status, heard.body["code"]) == (status, code), heard
    assert heard.headers["x-request-id"] == heard.body["requestId"]
    for word in named:
        assert word in heard.body["error"], heard.body
