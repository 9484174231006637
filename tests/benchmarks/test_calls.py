"""What a request costs, counted instead of timed: the functions of the simulator that it calls.

The figures are those of tests/benchmarks/calls.json, give or take a tenth. Where one has a reason to change,
`pytest tests/benchmarks/test_calls.py --write-calls` writes them anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from simulator.kernel.operation import Request
from tests.support.cloud import Cloud

BASELINE = Path(__file__).with_name("calls.json")
SPARE = 1.1
INLINED = {"<listcomp>", "<dictcomp>", "<setcomp>"}
"""Functions in Python 3.11, and none in later ones."""
WANTED = b'{"name": "trainer", "gpuModelId": "rtx-3090"}'
PAGE = 50


def post(cloud: Cloud, path: str, body: bytes = b"") -> Callable[[], Any]:
    headers = {"authorization": f"Bearer {cloud.key}", "content-type": "application/json"}
    request = Request("POST", path.replace("{org}", cloud.org), "", headers, body)
    return lambda: cloud.worlds.call(request)


def get(cloud: Cloud, path: str, query: str = "") -> Callable[[], Any]:
    headers = {"authorization": f"Bearer {cloud.key}"}
    request = Request("GET", path.replace("{org}", cloud.org), query, headers, b"")
    return lambda: cloud.worlds.call(request)


def create() -> Callable[[], Any]:
    cloud = Cloud()
    cloud.launch()
    return post(cloud, "/v1/orgs/{org}/vms/create", WANTED)


def look() -> Callable[[], Any]:
    cloud = Cloud()
    return get(cloud, f"/v1/vms/{cloud.run_vm()['id']}")


def page() -> Callable[[], Any]:
    cloud = Cloud("large")
    again = get(cloud, "/v1/orgs/{org}/vms", f"limit={PAGE}")
    again()  # what is compiled the first time does not count
    return again


def stop() -> Callable[[], Any]:
    cloud = Cloud("empty")
    first, second = cloud.run_vm("a"), cloud.run_vm("b")
    assert post(cloud, f"/v1/vms/{first['id']}/stop")().status == 200
    return post(cloud, f"/v1/vms/{second['id']}/stop")


def advance() -> Callable[[], Any]:
    cloud = Cloud("empty")
    cloud.run_vm("a")
    cloud.launch("b")
    return lambda: cloud.advance(90)


def functions_called(call: Callable[[], Any]) -> int:
    count, outer = 0, sys.getprofile()

    def look(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        if event == "call" and str(frame.f_globals.get("__name__", "")).startswith("simulator."):
            count += frame.f_code.co_name not in INLINED

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(outer)
    return count


TYPICAL = {
    "create": create,
    "get": look,
    f"page of {PAGE}": page,
    "stop": stop,
    "advance over a start": advance,
}


@pytest.mark.parametrize("name", TYPICAL)
def test_a_typical_call_takes_no_more_than_it_did(name: str, request: pytest.FixtureRequest) -> None:
    count = functions_called(TYPICAL[name]())
    known: dict[str, int] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if request.config.getoption("--write-calls"):
        BASELINE.write_text(json.dumps({**known, name: count}, indent=1, sort_keys=True) + "\n")
    else:
        assert count <= SPARE * known[name]
        assert known[name] <= SPARE * count, "it takes much less; write that down with --write-calls"
