"""What a resource file registers: operations, actions, timers, and the rows a fixture brings.

An `Area` collects them by decorators, so that a resource file reads top to bottom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from simulator.kernel.machine import Machine
from simulator.kernel.world import Row, World

F = TypeVar("F", bound=Callable[..., Any])

ROLES = ("viewer", "member", "admin", "owner")
"""From the least to the most; each may do what those before it may."""


class Request(msgspec.Struct, frozen=True):
    """An HTTP request as plain data: `path` percent-decoded, `query` raw, header names in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    endpoint: str = ""
    """The first label of a workload's endpoint, where it goes there and not to the API."""


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault lets happen to an answer on its way to the client."""

    wait_s: float = 0.0
    """Seconds before it, or over which its chunks come. The engine lets virtual ones pass; what is left
    when it hands the reply over is real."""
    real: bool = False
    """Real seconds, whatever the clock."""
    cut: bool = False
    """The connection is cut in place of an answer."""
    silent: bool = False
    """Cut without a word, so that a client without a timeout of its own learns nothing."""
    bytes: int | None = None
    """So many bytes of the body are sent, and the connection is cut."""
    chunks: int = 1
    """Pieces in which the body is sent."""

    def after(self, wait_s: float) -> Wire:
        """The same with another wait."""
        return msgspec.structs.replace(self, wait_s=wait_s)


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer as plain data."""

    status: int
    body: bytes
    headers: dict[str, str]
    wire: Wire | None = None


class Content(msgspec.Struct, frozen=True):
    """What an operation answers that is no JSON."""

    body: bytes
    media_type: str
    headers: dict[str, str] = {}


class Principal(msgspec.Struct, frozen=True):
    """Who calls: an API key acting for its organization, or a user's session."""

    kind: str
    """"api_key" or "user"."""
    id: str
    user_id: str
    organization_id: str
    """The key's organization; a session's default one, "" when it has none."""
    scopes: tuple[str, ...] | None = None
    """None: full access."""


class Call(msgspec.Struct, frozen=True):
    """One checked call of an operation: the contract has accepted it, access has been granted."""

    world: World
    principal: Principal
    organization_id: str
    """The organization the call acts in: of the path, of the row found, else of the principal."""
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    headers: Mapping[str, str]

    @property
    def origin(self) -> str:
        """Where the caller reached the simulator; behind a proxy that ends TLS, as that one says."""
        secure = self.headers.get("x-forwarded-proto", "") == "https"
        return f"{'https' if secure else 'http'}://{self.headers.get('host') or 'localhost'}"


class Operation(msgspec.Struct, frozen=True):
    """How one operation of the contract is carried out, and who may ask for it."""

    id: str
    function: Callable[..., Any]
    area: str
    scope: str
    """Scope family, see domain/access: vms, clusters, billing, admin, any, inference."""
    write: bool
    role: str
    """The least role a session needs; "" where the call is the person's own, in no organization."""
    keys_allowed: str
    """yes, no, or the setting that shuts API keys out while it is false, or reads `session`."""
    finds: type[Row] | None
    """The row that {id} in the path names; the function gets it as its second argument."""
    owner: str
    """The field of that row that names the organization whose it is for this call."""
    effects: str
    """For the table of operations: states or effects in a few words."""
    feature: str = ""
    """What the organization has to have for this call; see domain/access: check_feature."""


class Action(msgspec.Struct, frozen=True):
    """Something the outside world does to the cloud."""

    name: str
    function: Callable[[World, Any], Any]
    arguments: type[msgspec.Struct]

    @property
    def meaning(self) -> str:
        return (self.function.__doc__ or "").strip().splitlines()[0]

    @property
    def described(self) -> dict[str, Any]:
        """Its row in the catalogue, with a JSON schema of what it takes."""
        return {
            "name": self.name,
            "meaning": self.meaning,
            "arguments": msgspec.json.schema(self.arguments),
        }


class Seed(msgspec.Struct, frozen=True):
    """A section of a fixture and the function that makes rows of it."""

    section: str
    function: Callable[[World, Any], None]
    form: Any
    """The msgspec type of the section; unknown keys are refused."""


class Area:
    """One tag of the contract: everything that its resource file registers."""

    def __init__(self, tag: str, *, scope: str, machine: Machine | None = None, feature: str = "") -> None:
        self.tag = tag
        self.scope = scope
        self.machine = machine
        self.feature = feature
        self.operations: dict[str, Operation] = {}
        self.actions: dict[str, Action] = {}
        self.timers: dict[str, Callable[..., None]] = {}
        self.seeds: list[Seed] = []

    def operation(
        self,
        operation_id: str,
        *,
        write: bool = False,
        role: str | None = None,
        finds: type[Row] | None = None,
        **more: str,
    ) -> Callable[[F], F]:
        """Register the function that carries out an operation.

        `more` may give `scope` or `feature` (other ones than the area's), `keys_allowed`, `effects`, and
        `owner` where the row found is looked at as another organization's than its `organization_id` says.

        A function raises a Refusal while it has changed nothing. Where the service says no and leaves a mark
        all the same, it returns the Refusal.
        """

        def register(function: F) -> F:
            self.operations[operation_id] = Operation(
                id=operation_id,
                function=function,
                area=self.tag,
                scope=more.get("scope", self.scope),
                write=write,
                role=role if role is not None else "member" if write else "viewer",
                keys_allowed=more.get("keys_allowed", "yes"),
                finds=finds,
                owner=more.get("owner", "organization_id"),
                effects=more.get("effects", "–"),
                feature=more.get("feature", self.feature),
            )
            return function

        return register

    def action(self, name: str, arguments: type[msgspec.Struct]) -> Callable[[F], F]:
        """Register what the outside world can do; its docstring's first line is the catalogue's."""

        def register(function: F) -> F:
            self.actions[name] = Action(name, function, arguments)
            return function

        return register

    def timer(self, name: str) -> Callable[[F], F]:
        """Register the function that a timer of this name calls with the world and the timer's arguments."""

        def register(function: F) -> F:
            self.timers[name] = function
            return function

        return register

    def seed(self, section: str, form: Any) -> Callable[[F], F]:
        """Register the function that makes rows of a fixture's section."""

        def register(function: F) -> F:
            self.seeds.append(Seed(section, function, form))
            return function

        return register
