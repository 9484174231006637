"""What `serve` prints: where the simulator is, its credentials, and calls that work when they are pasted."""

from __future__ import annotations

import json
import shlex

from simulator import __version__
from simulator.adapters.control import PREFIX
from simulator.domain import access, products
from simulator.engine import Simulator
from simulator.kernel.operation import Request
from simulator.worlds import DEFAULT, Worlds

BASE, KEY, ORG = "OPENRELAY_BASE_URL", "OPENRELAY_API_KEY", "ORG_ID"
URL, TOKEN = "OPENRELAY_SIM_URL", "OPENRELAY_SIM_CONTROL_TOKEN"
"""What the other commands read."""
JSON = "-H 'Content-Type: application/json'"


def greeting(worlds: Worlds, url: str, token: str, state_file: str = "") -> str:
    """Credentials as lines for a shell, then calls that use them; the last line is empty. With a file: the
    world has gone on from its state."""
    simulator = worlds.get(DEFAULT)
    exports = variables(simulator, url)
    calls = _control_calls(token)
    if KEY in exports:
        calls = _api_calls(_wanted(worlds, simulator, exports[ORG], exports[KEY]), calls[0])
    exports |= {TOKEN: token} if token else {}
    lines = [
        f"OpenRelay simulator {__version__}: {_world_line(worlds, simulator, state_file)}",
        "",
        f"  base URL      {url}",
        f"  control URL   {url}{PREFIX}",
        f"  reference     {url}{PREFIX}/docs",
        "",
        *(f"export {name}={shlex.quote(value)}" for name, value in exports.items()),
        "",
        *calls,
        "",
    ]
    return "\n".join(lines)


def variables(simulator: Simulator, url: str) -> dict[str, str]:
    """What a client reads from its environment, and what this command does when the client calls it."""
    full = [(key, secret) for key, secret in access.fixture_keys(simulator.world) if key.scopes is None]
    known = {BASE: url}
    for key, secret in full[:1]:
        known |= {KEY: secret, ORG: key.organization_id}
    return {**known, URL: url}


def _world_line(worlds: Worlds, simulator: Simulator, state_file: str) -> str:
    opening = worlds.opening(simulator.name)
    story = f", scenario {opening.scenario['title']!r}" if opening.scenario else ""
    origin = f"state {state_file}" if state_file else f"fixture {opening.fixture}{story}"
    profile = simulator.world.settings.word("profile")
    return f"world {simulator.name}, from {origin}, profile {profile}, clock {simulator.clock.mode}"


def _control_calls(token: str) -> list[str]:
    curl = _curl(TOKEN) if token else "curl"
    control = f"${BASE}{PREFIX}"
    return [
        f"""{curl} -d '{{"seconds": 90}}' {control}/clock/advance""",
        f"{curl} {control}",
        f"{curl} {control}/journal",
    ]


def _api_calls(wanted: str | None, advance: str) -> list[str]:
    """Who am I, what is free, a VM if there is room for one, time until it runs, and the list."""
    curl, vms = _curl(KEY), f"${BASE}/v1/orgs/${ORG}/vms"
    create = [f"{curl} {JSON} -d {shlex.quote(wanted)} {vms}/create"] if wanted else []
    free = f"{curl} ${BASE}/v1/gpu-availability"
    return [f"{curl} ${BASE}/v1/whoami", free, *create, advance, f"{curl} {vms}"]


def _curl(variable: str) -> str:
    return f'curl -H "Authorization: Bearer ${variable}"'


def _wanted(worlds: Worlds, simulator: Simulator, organization_id: str, secret: str) -> str | None:
    """The body that creates a VM: of the first GPU model there is room for, else without GPU. None where the
    world creates none at all, for want of money, room or an SSH key: a twin of it is asked."""
    with simulator.reading() as world:
        twin = Simulator(worlds.contract, world)
    models = [{"gpuModelId": row.id} for row in twin.world.rows(products.GpuModel) if not row.hidden]
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    for shape in [*models, {}]:
        body = json.dumps({"name": "trainer", **shape})
        path = f"/v1/orgs/{organization_id}/vms/create"
        if twin.call(Request("POST", path, headers=headers, body=body.encode())).status == 200:
            return body
    return None
