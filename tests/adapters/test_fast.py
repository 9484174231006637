"""`serve --server granian`: the same cloud behind another server, and where the two differ."""

from __future__ import annotations

import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.command import PATIENCE_S, one_line, run
from tests.support.serving import Serve, Serving

WANTED = {"name": "trainer", "gpuModelId": "rtx-3090"}


@pytest.fixture
def fast(serve: Serve) -> Serving:
    return serve("--server", "granian", "--clock", "manual")


def ask(serving: Serving, method: str, path: str, body: Any = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {serving.exports['OPENRELAY_API_KEY']}"}
    url = serving.url + path.replace("{org}", serving.org)
    return requests.request(method, url, json=body, headers=headers, timeout=PATIENCE_S)


def fault(serving: Serving, do: dict[str, Any]) -> None:
    rule = {"on": "request", "operation": "whoami", "do": do}
    assert ask(serving, "POST", "/_sim/faults", rule).status_code == 200


def test_it_is_the_same_cloud(fast: Serving) -> None:
    made = ask(fast, "POST", "/v1/orgs/{org}/vms/create", WANTED)
    assert made.status_code == 200
    ask(fast, "POST", "/_sim/clock/advance", {"seconds": 120})
    assert ask(fast, "GET", f"/v1/vms/{made.json()['id']}").json()["status"] == "running"
    assert ask(fast, "POST", "/v1/orgs/{org}/vms/create", {"name": ""}).json()["code"] == "bad_request"


def test_it_ends_with_a_signal_and_saves_its_state(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    first = serve("--server", "granian", "--save-on-exit", file)
    ask(first, "POST", "/v1/orgs/{org}/vms/create", WANTED)
    with requests.get(f"{first.url}/_sim/journal/stream", stream=True, timeout=PATIENCE_S) as stream:
        assert next(stream.iter_lines()) == b": journal"
        assert first.stop(signal.SIGTERM)[::2] == (0, "")
    again = serve("--server", "granian", "--state", file)
    listed = ask(again, "GET", "/v1/orgs/{org}/vms").json()["items"]
    assert [vm["name"] for vm in listed] == ["trainer"]
    assert again.stop(signal.SIGINT)[::2] == (0, "")


def test_a_receiver_may_call_the_api_back_while_time_is_moved(fast: Serving) -> None:
    answered: list[int] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answered.append(ask(fast, "GET", "/v1/whoami").status_code)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        hook = {"name": "all", "url": f"http://127.0.0.1:{receiver.server_port}/", "events": []}
        assert ask(fast, "POST", "/v1/orgs/{org}/webhooks/create", hook).status_code == 200
        ask(fast, "POST", "/v1/orgs/{org}/vms/create", WANTED)
        ask(fast, "POST", "/_sim/clock/advance", {"seconds": 120})
        receiver.shutdown()
    assert answered
    assert set(answered) == {200}


@pytest.mark.parametrize("do", [{"reset": True}, {"hang": {"seconds": 60}}, {"lose_answer": True}])
def test_what_would_cut_the_connection_is_502(fast: Serving, do: dict[str, Any]) -> None:
    fault(fast, do)
    answer = ask(fast, "GET", "/v1/whoami")
    assert (answer.status_code, answer.json()["code"]) == (502, "bad_gateway")
    assert "by a fault of the simulator" in answer.json()["error"]


def test_a_body_is_lost_half_way_here_too(fast: Serving) -> None:
    fault(fast, {"truncate": {"bytes": 10}})
    with pytest.raises(requests.RequestException):
        ask(fast, "GET", "/v1/whoami")


def test_without_the_package_it_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "granian.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run("serve", "--server", "granian", port="0")
    assert done.returncode == 2
    assert 'pip install "openrelay-simulator[fast]"' in one_line(done)


def test_a_port_that_is_taken_is_told(fast: Serving) -> None:
    port = fast.url.rpartition(":")[2]
    done = run("serve", "--server", "granian", port=port)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in one_line(done)
