"""The container for Testcontainers: `pip install testcontainers` beside the simulator's image.

with OpenRelayContainer(scenario="node-lost", clock="stepped") as openrelay:
    train(openrelay.base_url, openrelay.api_key, openrelay.org_id)
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any
from urllib.request import urlopen

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy

IMAGE = "openrelay-simulator"
PORT = 8080


class OpenRelayContainer(DockerContainer):
    """A simulator in a container, healthy when it has started. Options are those of `serve`, by their names:
    `scenario`, `world`, `seed`, `clock`, `profile`, and so on."""

    def __init__(self, image: str = IMAGE, **options: object) -> None:
        super().__init__(image, ports=[PORT])
        for name, value in options.items():
            self.with_env(f"OPENRELAY_SIM_{name.upper()}", str(value))
        self.waiting_for(HttpWaitStrategy(PORT, "/_sim/health"))

    @property
    def base_url(self) -> str:
        """For a client's base URL."""
        return f"http://{self.get_container_host_ip()}:{self.get_exposed_port(PORT)}"

    @property
    def api_key(self) -> str:
        """A key with full access to `org_id`."""
        key: str = self._world["apiKey"]
        return key

    @property
    def org_id(self) -> str:
        """The organization of the key."""
        organization: str = self._world["organizationId"]
        return organization

    def advance(self, seconds: float) -> dict[str, Any]:
        """Let virtual time pass; settled when it returns."""
        return self._ask("/_sim/clock/advance", {"seconds": seconds})

    @cached_property
    def _world(self) -> dict[str, Any]:
        world: dict[str, Any] = self._ask("/_sim")["world"]
        return world

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(f"{self.base_url}{path}", data) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found
