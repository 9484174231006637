"""Faults, scenarios and causes on the control surface."""

from __future__ import annotations

import pytest

from simulator import assets
from simulator.domain.faults import SEAMS
from tests.support.surface import Surface, refused

RULE = {"id": "no", "on": "request", "operation": "listOrgVms", "do": {"respond": {"status": 503}}}
LIST = "/v1/orgs/{org}/vms"


def test_a_rule_is_added_shown_and_taken_away(sim: Surface) -> None:
    added = sim.post("/_sim/faults", RULE).body["items"]
    assert added == sim.get("/_sim/faults").body["items"]
    assert [(rule["id"], rule["hits"], rule["spent"]) for rule in added] == [("no", 0, False)]
    assert sim.get(LIST).status == 503
    assert sim.get("/_sim/faults").body["items"][0]["hits"] == 1
    assert sim.delete("/_sim/faults/no").status == 204
    assert sim.get(LIST).status == 200
    refused(sim.delete("/_sim/faults/no"), 404, "not_found", "no fault rule 'no'")


def test_put_replaces_post_adds_and_delete_clears(sim: Surface) -> None:
    sim.post("/_sim/faults", {"items": [RULE, {**RULE, "id": "second"}]})
    sim.post("/_sim/faults", {**RULE, "id": "third"})
    assert [rule["id"] for rule in sim.get("/_sim/faults").body["items"]] == ["no", "second", "third"]
    replaced = sim.put("/_sim/faults", {"items": [RULE]}).body["items"]
    assert [rule["id"] for rule in replaced] == ["no"]
    assert sim.delete("/_sim/faults").status == 204
    assert sim.get("/_sim/faults").body["items"] == []


def test_a_typo_is_refused_with_its_place_and_nothing_is_replaced(sim: Surface) -> None:
    sim.post("/_sim/faults", RULE)
    bad = sim.put("/_sim/faults", {"items": [RULE, {**RULE, "id": "b", "operation": "creatVm"}]})
    refused(bad, 400, "bad_request", "faults[1].operation: no operation 'creatVm'; did you mean 'createVm'?")
    refused(
        sim.post("/_sim/faults", {**RULE, "tims": 1}), 400, "bad_request", "'tims' is unknown to addFaults"
    )
    assert [rule["id"] for rule in sim.get("/_sim/faults").body["items"]] == ["no"]


def test_the_catalogue_of_faults_holds_each_with_a_schema(sim: Surface) -> None:
    items = sim.get("/_sim/fault-kinds").body["items"]
    assert {(item["on"], item["name"]) for item in items} == {
        (seam, name) for seam, kinds in SEAMS.items() for name in kinds
    }
    assert all(item["meaning"].endswith((".", "attempt, though it was")) for item in items)


def test_the_journal_says_who_loaded_a_rule_and_when_it_struck(sim: Surface) -> None:
    sim.post("/_sim/faults", RULE)
    sim.get(LIST)
    (struck,) = sim.get("/_sim/journal?kind=fault").body["items"]
    assert struck["facts"] == {"rule": "no", "seam": "request", "fault": "respond", "operation": "listOrgVms"}
    (loaded,) = sim.get("/_sim/journal?kind=action").body["items"]
    assert loaded["facts"]["name"] == "faults.load"


def test_faults_belong_to_one_world(sim: Surface) -> None:
    sim.post("/_sim/worlds", {"name": "other"})
    sim.post("/_sim/faults?world=other", RULE)
    assert sim.get(LIST).status == 200
    assert sim.get("/_sim/faults").body["items"] == []


# -- scenarios


def test_bundled_scenarios_are_listed_with_their_titles(sim: Surface) -> None:
    items = sim.get("/_sim/scenarios").body["items"]
    assert [item["name"] for item in items] == assets.names("scenarios")
    assert all(item["title"] for item in items)


def test_a_bundled_scenario_begins_by_its_name(sim: Surface) -> None:
    vm_id = sim.launch()
    begun = sim.post("/_sim/scenarios", {"name": "answers-lost"}).body
    assert begun["title"] == "The answer to a create is lost"
    assert [rule["id"] for rule in begun["faults"]] == ["answer-lost"]
    assert sim.get(f"/v1/vms/{vm_id}").status == 404


def test_a_document_begins_and_its_expectations_are_judged(sim: Surface) -> None:
    document = {
        "scenario": 1,
        "title": "Two actions",
        "timeline": [
            {"at": "1m", "do": {"node.offline": {"node_of": "trainer"}}},
            {"at": "2m", "do": {"node.offline": {"name": "no-such-node"}}},
        ],
        "expect": [{"calls": "createVm", "count": 1}, {"leaks": 0}],
    }
    begun = sim.post("/_sim/scenarios", {"document": document, "seed": 3}).body
    assert (begun["holds"], [each["holds"] for each in begun["expect"]]) == (False, [False, True])
    vm_id = sim.launch()
    sim.post("/_sim/clock/advance", {"seconds": 120})
    now = sim.get("/_sim/scenarios/current").body
    assert [entry["done"] for entry in now["timeline"]] == [1, 0]
    assert "no-such-node" in now["timeline"][1]["refused"]
    assert [each["holds"] for each in now["expect"]] == [True, True, False]
    assert "node.offline: no Node 'no-such-node'" in now["expect"][2]["found"]
    assert sim.status(vm_id) == "failed"


