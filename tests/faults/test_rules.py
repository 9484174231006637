"""When a rule strikes: what it chooses, after how many, how often, by what chance, in which window."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.domain.faults.rules import Rule
from simulator.kernel.form import FormProblem
from simulator.scenario import rules
from tests.support.cloud import Cloud

LIST, BALANCE = "/v1/orgs/{org}/vms", "/v1/orgs/{org}/billing/balance"
NO = {"respond": {"status": 503}}


def statuses(cloud: Cloud, number: int, path: str = LIST) -> list[int]:
    return [cloud.get(path).status for _ in range(number)]


def test_a_rule_strikes_its_operation_and_no_other(cloud, on_list):
    on_list(NO)
    assert (cloud.get(LIST).status, cloud.get("/v1/whoami").status) == (503, 200)


def test_a_glob_or_a_list_chooses_several_operations(cloud, load):
    load({"on": "request", "operation": ["list*", "getMe"], "do": NO})
    assert [cloud.get(path).status for path in (LIST, "/v1/me", "/v1/whoami")] == [503, 503, 200]


def test_without_a_selector_every_operation_is_struck(cloud, load):
    load({"on": "request", "do": NO})
    assert [cloud.get(path).status for path in (LIST, "/v1/whoami")] == [503, 503]


def test_where_matches_values_of_the_path_the_query_and_the_body(cloud, load):
    load({"on": "request", "where": {"name": "train-*"}, "do": NO})
    load({"on": "request", "where": {"limit": 7}, "do": NO})
    load({"on": "request", "where": {"activeOnly": True}, "do": NO})
    assert (
        cloud.post("/v1/orgs/{org}/vms/create", {"name": "train-1", "gpuModelId": "rtx-3090"}).status == 503
    )
    assert (
        cloud.post("/v1/orgs/{org}/vms/create", {"name": "serve-1", "gpuModelId": "rtx-3090"}).status == 200
    )
    asked = [
        LIST,
        f"{LIST}?limit=7",
        f"{LIST}?limit=8",
        f"{LIST}?activeOnly=true",
        f"{LIST}?activeOnly=false",
    ]
    assert [cloud.get(path).status for path in asked] == [200, 503, 200, 503, 200]


def test_where_reaches_into_objects_by_dots(cloud, load):
    load({"on": "request", "operation": "createVm", "where": {"env.MODE": "trai*"}, "do": NO})
    wanted = {"name": "a", "gpuModelId": "rtx-3090"}
    assert cloud.post("/v1/orgs/{org}/vms/create", {**wanted, "env": {"MODE": "train"}}).status == 503
    assert cloud.post("/v1/orgs/{org}/vms/create", {**wanted, "env": {"MODE": "serve"}}).status == 200


def test_after_lets_the_first_pass_and_times_spends_the_rule(cloud, on_list):
    on_list(NO, after=1, times=2)
    assert statuses(cloud, 5) == [200, 503, 503, 200, 200]
    (rule,) = cloud.rows(Rule)
    assert (rule.seen, rule.hits, rule.spent) == (3, 2, True)


def test_the_window_counts_from_loading_on_the_virtual_clock(cloud, on_list):
    cloud.advance(100)
    on_list(NO, **{"from": "10s", "until": "20s"})
    seen = []
    for _ in range(4):
        seen += statuses(cloud, 1)
        cloud.advance(8)
    assert seen == [200, 200, 503, 200]


def test_matches_outside_the_window_are_not_counted(cloud, on_list):
    on_list(NO, **{"from": "10s", "after": 1})
    statuses(cloud, 3)
    cloud.advance(10)
    assert statuses(cloud, 2) == [200, 503]


def test_the_first_rule_that_strikes_is_the_only_one(cloud, on_list, load):
    on_list({"respond": {"status": 503}}, times=1)
    load({"id": "second", "on": "request", "do": {"respond": {"status": 429}}})
    assert statuses(cloud, 2) == [503, 429]


def test_chance_comes_from_the_seed(open_cloud):
    def struck(seed: int) -> list[int]:
        cloud = open_cloud(seed=seed)
        rule = {"on": "request", "operation": "listOrgVms", "probability": 0.5, "do": NO}
        cloud.simulator.let("faults.load", {}, lambda world: rules.load_rules(world, [rule]))
        return statuses(cloud, 40)

    assert struck(1) == struck(1) != struck(2)
    assert 8 < struck(1).count(503) < 32


def test_a_fork_has_counts_of_its_own(cloud, on_list):
    on_list(NO, times=1)
    cloud.worlds.fork("default", "twin")
    assert statuses(cloud, 2) == [503, 200]
    cloud.visit("twin")
    assert statuses(cloud, 2) == [503, 200]


def test_an_injected_answer_names_its_rule_and_the_journal_too(cloud, on_list):
    on_list(NO, times=1)
    answer = cloud.get(LIST)
    assert answer.headers["X-Sim-Fault"] == "it"
    assert "X-Sim-Fault" not in cloud.get(LIST).headers
    assert [facts["rule"] for facts in cloud.entries("fault")] == ["it"]
    assert cloud.entries("request")[0]["fault"] == "it"


def test_rules_that_are_removed_strike_no_more(cloud, on_list):
    on_list(NO)
    cloud.simulator.let("faults.delete", {}, lambda world: rules.remove_rules(world, "it"))
    assert statuses(cloud, 1) == [200]


def test_a_rule_is_shown_as_it_was_written(cloud, load):
    document = {
        "id": "slow",
        "on": "lifecycle",
        "resource": ["vm"],
        "stage": ["boot*", "ssh_ready"],
        "where": {"name": "train-*", "status": ["a", "b"]},
        "after": 1,
        "times": 2,
        "probability": 0.5,
        "from": "10s",
        "until": "300s",
        "do": {"delay": {"seconds": 3}},
    }
    (rule,) = load(document)
    assert rules.view(rule) == {**document, "seen": 0, "hits": 0, "spent": False}


# -- what is no rule ---------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {"on": "request", "do": {"reset": True}}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({**GOOD, "operation": "creatVm"}, "faults[0].operation: no operation 'creatVm'; did you mean 'createVm'?"),
        ({**GOOD, "operation": ["getMe", "x*"]}, "faults[0].operation: no operation 'x*'"),
        ({**GOOD, "wher": {}}, "faults[0]: Object contains unknown field `wher`; did you mean 'where'?"),
        ({**GOOD, "on": "reqest"}, "faults[0].on: Invalid enum value 'reqest'; did you mean 'request'?"),
        ({**GOOD, "stage": "booting"}, "faults[0].stage: on: request chooses by operation, and by where"),
        ({**GOOD, "times": 0}, "faults[0].times: "),
        ({**GOOD, "probability": 1.5}, "faults[0].probability: "),
        ({**GOOD, "from": "-3s"}, "faults[0].from: '-3s' is no span of time"),
        ({**GOOD, "from": "10s", "until": "10s"}, "faults[0].until: '10s' is not after from, '10s'"),
        ({**GOOD, "id": "no spaces"}, "faults[0].id: "),
        ({**GOOD, "do": {}}, "faults[0].do: 0 faults; name one: respond, delay"),
        ({**GOOD, "do": {"reset": True, "garble": True}}, "faults[0].do: 2 faults; name one"),
        ({**GOOD, "do": {"dribbel": True}}, "faults[0].do: no fault 'dribbel' at the seam request; did you mean 'dribble'?"),
        ({**GOOD, "do": {"drop": True}}, "faults[0].do: no fault 'drop' at the seam request; it is one of the seam webhook"),
        ({**GOOD, "do": {"delay": {"secnds": 1}}}, "faults[0].do.delay: Object contains unknown field `secnds`"),
        ({**GOOD, "do": {"delay": {"seconds": -1}}}, "faults[0].do.delay.seconds: "),
        ({**GOOD, "do": {"delay": 5}}, "faults[0].do.delay: 5 is no mapping of arguments"),
        ({**GOOD, "do": {"respond": {"status": 200}}}, "faults[0].do.respond.status: "),
        ({**GOOD, "do": {"respond": {"code": "NO_ROOM"}}}, "faults[0].do.respond.code: no code 'NO_ROOM'"),
        ({"on": "webhook", "event": "vm.started", "do": {"drop": True}}, "faults[0].event: no event 'vm.started'"),
        ({"on": "lifecycle", "stage": "bootin", "do": {"stall": True}}, "faults[0].stage: no stage 'bootin'; did you"),
        ({"on": "lifecycle", "resource": "pod", "do": {"stall": True}}, "faults[0].resource: no resource 'pod'"),
        ({"on": "placement", "model": "rtx-5099", "do": {"refuse": True}}, "faults[0].model: no model 'rtx-5099'"),
        ({"on": "placement", "do": {"refuse": {"code": "CARD_REQUIRED"}}}, "faults[0].do.refuse.code: no code"),
        ({"on": "payment", "do": {"decline": {"decline_code": "broke"}}}, "faults[0].do.decline.decline_code: no code"),
        ({"on": "payment", "purpose": "gift", "do": {"requires_action": True}}, "faults[0].purpose: no purpose 'gift'"),
    ],
)  # fmt: skip
def test_a_document_that_is_no_rule_is_refused_with_its_place(cloud, load, document, told):
    with pytest.raises(FormProblem) as problem:
        load(document)
    assert told in str(problem.value)
    assert cloud.rows(Rule) == []


def test_of_several_rules_all_are_loaded_or_none(cloud, load):
    with pytest.raises(FormProblem, match=r"faults\[1\]"):
        load(GOOD, {**GOOD, "operation": "x"})
    assert cloud.rows(Rule) == []


def test_an_id_is_used_once(cloud, load):
    load({**GOOD, "id": "a"})
    with pytest.raises(FormProblem, match="there is a rule 'a' already"):
        load({**GOOD, "id": "a"})


def test_rules_without_an_id_are_named_after_their_fault(cloud, load):
    load(GOOD, GOOD, {"on": "request", "do": {"lose_answer": True}})
    assert [rule.id for rule in cloud.rows(Rule)] == ["reset-1", "reset-2", "lose-answer-1"]


def test_a_world_holds_a_thousand_rules(cloud, load):
    load(*[GOOD] * 1000)
    with pytest.raises(FormProblem, match="1001 rules; 1000 at the most"):
        load(GOOD)
