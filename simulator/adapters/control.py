"""The control surface, `/_sim/…`: worlds, clock, actions and journal, for tests and for people.

It has a contract of its own, control.json, and is checked by the same classes as the API.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import cached_property
from hmac import compare_digest
from typing import Any
from uuid import uuid4

import msgspec

from simulator import __version__, assets
from simulator.adapters import observe, reference, rehearsal, report
from simulator.adapters.asked import Asked, Streamed, Text
from simulator.contract import Answer, Contract, NoRoute, OperationSpec, Problem, Route
from simulator.domain import access
from simulator.engine import Advanced, ClockState, Simulator
from simulator.fixture import FixtureError
from simulator.kernel.clock import Grade
from simulator.kernel.instant import iso, parse_iso
from simulator.kernel.operation import Reply, Request
from simulator.kernel.refusal import Refusal
from simulator.kernel.settings import SETTINGS, Settings, UnknownSetting, expects
from simulator.kernel.world import World
from simulator.registry import ACTIONS
from simulator.resources import files
from simulator.scenario.document import ScenarioError
from simulator.worlds import DEFAULT, Opening, Worlds

PREFIX = "/_sim"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
LONGEST_MESSAGE = 1000
LOOPBACK = re.compile(r"(localhost|[a-z0-9.-]+\.localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?", re.IGNORECASE)

_DEFAULTS = Settings()
_log = logging.getLogger("simulator")


def check_token(token: str) -> str:
    """The control token, if a header can carry it as it is. Raises ValueError."""
    if not all("!" <= character <= "~" for character in token):
        raise ValueError("a control token is made of visible ASCII characters, without spaces")
    return token


class Control:
    """Answers the calls of the control surface; `loopback`: they may come from this machine alone."""

    def __init__(self, worlds: Worlds, token: str = "", loopback: bool = True) -> None:
        self._worlds = worlds
        self._token = check_token(token)
        self._loopback = loopback

    @cached_property
    def contract(self) -> Contract:
        return Contract(assets.control_document())

    def answer(self, request: Request, base_url: str, refusal: Refusal | None = None) -> Reply | Streamed:
        """Never raises for what a caller did. A refusal that stands already is the answer."""
        headers = {"X-Request-Id": str(uuid4())}
        route = self.contract.route(request.method, request.path)
        spec = route.operation if isinstance(route, Route) else None
        try:
            self._check_access(request, spec)
            if refusal is not None:
                raise refusal
            if isinstance(route, NoRoute):
                headers |= {"Allow": ", ".join(route.allowed)} if route.allowed else {}
                raise _no_route(request, route)
            status, value = route.operation.success, self._carry_out(route, request, base_url)
        except Refusal as found:
            status, value = _error(found, headers["X-Request-Id"])
        except (FixtureError, ScenarioError, UnknownSetting) as problem:
            status, value = _error(Refusal("bad_request", str(problem)), headers["X-Request-Id"])
        if isinstance(value, Streamed):
            return value
        reply = _reply(status, value, headers)
        if spec is not None:
            self._check_answer(spec, reply, value)
        return reply

    def _check_access(self, request: Request, spec: OperationSpec | None) -> None:
        """A web page may not reach the surface, neither from its own Origin nor under a Host that it had
        resolved to this machine. Health is open to all."""
        if spec is not None and spec.auth == "none":
            return
        host, origin = request.headers.get("host", ""), request.headers.get("origin", "")
        if self._loopback and host and not LOOPBACK.fullmatch(host):
            raise Refusal("forbidden", f"Host {host[:80]!r} is foreign; served on loopback, take localhost")
        if origin and origin not in (f"http://{host}", f"https://{host}"):
            raise Refusal("forbidden", f"Origin {origin[:80]!r} is foreign; other sites may not steer worlds")
        if self._token:
            self._check_token(access.bearer(request.headers))

    def _check_token(self, sent: str) -> None:
        if not sent:
            raise Refusal("unauthorized", "send Authorization: Bearer with the value of --control-token")
        if not compare_digest(sent.encode(), self._token.encode()):
            raise Refusal(
                "unauthorized", "the bearer token that was sent is not the value of --control-token"
            )

    def _carry_out(self, route: Route, request: Request, base_url: str) -> Any:
        headers = dict(request.headers)
        if headers.get("content-type") == FORM:
            del headers["content-type"]  # curl says so of all it is given with -d
        checked = self.contract.check_request(route, request.query, headers, request.body)
        if checked.unknown_fields:
            raise Refusal("bad_request", _unknown(route.operation, checked.unknown_fields[0]))
        if checked.problem is not None:
            raise Refusal("bad_request", _explained(route.operation, checked.problem))
        asked = Asked(self._worlds, base_url, route.path_values, checked.query, checked.body, request.headers)
        return ANSWERS[route.operation.id](asked)

    def _check_answer(self, spec: OperationSpec, reply: Reply, value: Any) -> None:
        """An answer that breaks the contract is our bug: it is logged, and the caller still gets it."""
        answer = Answer(reply.status, reply.headers.get("Content-Type", ""), value, reply.body, reply.headers)
        problem = self.contract.check_response(spec, answer)
        if problem is not None:
            _log.error("%s answered what control.json does not say: %s", spec.id, problem.message)


def _no_route(request: Request, route: NoRoute) -> Refusal:
    path = request.path[:200]
    if not route.allowed:
        there = f"GET {PREFIX} is the overview, GET {PREFIX}/openapi.json lists all there is"
        return Refusal("not_found", f"nothing at {path}; {there}")
    return Refusal(
        "method_not_allowed",
        f"{request.method} is not known at {path}; known are {', '.join(route.allowed)}",
    )


def _unknown(operation: OperationSpec, name: str) -> str:
    known = operation.names
    if name in SETTINGS and "settings" in known:
        return f'{name!r} is unknown to {operation.id}, but a setting: give it within "settings"'
    return f"{name[:80]!r} is unknown to {operation.id}; known are {', '.join(known) or 'none'}"


def _explained(operation: OperationSpec, problem: Problem) -> str:
    """What is wrong; where the body as a whole is, with what its schema says of itself."""
    meaning = operation.body.meaning if operation.body and problem.where == "body" else ""
    return f"{problem.message}; {meaning}" if meaning else problem.message


def _error(refusal: Refusal, request_id: str) -> tuple[int, dict[str, Any]]:
    message, code = refusal.message[:LONGEST_MESSAGE], refusal.wire_code(_DEFAULTS)
    return refusal.status(_DEFAULTS), {"error": message, "code": code, "requestId": request_id}


def _reply(status: int, value: Any, headers: dict[str, str]) -> Reply:
    if value is None:
        return Reply(status, b"", headers)
    if isinstance(value, Text):
        return Reply(status, value.content, {**headers, "Content-Type": value.media_type})
    return Reply(status, msgspec.json.encode(value), {**headers, "Content-Type": JSON})


# -- the simulator -----------------------------------------------------------------------------------------


def get_health(asked: Asked) -> dict[str, Any]:
    return {"status": "ok", "version": __version__, "worlds": len(asked.worlds)}


def get_overview(asked: Asked) -> dict[str, Any]:
    return {
        "version": __version__,
        "baseUrl": asked.base_url,
        "controlUrl": asked.base_url + PREFIX,
        "world": world_view(asked, asked.simulator),
        "worlds": [each.name for each in asked.worlds],
    }


def get_control_document(asked: Asked) -> dict[str, Any]:
    return assets.control_document()


def list_settings(asked: Asked) -> dict[str, Any]:
    values = asked.simulator.world.settings
    return {
        "items": [
            {
                "key": key,
                "meaning": row.meaning,
                "expects": expects(row),
                "default": row.default,
                "value": values[key],
            }
            for key, row in SETTINGS.items()
        ]
    }


# -- worlds ------------------------------------------------------------------------------------------------


def list_worlds(asked: Asked) -> dict[str, Any]:
    return {"items": [world_view(asked, each) for each in asked.worlds]}


def open_world(asked: Asked) -> dict[str, Any]:
    base = asked.worlds.opening(DEFAULT)
    return world_view(asked, asked.worlds.open(asked.body["name"], _opening(base, asked.body)))


def get_world(asked: Asked) -> dict[str, Any]:
    return world_view(asked, asked.worlds.get(asked.path["name"]))


def delete_world(asked: Asked) -> None:
    asked.worlds.delete(asked.path["name"])


def fork_world(asked: Asked) -> dict[str, Any]:
    return world_view(asked, asked.worlds.fork(asked.path["name"], asked.body["name"]))


def reset_world(asked: Asked) -> dict[str, Any]:
    name = asked.simulator.name
    opening = _opening(asked.worlds.opening(name), asked.body) if asked.body else None
    return world_view(asked, asked.worlds.reset(name, opening))


def _opening(base: Opening, body: dict[str, Any]) -> Opening:
    """What was opened before, with what a body gives. Over HTTP no files are opened that the owner of the
    process did not name [choice]."""
    fixture = body.get("fixture")
    if fixture not in (None, base.fixture) and fixture not in assets.names("fixtures"):
        known = ", ".join(assets.names("fixtures"))
        raise Refusal("bad_request", f"no bundled world {fixture[:80]!r}; there are {known}")
    if "scenario" in body:
        base = Opening.of_scenario(rehearsal.bundled(body["scenario"]), base.clock)
    clock = _clock_state(base.clock, body["clock"]) if "clock" in body else None
    return base.but(fixture, body.get("seed"), body.get("settings"), clock)


def world_view(asked: Asked, one: Simulator) -> dict[str, Any]:
    """A world as the surface shows it, with the keys its fixture brought."""
    with one.reading() as world:
        keys = [_credential(key, secret) for key, secret in access.fixture_keys(world)]
        view = {
            "name": world.name,
            "fixture": asked.worlds.opening(one.name).fixture,
            "seed": world.streams.seed,
            "profile": world.settings.word("profile"),
            "credentials": keys,
        }
    full = next((key for key in keys if "scopes" not in key), None)
    if full is not None:
        view |= {"apiKey": full["key"], "organizationId": full["organizationId"]}
    return view | {"clock": clock_view(one)}


def _credential(key: access.ApiKey, secret: str) -> dict[str, Any]:
    view: dict[str, Any] = {"name": key.name, "key": secret, "organizationId": key.organization_id}
    return view if key.scopes is None else {**view, "scopes": list(key.scopes)}


# -- states ------------------------------------------------------------------------------------------------


def get_state(asked: Asked) -> dict[str, Any]:
    return asked.simulator.save(secrets=asked.query.get("secrets") == "include")


def put_state(asked: Asked) -> dict[str, Any]:
    asked.simulator.load(asked.body)
    return world_view(asked, asked.simulator)


def list_checkpoints(asked: Asked) -> dict[str, Any]:
    return {"items": [checkpoint_view(name, moment) for name, moment in asked.simulator.checkpoints]}


def get_checkpoint(asked: Asked) -> dict[str, Any]:
    name = asked.path["name"]
    return checkpoint_view(name, asked.simulator.checkpoints.get(name))


def keep_checkpoint(asked: Asked) -> dict[str, Any]:
    asked.simulator.mark(asked.path["name"])
    return get_checkpoint(asked)


def delete_checkpoint(asked: Asked) -> None:
    asked.simulator.checkpoints.forget(asked.path["name"])


def restore_checkpoint(asked: Asked) -> dict[str, Any]:
    asked.simulator.restore(asked.path["name"])
    return world_view(asked, asked.simulator)


def checkpoint_view(name: str, moment: World) -> dict[str, Any]:
    return {"name": name, "now": iso(moment.now_ms), "serial": moment.journal.serial}


# -- clock -------------------------------------------------------------------------------------------------


def get_clock(asked: Asked) -> dict[str, Any]:
    return clock_view(asked.simulator)


def set_clock(asked: Asked) -> dict[str, Any]:
    one = asked.simulator
    one.set_clock(_clock_state(one.clock, asked.body))
    return clock_view(one)


def clock_view(one: Simulator) -> dict[str, Any]:
    clock = one.clock
    with one.reading() as world:
        pending = [timer.due_ms for timer in world.clock.pending() if timer.grade is Grade.work]
        now_ms = one.now_ms
    view = {"mode": clock.mode, "rate": clock.rate, "step": clock.step_s, "now": iso(now_ms)}
    return {**view, "pending": len(pending), **({"nextAt": iso(min(pending))} if pending else {})}


def _clock_state(base: ClockState, body: dict[str, Any]) -> ClockState:
    return ClockState(
        mode=body.get("mode", base.mode),
        rate=body.get("rate", base.rate),
        step_s=body.get("step", base.step_s),
    )


def advance_clock(asked: Asked) -> dict[str, Any]:
    advanced = _advance(asked.simulator, asked.body)
    return {
        "from": iso(advanced.from_ms),
        "now": iso(advanced.now_ms),
        "events": advanced.events,
        "deliveries": advanced.deliveries,
    }


def _advance(one: Simulator, body: dict[str, Any]) -> Advanced:
    if "seconds" in body:
        return one.advance(body["seconds"])
    if "to" in body:
        return one.advance_to(_moment(body["to"]))
    until = body["until"]
    if isinstance(until, dict):
        return one.advance_until_status(until["resource"], until["status"])
    return one.advance_until(until)


def _moment(text: str) -> int:
    try:
        return parse_iso(text)
    except ValueError as problem:
        raise Refusal("bad_request", f"to: {text[:80]!r} is no moment: {problem}") from None


# -- actions -----------------------------------------------------------------------------------------------


def list_actions(asked: Asked) -> dict[str, Any]:
    return {"items": [row.described for row in ACTIONS.values()]}


def do_action(asked: Asked) -> dict[str, Any]:
    return {"result": asked.simulator.do(asked.path["name"], asked.body or {})}


# -- uploads -----------------------------------------------------------------------------------------------


def put_upload(asked: Asked) -> None:
    """The token in a signed address tells the world; it does not reach the journal."""
    token, content = asked.path["token"], asked.body
    one = asked.worlds.tagged(token)
    one.let("file.put", {"bytes": len(content)}, lambda world: files.receive(world, token, content))


ANSWERS: dict[str, Callable[[Asked], Any]] = {
    "getOverview": get_overview,
    "getHealth": get_health,
    "getControlDocument": get_control_document,
    "listSettings": list_settings,
    "listWorlds": list_worlds,
    "openWorld": open_world,
    "getWorld": get_world,
    "deleteWorld": delete_world,
    "forkWorld": fork_world,
    "resetWorld": reset_world,
    "getState": get_state,
    "putState": put_state,
    "listCheckpoints": list_checkpoints,
    "getCheckpoint": get_checkpoint,
    "keepCheckpoint": keep_checkpoint,
    "deleteCheckpoint": delete_checkpoint,
    "restoreCheckpoint": restore_checkpoint,
    "getClock": get_clock,
    "setClock": set_clock,
    "advanceClock": advance_clock,
    "listActions": list_actions,
    "doAction": do_action,
    "putUpload": put_upload,
    **rehearsal.ANSWERS,
    **observe.ANSWERS,
    **reference.ANSWERS,
    **report.ANSWERS,
}