def test_leaks_and_spend_are_shown_on_an_ordinary_day_too(sim: Surface) -> None:
    sim.launch()
    sim.post("/_sim/clock/advance", {"seconds": 2 * 3600 + 90})
    now = sim.get("/_sim/scenarios/current").body
    assert (now["title"], now["holds"], now["expect"]) == ("", True, [])
    assert now["spendCents"] == 36
    (leak,) = now["leaks"]
    assert (leak["resource"], leak["name"], leak["cents_per_hour"]) == ("vm", "trainer", 18)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"name": "answer-lost"}, "did you mean 'answers-lost'?"),
        ({"document": {"scenario": 1}}, "missing required field `title`"),
        ({"document": {"scenario": 9, "title": "x"}}, "scenario: version 9; this one reads 1"),
        ({"document": {"scenario": 1, "title": "x", "world": "../x.yaml"}}, "world: no bundled world"),
        ({"document": {"scenario": 1, "title": "x", "world": "defualt"}}, "did you mean 'default'?"),
        ({"document": {"scenario": 1, "title": "x", "timelin": []}}, "did you mean 'timeline'?"),
        ({"document": {"scenario": 1, "title": "x", "settings": {"a": 1}}}, "unknown setting 'a'"),
        (
            {"document": {"scenario": 1, "title": "x", "world_overrides": {"nods": []}}},
            "unknown section 'nods'",
        ),
        ({"document": {"scenario": 1, "title": "x"}, "name": "answers-lost"}, "name or document"),
        ({}, "name or document"),
    ],
)
def test_what_is_no_scenario_is_refused_and_the_world_stays(sim: Surface, body: object, told: str) -> None:
    vm_id = sim.launch()
    heard = sim.post("/_sim/scenarios", body)
    assert heard.status in (400, 404), heard
    assert told in heard.body["error"]
    assert sim.status(vm_id) == "deploying"


def test_worlds_open_and_reset_with_a_scenario(sim: Surface) -> None:
    opened = sim.post("/_sim/worlds", {"name": "bad-day", "scenario": "answers-lost"})
    assert opened.status == 201, opened
    current = sim.get("/_sim/scenarios/current?world=bad-day").body
    assert current["title"] == "The answer to a create is lost"
    sim.post("/_sim/reset", {"scenario": "node-lost"})
    assert sim.get("/_sim/scenarios/current").body["title"] == "Node lost while training"
    sim.post("/_sim/reset")
    assert sim.get("/_sim/scenarios/current").body["title"] == "Node lost while training"
    sim.post("/_sim/reset", {"fixture": "default"})
    assert sim.get("/_sim/scenarios/current").body["title"] == ""


# -- causes


def test_a_surprising_state_is_explained_down_to_what_began_it(sim: Surface) -> None:
    vm_id = sim.launch()
    sim.post("/_sim/clock/advance", {"seconds": 120})
    sim.post("/_sim/actions/node.offline", {"node_of": "trainer"})
    chains = sim.get(f"/_sim/explain/{vm_id}").body["chains"]
    last = [chain for chain in chains if chain["what"]["kind"] == "transition"][-1]
    assert last["what"]["text"] == "trainer went from running to interrupted by lose_node, reason 'node_lost'"
    assert [line["kind"] for line in last["because"]] == ["transition", "action"]
    assert last["because"][-1]["text"] == "action node.offline was carried out with node_of='trainer'"
    assert all(chain["complete"] for chain in chains)


def test_a_charge_a_delivery_and_an_error_are_explained(sim: Surface) -> None:
    sim.post("/v1/orgs/{org}/webhooks/create", {"name": "w", "url": "http://127.0.0.1:9/", "events": []})
    vm_id = sim.launch()
    sim.post("/_sim/clock/advance", {"seconds": 3700})
    sim.post(f"/v1/vms/{vm_id}/terminate")
    sim.post("/_sim/clock/advance", {"seconds": 1})
    entries = sim.get("/_sim/journal?limit=1000").body["items"]
    charge = next(entry for entry in entries if "session" in entry["facts"])
    delivery = next(entry for entry in entries if entry["kind"] == "delivery")
    error = sim.get("/v1/vms/no-such-vm")
    for wanted, told, began in (
        (
            charge["facts"]["session"],
            "a billing session ended: 18 cents for 3610 s at 18 cents an hour",
            "terminateVm",
        ),
        (delivery["facts"]["id"], "attempt 1 to deliver vm.running is delivered with answer 200", "createVm"),
        (error.body["requestId"], "was answered 404", ""),
    ):
        (chain,) = sim.get(f"/_sim/explain/{wanted}").body["chains"]
        assert told in chain["what"]["text"]
        assert began in (chain["because"][-1]["text"] if chain["because"] else "")


def test_a_fault_is_in_the_chain_of_what_it_did(sim: Surface) -> None:
    sim.post(
        "/_sim/faults", {"id": "bad-image", "on": "lifecycle", "stage": "pulling_image", "do": {"fail": True}}
    )
    vm_id = sim.launch()
    sim.post("/_sim/clock/advance", {"seconds": 120})
    last = sim.get(f"/_sim/explain/{vm_id}").body["chains"][-1]
    assert "failed" in last["what"]["text"]
    assert "fault rule bad-image struck lifecycle vm pulling_image: fail" in [
        line["text"] for line in last["because"]
    ]
    assert len(sim.get("/_sim/explain/bad-image").body["chains"]) == 1


def test_what_the_journal_does_not_know_is_404(sim: Surface) -> None:
    refused(sim.get("/_sim/explain/nobody"), 404, "not_found", "the journal says nothing of 'nobody'")
