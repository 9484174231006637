"""The control surface: every call, every refusal, and each answer as control.json says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from simulator import __version__, assets
from simulator.adapters.control import ANSWERS
from simulator.adapters.web import create_app
from simulator.domain.events import Outcome
from simulator.engine import FASTEST_RATE, LONGEST_STEP_S, MODES, ClockState
from simulator.kernel.journal import KINDS
from simulator.kernel.settings import SETTINGS
from simulator.registry import ACTIONS
from simulator.worlds import DEFAULT, MOST_WORLDS, Opening, Worlds
from tests.support.http import through_wsgi
from tests.support.surface import CONTRACT, Surface, refused

START = "2026-06-15T09:00:00.000Z"


# -- the document


def test_the_document_is_valid_openapi_3_1_and_names_what_is_answered() -> None:
    document = assets.control_document()
    OpenAPIV31SpecValidator(document).validate()
    assert set(CONTRACT.operations) == set(ANSWERS)


def test_the_document_repeats_the_lists_and_limits_of_the_code() -> None:
    schemas = assets.control_document()["components"]["schemas"]
    assert tuple(schemas["ClockMode"]["enum"]) == MODES
    change = schemas["ClockChange"]["properties"]
    assert (change["rate"]["maximum"], change["step"]["maximum"]) == (FASTEST_RATE, LONGEST_STEP_S)
    parameters = assets.control_document()["paths"]["/_sim/journal"]["get"]["parameters"]
    assert parameters[1]["schema"]["enum"] == list(KINDS)


def test_the_document_is_served(sim: Surface) -> None:
    assert sim.get("/_sim/openapi.json").body == assets.control_document()


# -- the simulator


def test_health_says_ok(sim: Surface) -> None:
    assert sim.get("/_sim/health").body == {"status": "ok", "version": __version__, "worlds": 1}


def test_the_overview_holds_what_a_client_needs(sim: Surface) -> None:
    body = sim.get("/_sim", host="127.0.0.1:8080").body
    assert body["baseUrl"] == "http://127.0.0.1:8080"
    assert body["controlUrl"] == "http://127.0.0.1:8080/_sim"
    assert body["worlds"] == ["default"]
    world = body["world"]
    assert (world["apiKey"], world["organizationId"]) == (sim.key, sim.org)
    assert (world["name"], world["fixture"], world["seed"]) == ("default", "default", 0)
    assert world["profile"] == "2026-06"
    assert world["clock"]["now"] == START
    assert world["credentials"][0]["key"] == sim.key


def test_the_keys_of_the_overview_open_the_api(sim: Surface) -> None:
    world = sim.get("/_sim").body["world"]
    for credential in world["credentials"]:
        heard = sim.get("/v1/whoami", authorization=f"Bearer {credential['key']}")
        assert heard.body["organizationId"] == credential["organizationId"]


def test_settings_show_meaning_default_and_present_value(sim: Surface) -> None:
    sim.post("/_sim/worlds", {"name": "other", "settings": {"billing.tick_s": 7}})
    rows = {row["key"]: row for row in sim.get("/_sim/settings?world=other").body["items"]}
    assert list(rows) == list(SETTINGS)
    tick = rows["billing.tick_s"]
    assert (tick["default"], tick["value"], tick["expects"]) == (60, 7, "a whole number of at least 1")


# -- worlds


def test_an_opened_world_answers_its_own_key_and_meets_no_other(sim: Surface) -> None:
    sim.launch()
    world = sim.post("/_sim/worlds", {"name": "mine", "seed": 7}).body
    assert (world["name"], world["seed"]) == ("mine", 7)
    assert world["apiKey"] != sim.key
    heard = sim.get(f"/v1/orgs/{world['organizationId']}/vms", authorization=f"Bearer {world['apiKey']}")
    assert heard.body["items"] == []
    assert [each["name"] for each in sim.get("/_sim/worlds").body["items"]] == ["default", "mine"]


def test_an_opened_world_begins_as_the_default_one_was_opened_unless_it_says_otherwise() -> None:
    sim = Surface()
    opening = Opening(seed=3, settings={"billing.tick_s": 7}, clock=ClockState(mode="stepped", step_s=9))
    sim.worlds = Worlds()
    sim.worlds.open(DEFAULT, opening)
    sim.send = through_wsgi(create_app(sim.worlds))
    plain = sim.post("/_sim/worlds", {"name": "plain"}).body
    assert (plain["seed"], plain["clock"]["mode"], plain["clock"]["step"]) == (3, "stepped", 9)
    own = {"name": "own", "seed": 4, "settings": {"billing.floor_cents": 1}, "clock": {"mode": "manual"}}
    body = sim.post("/_sim/worlds", own).body
    assert (body["seed"], body["clock"]["mode"], body["clock"]["step"]) == (4, "manual", 9)
    settings = sim.worlds.get("own").world.settings
    assert (settings["billing.tick_s"], settings["billing.floor_cents"]) == (7, 1)


def test_a_world_is_shown_by_its_name(sim: Surface) -> None:
    opened = sim.post("/_sim/worlds", {"name": "mine", "seed": 7, "fixture": "empty"}).body
    assert sim.get("/_sim/worlds/mine").body == opened
    assert sim.get("/_sim/worlds/default").body == sim.get("/_sim").body["world"]
    refused(sim.get("/_sim/worlds/mien"), 404, "not_found", "no world 'mien'; did you mean 'mine'?")


def test_a_profile_is_a_setting_of_a_new_world(sim: Surface) -> None:
    body = {"name": "later", "settings": {"profile": "2026-10"}}
    assert sim.post("/_sim/worlds", body).body["profile"] == "2026-10"


def test_another_fixture_is_named(sim: Surface) -> None:
    assert sim.post("/_sim/worlds", {"name": "e", "fixture": "empty"}).body["fixture"] == "empty"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "name: is required"),
        ({"name": ""}, "''"),
        ({"name": "a/b"}, "'a/b'"),
        ({"name": "x" * 64}, "1 to 63"),
        ({"name": "a", "sede": 1}, "'sede' is unknown to openWorld; known are clock, fixture"),
        (
            {"name": "a", "profile": "2026-10"},
            "'profile' is unknown to openWorld, but a setting: give it within",
        ),
        ({"name": "a", "seed": "one"}, "seed: 'one'"),
        ({"name": "a", "seed": 2**64}, str(2**64)),
        ({"name": "a", "fixture": "defualt"}, "no bundled world 'defualt'; there are"),
        ({"name": "a", "fixture": "/etc/passwd"}, "no bundled world '/etc/passwd'"),
        ({"name": "a", "fixture": "../pyproject.toml"}, "no bundled world"),
        ({"name": "a", "settings": {"bling": 1}}, "unknown setting 'bling'"),
        ({"name": "a", "settings": {"billing.tick_s": "soon"}}, "billing.tick_s: 'soon' is not"),
        ({"name": "a", "settings": {"profile": "2025"}}, "2025"),
        ({"name": "a", "settings": []}, "settings: []"),
        ({"name": "a", "clock": {"mode": "fast"}}, "'fast'"),
        ({"name": "a", "clock": {"rate": 0}}, "rate"),
    ],
)
def test_a_world_that_cannot_be_opened_is_400_and_none_is(sim: Surface, body: Any, named: str) -> None:
    refused(sim.post("/_sim/worlds", body), 400, "bad_request", named)
    assert len(sim.worlds) == 1


def test_a_name_that_is_taken_is_409(sim: Surface) -> None:
    sim.post("/_sim/worlds", {"name": "a"})
    refused(sim.post("/_sim/worlds", {"name": "a"}), 409, "conflict", "'a' is open")
    refused(sim.post("/_sim/worlds/default/fork", {"name": "a"}), 409, "conflict", "'a' is open")


def test_a_world_too_many_is_409(sim: Surface) -> None:
    for number in range(MOST_WORLDS - 1):
        sim.worlds.open(f"w{number}", Opening())
    refused(sim.post("/_sim/worlds", {"name": "a"}), 409, "conflict", str(MOST_WORLDS))


def test_a_deleted_world_is_gone_and_its_key_unknown(sim: Surface) -> None:
    key = sim.post("/_sim/worlds", {"name": "a"}).body["apiKey"]
    assert sim.get("/v1/whoami", authorization=f"Bearer {key}").status == 200
    heard = sim.delete("/_sim/worlds/a")
    assert (heard.status, heard.raw) == (204, b"")
    refused(sim.get("/v1/whoami", authorization=f"Bearer {key}"), 401, "unauthorized")
    refused(sim.delete("/_sim/worlds/a"), 404, "not_found", "no world 'a'")
    refused(sim.get("/_sim/clock?world=a"), 404, "not_found", "no world 'a'")


def test_the_default_world_stays(sim: Surface) -> None:
    refused(sim.delete("/_sim/worlds/default"), 409, "conflict", "reset it instead")


def test_a_fork_has_all_of_its_origin_but_the_keys(sim: Surface) -> None:
    vm = sim.launch()
    twin = sim.post("/_sim/worlds/default/fork", {"name": "twin"}).body
    assert twin["apiKey"] != sim.key
    mine = sim.get(f"/v1/vms/{vm}", authorization=f"Bearer {twin['apiKey']}")
    assert mine.body["status"] == "deploying"
    sim.post("/_sim/clock/advance?world=twin", {"seconds": 90})
    assert sim.get(f"/v1/vms/{vm}", authorization=f"Bearer {twin['apiKey']}").body["status"] == "running"
    assert sim.status(vm) == "deploying"


def test_a_fork_is_reset_to_the_moment_it_was_made(sim: Surface) -> None:
    vm = sim.launch()
    key = sim.post("/_sim/worlds/default/fork", {"name": "twin"}).body["apiKey"]
    sim.post("/_sim/clock/advance?world=twin", {"seconds": 90})
    sim.post("/_sim/reset?world=twin")
    assert sim.get(f"/v1/vms/{vm}", authorization=f"Bearer {key}").body["status"] == "deploying"


def test_a_fork_of_nothing_is_404_and_a_bad_name_400(sim: Surface) -> None:
    refused(sim.post("/_sim/worlds/nobody/fork", {"name": "a"}), 404, "not_found", "'nobody'")
    refused(sim.post("/_sim/worlds/default/fork", {"name": "a b"}), 400, "bad_request", "'a b'")
    refused(sim.post("/_sim/worlds/default/fork", {}), 400, "bad_request", "name: is required")
    refused(sim.post("/_sim/worlds/default/fork"), 400, "bad_request", "body: is missing")


# -- reset


def test_reset_brings_back_the_first_moment_and_keeps_the_keys(sim: Surface) -> None:
    sim.launch()
    sim.post("/_sim/clock/advance", {"seconds": 3600})
    world = sim.post("/_sim/reset").body
    assert (world["apiKey"], world["clock"]["now"]) == (sim.key, START)
    assert sim.get("/v1/orgs/{org}/vms").body["items"] == []


def test_reset_with_another_beginning_is_the_worlds_own_from_then_on(sim: Surface) -> None:
    first = sim.launch()
    again = sim.post("/_sim/reset", {"seed": 5, "settings": {"billing.tick_s": 7}}).body
    assert again["seed"] == 5
    assert sim.worlds.get(DEFAULT).world.settings["billing.tick_s"] == 7
    other = sim.launch()
    assert other != first
    assert sim.post("/_sim/reset").body["seed"] == 5
    assert sim.launch() == other
    assert sim.post("/_sim/reset", {"fixture": "broke"}).body["fixture"] == "broke"
    assert sim.get("/_sim").body["world"]["fixture"] == "broke"


def test_a_reset_with_nothing_in_it_is_a_plain_one(sim: Surface) -> None:
    assert sim.post("/_sim/reset", {}).status == 200
    assert sim.post("/_sim/reset", {"fixture": "default"}).status == 200


def test_a_reset_that_cannot_be_changes_nothing(sim: Surface) -> None:
    vm = sim.launch()
    refused(sim.post("/_sim/reset", {"fixture": "defualt"}), 400, "bad_request", "'defualt'")
    refused(sim.post("/_sim/reset", {"settings": {"x": 1}}), 400, "bad_request", "'x'")
    refused(sim.post("/_sim/reset", {"scenaro": "x"}), 400, "bad_request", "'scenaro' is unknown")
    refused(sim.post("/_sim/reset", [1]), 400, "bad_request", "[1]")
    refused(sim.post("/_sim/reset?world=nobody"), 404, "not_found", "'nobody'")
    assert sim.status(vm) == "deploying"


def test_reset_keeps_the_mode_of_the_clock(sim: Surface) -> None:
    sim.put("/_sim/clock", {"mode": "stepped", "step": 1})
    assert sim.post("/_sim/reset").body["clock"]["mode"] == "stepped"


# -- clock


def test_the_clock_says_what_is_to_come(sim: Surface) -> None:
    clock = sim.get("/_sim/clock").body
    assert clock == {"mode": "manual", "rate": 1.0, "step": 5.0, "now": START, "pending": 0}
    sim.launch()
    clock = sim.get("/_sim/clock").body
    assert (clock["pending"], clock["nextAt"]) == (1, "2026-06-15T09:00:05.000Z")


def test_a_part_of_the_clock_can_be_set(sim: Surface) -> None:
    assert sim.put("/_sim/clock", {"step": 2.5}).body["step"] == 2.5
    clock = sim.put("/_sim/clock", {"mode": "stepped"}).body
    assert (clock["mode"], clock["step"], clock["rate"]) == ("stepped", 2.5, 1)
    sim.get("/v1/me")
    assert sim.get("/_sim/clock").body["now"] == "2026-06-15T09:00:02.500Z", "control calls take no step"


def test_the_live_clock_is_read_without_being_moved(sim: Surface) -> None:
    sim.put("/_sim/clock", {"mode": "live", "rate": 1_000_000})
    first, second = (sim.get("/_sim/clock").body["now"] for _ in range(2))
    assert START < first < second
    assert sim.world.now_ms == sim.world.clock.start_ms
    assert sim.put("/_sim/clock", {"mode": "manual"}).body["now"] > second
    frozen = sim.get("/_sim/clock").body["now"]
    assert sim.get("/_sim/clock").body["now"] == frozen


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "{} should be non-empty; give at least one of mode, rate, step"),
        ({"mode": "fast"}, "mode: 'fast'"),
        ({"rate": 0}, "rate: 0"),
        ({"rate": -1}, "rate: -1"),
        ({"rate": 1e9}, "rate: 1000000000"),
        (b'{"rate": NaN}', "malformed JSON"),
        ({"step": -0.5}, "step: -0.5"),
        ({"step": 10**9}, "step: 1000000000"),
        ({"speed": 2}, "'speed' is unknown to setClock; known are mode, rate, step"),
        ([], "[]"),
        (b"", "body: is missing"),
    ],
)
def test_a_clock_that_cannot_run_is_400(sim: Surface, body: Any, named: str) -> None:
    before = sim.get("/_sim/clock").body
    refused(sim.put("/_sim/clock", body), 400, "bad_request", named)
    assert sim.get("/_sim/clock").body == before


# -- advance


def test_an_advance_is_settled_when_it_answers(sim: Surface) -> None:
    sim.post("/v1/orgs/{org}/webhooks/create", {"name": "h", "url": "http://127.0.0.1:9/h"})
    vm = sim.launch()
    sim.mailbox.replies = [Outcome(status_code=500)]
    body = sim.post("/_sim/clock/advance", {"seconds": 100}).body
    assert body == {"from": START, "now": "2026-06-15T09:01:40.000Z", "events": 5, "deliveries": 2}
    assert sim.mailbox.types() == ["vm.running", "vm.running"]
    assert sim.status(vm) == "running"


def test_an_advance_by_curl_needs_no_content_type(sim: Surface) -> None:
    form = "application/x-www-form-urlencoded"
    assert sim.post("/_sim/clock/advance", b'{"seconds": 90}', content_type=form).status == 200


def test_an_advance_goes_to_a_moment_in_any_offset(sim: Surface) -> None:
    heard = sim.post("/_sim/clock/advance", {"to": "2026-06-15T13:00:00+02:00"})
    assert heard.body["now"] == "2026-06-15T11:00:00.000Z"
    assert sim.post("/_sim/clock/advance", {"to": heard.body["now"]}).body["events"] == 0


def test_an_advance_goes_until_something(sim: Surface) -> None:
    vm = sim.launch()
    assert sim.post("/_sim/clock/advance", {"until": "next"}).body["now"] == "2026-06-15T09:00:05.000Z"
    until = {"resource": vm, "status": "running"}
    assert sim.post("/_sim/clock/advance", {"until": until}).body["now"] == "2026-06-15T09:01:30.000Z"
    assert sim.post("/_sim/clock/advance", {"until": "idle"}).body["now"] == "2026-06-15T09:02:15.000Z"
    assert sim.get("/_sim/clock").body["pending"] == 0


def test_an_advance_of_another_world_leaves_this_one(sim: Surface) -> None:
    sim.post("/_sim/worlds", {"name": "other"})
    sim.post("/_sim/clock/advance?world=other", {"seconds": 5})
    assert sim.get("/_sim/clock").body["now"] == START
    assert sim.get("/_sim/clock?world=other").body["now"] == "2026-06-15T09:00:05.000Z"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "{} should be non-empty; give exactly one of seconds, to, until"),
        ({"seconds": 1, "until": "next"}, "too many properties; give exactly one of seconds, to, until"),
        ({"seconds": -1}, "seconds: -1"),
        ({"seconds": "90s"}, "seconds: '90s'"),
        ({"seconds": None}, "seconds: None"),
        (b'{"seconds": NaN}', "malformed JSON"),
        (b'{"seconds": Infinity}', "malformed JSON"),
        (b'{"seconds": 1e308}', "1e+308"),
        ({"seconds": 10**18}, "10" + "0" * 17),
        ({"seconds": 3e11}, "9998-12-30"),
        ({"minutes": 1}, "'minutes' is unknown to advanceClock; known are seconds, to, until"),
        ({"to": "2026-06-15T08:59:59Z"}, "2026-06-15T08:59:59.000Z is before now"),
        ({"to": "9999-12-31T23:59:59Z"}, "9999-12-31"),
        ({"to": "tomorrow"}, "to: 'tomorrow'"),
        ({"to": "2026-06-15"}, "to: '2026-06-15'"),
        ({"to": "2026-06-15T10:00:00"}, "to: '2026-06-15T10:00:00'"),
        ({"to": "2026-13-45T99:00:00Z"}, "2026-13-45"),
        ({"to": "2026-06-30T23:59:60Z"}, "2026-06-30T23:59:60Z"),
        ({"until": "forever"}, "until: 'forever'"),
        ({"until": {"resource": "x"}}, "until"),
        ({"until": 5}, "until: 5"),
        (b"", "body: is missing"),
        (b"[" * 10_000, "nested deeper than 100"),
    ],
)
def test_an_advance_that_cannot_be_is_400_and_time_stands_still(sim: Surface, body: Any, named: str) -> None:
    refused(sim.post("/_sim/clock/advance", body), 400, "bad_request", named)
    assert sim.get("/_sim/clock").body["now"] == START


def test_an_advance_until_what_never_comes_is_refused(sim: Surface) -> None:
    until = {"resource": "nobody", "status": "running"}
    refused(sim.post("/_sim/clock/advance", {"until": until}), 404, "not_found", "'nobody'")
    until = {"resource": sim.launch(), "status": "happy"}
    refused(sim.post("/_sim/clock/advance", {"until": until}), 400, "bad_request", "never 'happy'")
    until["status"] = "interrupted"
    refused(sim.post("/_sim/clock/advance", {"until": until}), 409, "conflict", "is deploying", "interrupted")
    assert sim.get("/_sim/clock").body["now"] == START


def test_time_reaches_its_end_and_the_api_still_answers(sim: Surface, last_hour: Opening) -> None:
    sim.worlds.reset(DEFAULT, last_hour)
    assert sim.post("/_sim/clock/advance", {"to": "9998-12-30T23:59:59Z"}).status == 200
    vm = sim.launch()
    for path in ("/v1/me", f"/v1/vms/{vm}", "/v1/orgs/{org}/billing/balance", "/_sim", "/_sim/clock"):
        assert sim.get(path).status == 200
    refused(sim.post("/_sim/clock/advance", {"seconds": 60}), 400, "bad_request", "where virtual time ends")
    assert sim.post("/_sim/clock/advance", {"until": "idle"}).status == 200


# -- actions


def test_the_catalogue_has_every_action_with_a_schema(sim: Surface) -> None:
    items = sim.get("/_sim/actions").body["items"]
    assert [item["name"] for item in items] == list(ACTIONS)
    for item in items:
        assert item["meaning"].endswith(".")
        assert item["arguments"]["$defs"]


OUTSIDE = {
    "account": ("set_status",),
    "balance": ("credit", "debit"),
    "capacity": ("seize", "release"),
    "card": ("save", "expire"),
    "key": ("expire",),
    "node": ("offline", "online", "add"),
    "org": ("create",),
    "payment": ("confirm", "decline"),
    "price": ("set",),
    "provider": ("approve", "reject", "payout"),
    "proxy": ("use",),
    "replica": ("fail", "recover"),
    "runner": ("queue_job", "finish_job"),
    "session": ("create",),
    "snapshot": ("fail",),
    "telegram": ("link",),
    "user": ("create",),
    "vm": ("exit", "fail", "reclaim"),
    "webhook": ("send",),
}
"""What the outside world does to OpenRelay at the least."""


def test_everything_that_can_happen_from_outside_is_in_the_catalogue() -> None:
    assert {f"{family}.{verb}" for family, verbs in OUTSIDE.items() for verb in verbs} <= set(ACTIONS)


def test_an_action_is_done_and_says_what_it_did(sim: Surface) -> None:
    vm = sim.launch()
    heard = sim.post("/_sim/actions/vm.fail", {"id": vm, "reason": "container failed to start: no"})
    assert heard.body["result"]["status"] == "failed"
    assert sim.status(vm) == "failed"
    action = sim.get("/_sim/journal?kind=action").body["items"][-1]
    assert action["facts"]["name"] == "vm.fail"


def test_an_action_works_in_the_world_that_is_named(sim: Surface) -> None:
    sim.launch()
    sim.post("/_sim/worlds/default/fork", {"name": "twin"})
    assert sim.post("/_sim/actions/vm.fail?world=twin", {"select": "first"}).status == 200
    assert sim.get("/v1/orgs/{org}/vms").body["items"][0]["status"] == "deploying"


@pytest.mark.parametrize(
    ("action", "body", "status", "named"),
    [
        ("vm.fial", {}, 404, "no action 'vm.fial'; did you mean 'vm.fail'?"),
        ("vm.fail", {"nmae": "x"}, 400, "unknown field `nmae`"),
        ("vm.fail", {"id": 5}, 400, "Expected `str | null`, got `int`"),
        ("vm.fail", {}, 400, "name one Vm"),
        ("vm.fail", b"", 400, "name one Vm"),
        ("vm.fail", {"id": "nobody"}, 404, "'nobody'"),
        ("vm.exit", {"name": "trainer"}, 409, "trainer"),
        ("vm.fail", [], 400, "[]"),
        ("vm.fail", b"{", 400, "malformed JSON"),
    ],
)
def test_an_action_that_does_not_fit_is_refused_and_changes_nothing(
    sim: Surface, action: str, body: Any, status: int, named: str
) -> None:
    sim.launch()
    before = sim.world.version
    heard = sim.post(f"/_sim/actions/{action}", body)
    assert (heard.status, named in heard.body["error"]) == (status, True), heard
    assert sim.world.version == before


# -- journal


def test_the_journal_is_read_from_the_newest_back_and_shown_in_order(sim: Surface) -> None:
    for _ in range(5):
        sim.get("/v1/me")
    page = sim.get("/_sim/journal?limit=2").body
    assert [entry["serial"] for entry in page["items"]] == [page["serial"] - 1, page["serial"]]
    assert page["dropped"] == 0
    sim.get("/v1/whoami")
    later = sim.get(f"/_sim/journal?since={page['serial']}").body
    assert [entry["facts"]["operation"] for entry in later["items"]] == ["whoami"]


def test_the_journal_names_causes(sim: Surface) -> None:
    sim.launch()
    sim.post("/_sim/clock/advance", {"seconds": 5})
    entries = {entry["serial"]: entry for entry in sim.get("/_sim/journal").body["items"]}
    stage = next(entry for entry in entries.values() if entry["facts"].get("stage") == "preparing_disk")
    chain = [stage["kind"]]
    while (cause := entries[stage["serial"]]["cause"]) is not None:
        stage = entries[cause]
        chain.append(stage["kind"])
    assert chain[-1] == "request"
    assert "timer" in chain


def test_the_journal_is_filtered(sim: Surface) -> None:
    vm = sim.launch()
    other = sim.launch("other")
    sim.get("/v1/vms/nobody")
    sim.get(f"/v1/vms/{vm}")

    def serials(query: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = sim.get(f"/_sim/journal?{query}").body["items"]
        return items

    assert {entry["kind"] for entry in serials("kind=transition")} == {"transition"}
    assert [entry["facts"]["status"] for entry in serials("operation=getVm")] == [404, 200]
    assert [entry["facts"]["operation"] for entry in serials("status=404")] == ["getVm"]
    about = serials(f"resource={vm}")
    assert {entry["kind"] for entry in about} == {"request", "transition"}
    assert all(other not in json.dumps(entry) for entry in about)
    assert serials(f"resource={vm}&kind=event") == []


def test_the_journal_counts_what_it_dropped(sim: Surface) -> None:
    there = len(sim.world.journal)
    for _ in range(12_000):
        sim.world.note("event", id="x")
    page = sim.get("/_sim/journal?limit=10000").body
    assert (len(page["items"]), page["dropped"]) == (10_000, 2_000 + there)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("kind=gossip", "kind: 'gossip'"),
        ("limit=0", "limit: 0"),
        ("limit=10001", "limit: 10001"),
        ("since=-1", "since: -1"),
        ("since=yesterday", "since: 'yesterday'"),
        ("knid=event", "'knid' is unknown to readJournal; known are kind, limit, operation"),
        ("status=%ff", "UTF-8"),
    ],
)
def test_a_bad_filter_is_400_and_named(sim: Surface, query: str, named: str) -> None:
    refused(sim.get(f"/_sim/journal?{query}"), 400, "bad_request", named)
