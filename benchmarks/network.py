"""Target 4: calls over the network, beside a bare Flask application and other projects' simulators.

wrk asks over eight connections, as fast as it is answered; the servers take turns.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks import peers
from benchmarks.comparison import Comparison, Effort, Measure
from benchmarks.peers import Peer
from benchmarks.processes import Call, running

CONNECTIONS = 8
MOST_ROUNDS = 3
SECONDS_PER_EFFORT = 30
"""A load takes so many times as long as one measurement in process, a second at the least."""
WARM_S = 1

CALLS: dict[str, Callable[[Peer], Call]] = {
    "page of 50": lambda peer: peer.page,
    "create": lambda peer: peer.create,
}
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}

Bounds = tuple[float | None, float | None]
"""Of a page and of a create."""
BESIDE: tuple[tuple[str, Callable[[], Peer | None], dict[str, Bounds]], ...] = (
    ("Prism", peers.prism, {"per_call_s": (1 / 2, 1 / 2), "p99_s": (1, 1)}),
    ("moto", peers.moto, {"per_call_s": (1 / 25, 1 / 12)}),
    ("Mockoon", peers.mockoon, {"per_call_s": (None, None)}),
    ("azurite", peers.azurite, {"per_call_s": (None, None)}),
)
"""Other projects' simulators, and what is bound for each figure of a load."""


class Load(NamedTuple):
    """What a load has shown."""

    per_call_s: float
    p99_s: float


def compare(effort: Effort) -> Iterator[Comparison]:
    """Ours beside what Flask costs alone on the same server; the faster server beside the usual one."""
    if not shutil.which("wrk"):
        print("    left out: loads over the network; apt-get install wrk")
        return
    ours = peers.simulator()
    yield from versus(effort, "over HTTP / bare Flask app", (ours, peers.floor()), (1 / 0.6, 1 / 0.6))
    yield from versus(effort, "over HTTP, granian / waitress", (peers.simulator("granian"), ours))


def beside_peers(effort: Effort) -> Iterator[Comparison]:
    if not shutil.which("wrk"):
        return
    for name, find, figures in BESIDE:
        peer = find()
        if peer is None:
            print(f"    left out: {name}; make bench installs it")
            continue
        for figure, bounds in figures.items():
            what = f"over HTTP{', p99' if figure == 'p99_s' else ''} / {name}"
            yield from versus(effort, what, (peers.simulator(), peer), bounds, figure)


def versus(
    effort: Effort,
    what: str,
    both: tuple[Peer, Peer],
    at_most: Bounds = (None, None),
    figure: str = "per_call_s",
) -> Iterator[Comparison]:
    for (call, of), bound in zip(CALLS.items(), at_most, strict=True):
        ours, other = (measured(peer, of(peer), effort, figure) for peer in both)
        yield Comparison(4, f"{call} {what}", ours, other, bound, most_rounds=MOST_ROUNDS)


def measured(peer: Peer, call: Call, effort: Effort, figure: str) -> Measure:
    seconds = max(1, round(effort.seconds * SECONDS_PER_EFFORT))

    def run() -> float:
        with running(peer.server) as port:
            if seconds > WARM_S:
                load(port, call, WARM_S)
            value: float = getattr(load(port, call, seconds), figure)
            return value

    return run


def load(port: int, call: Call, seconds: int) -> Load:
    """AssertionError where an answer is a refusal, or none comes."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(lua(call))
        script.flush()
        options = (
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{seconds}s",
            "--timeout",
            "60s",
            "--latency",
            "-s",
            script.name,
        )
        command = ["wrk", *options, f"http://127.0.0.1:{port}{call.path}"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert not re.search("Non-2xx|Socket errors", said), said
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    slowest = re.search(r"99%\s+([\d.]+)(\w+)", said)
    assert rate, said
    assert slowest, said
    return Load(1 / float(rate[1]), float(slowest[1]) * UNITS[slowest[2]])


def lua(call: Call) -> str:
    """The call as wrk's scripts say it. A JSON text with plain characters is one in Lua too."""
    lines = [f"wrk.method = {json.dumps(call.method)}", f"wrk.body = {json.dumps(call.body)}"]
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(text)}" for name, text in call.headers.items()]
    return "\n".join(lines) + "\n"
