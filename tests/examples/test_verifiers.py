"""The two sample verifiers, each a receiver of its own, against deliveries that the simulator signed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from simulator.adapters.courier import Courier
from simulator.domain.events import Outcome, Outgoing
from tests.support.cloud import Cloud
from tests.support.samples import EXAMPLES, program, script

WEBHOOKS = "/v1/orgs/{org}/webhooks"


def python(folder: Path) -> list[str]:
    return [sys.executable, str(EXAMPLES / "verify_webhook.py"), "0"]


def node(folder: Path) -> list[str]:
    return [program("node"), script("verify_webhook.ts", folder), "0"]


@pytest.fixture(params=[python, node])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts the sample with a secret; answers its URL."""
    started: list[subprocess.Popen[str]] = []

    def run(secret: str) -> str:
        command = request.param(tmp_path)
        with (tmp_path / "errors").open("w") as errors:
            process = subprocess.Popen(
                command,
                env={**os.environ, "WEBHOOK_SECRET": secret},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        started.append(process)
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("listening on "), (tmp_path / "errors").read_text()
        return line.removeprefix("listening on ").strip()

    yield run
    for process in started:
        process.kill()
        process.communicate()


class Copying:
    """The real courier, and what it was given."""

    def __init__(self) -> None:
        self.sent: list[tuple[Outgoing, Outcome]] = []

    def __call__(self, outgoing: Outgoing) -> Outcome:
        outcome = Courier()(outgoing)
        self.sent.append((outgoing, outcome))
        return outcome


@pytest.fixture
def delivered(cloud: Cloud, start: Callable[[str], str]) -> Outgoing:
    """A vm.running that the simulator sent to the sample, and that the sample accepted."""
    courier = Copying()
    cloud.simulator.courier = courier
    hook = cloud.post(WEBHOOKS + "/create", {"name": "sample", "url": "http://127.0.0.1:9"}).body
    assert cloud.patch(f"{WEBHOOKS}/{hook['id']}", {"url": start(hook["secret"])}).status == 200
    cloud.run_vm()
    ((outgoing, outcome),) = courier.sent
    assert outgoing.headers["X-VectorLay-Event"] == "vm.running"
    assert outcome == Outcome(status_code=204)
    return outgoing


def post(outgoing: Outgoing, body: bytes | None = None, **headers: str | None) -> int:
    """Send a delivery again, with another body or other headers; answers the status."""
    changed: dict[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name: value for name, value in {**outgoing.headers, **changed}.items() if value is not None}
    connection = HTTPConnection(urlsplit(outgoing.url).netloc, timeout=10)
    try:
        connection.request("POST", "/", outgoing.body if body is None else body, sent)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_genuine_delivery_is_accepted_as_often_as_it_comes(delivered: Outgoing) -> None:
    assert post(delivered) == 204


def test_a_changed_body_is_refused(delivered: Outgoing) -> None:
    assert post(delivered, delivered.body.replace(b"vm.running", b"vm.stopped")) == 401
    assert post(delivered, delivered.body.replace(b",", b", ", 1)) == 401
    assert post(delivered, b"") == 401


def test_a_changed_signature_is_refused(delivered: Outgoing) -> None:
    signature = delivered.headers["X-VectorLay-Signature"]
    last = "0" if signature[-1] != "0" else "1"
    for forged in (signature[:-1] + last, signature[:-1], signature.upper(), "sha256=", "\xe9", "", None):
        assert post(delivered, X_VectorLay_Signature=forged) == 401, forged


def test_another_secret_is_refused(delivered: Outgoing, start: Callable[[str], str]) -> None:
    other = start("whsec_of_somebody_else")
    assert Courier()(Outgoing("again", other, delivered.headers, delivered.body, 10)).status_code == 401
