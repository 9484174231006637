"""The handle of a cloud in a test."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from simulator.kernel.refusal import Refusal
from simulator.testing import OpenRelay, Server

VM = {"name": "trainer", "gpuModelId": "rtx-3090"}


def create(openrelay: OpenRelay, name: str = "trainer") -> str:
    path = f"/v1/orgs/{openrelay.org_id}/vms/create"
    vm: str = openrelay.ask("POST", path, {**VM, "name": name})["id"]
    return vm


def status(openrelay: OpenRelay, vm: str) -> str:
    found: str = openrelay.ask("GET", f"/v1/vms/{vm}")["status"]
    return found


# -- time --------------------------------------------------------------------------------------------------


def test_time_stands_still_until_it_is_moved(openrelay: OpenRelay) -> None:
    assert openrelay.now == datetime(2026, 6, 15, 9, tzinfo=UTC)
    openrelay.advance(30, minutes=1, hours=2, days=1)
    assert openrelay.now == datetime(2026, 6, 16, 11, 1, 30, tzinfo=UTC)
    with pytest.raises(Refusal, match="time only goes forward"):
        openrelay.advance(-1)


def test_time_may_run_until_something(openrelay: OpenRelay) -> None:
    vm = create(openrelay)
    assert openrelay.run_until("next").events == 1
    openrelay.run_until(vm, "running")
    assert status(openrelay, vm) == "running"
    openrelay.run_until("idle")
    before = openrelay.now
    with pytest.raises(Refusal, match=r"nothing that is pending makes it failed"):
        openrelay.run_until(vm, "failed")
    assert openrelay.now == before
    with pytest.raises(ValueError, match="take 'idle', 'next', or the id of a resource and a status"):
        openrelay.run_until("rest")


# -- what happens ------------------------------------------------------------------------------------------


def test_the_outside_acts_by_name(openrelay: OpenRelay) -> None:
    vm = create(openrelay)
    openrelay.run_until(vm, "running")
    openrelay.do("node.offline", node_of="trainer")
    assert status(openrelay, vm) == "interrupted"
    with pytest.raises(Refusal, match=r"did you mean 'node\.offline'"):
        openrelay.do("node.ofline")


def test_a_fault_holds_within_its_block_and_counts(openrelay: OpenRelay) -> None:
    client = openrelay.client()
    with openrelay.fault(operation="whoami", do={"respond": {"status": 503}}) as fault:
        answer = client.get("/v1/whoami")
        assert (answer.status_code, answer.headers["X-Sim-Fault"]) == (503, fault.id)
        assert (fault.hits, fault.spent) == (1, False)
    assert client.get("/v1/whoami").status_code == 200
    assert fault.hits == 1
    fault.remove()


def test_a_fault_outside_a_block_holds_until_it_is_spent(openrelay: OpenRelay) -> None:
    fault = openrelay.fault(on="webhook", event="vm.*", times=1, do={"drop": True}, from_="1s", id="lost")
    assert (fault.id, fault.hits) == ("lost", 0)
    openrelay.webhooks.subscribe()
    openrelay.advance(2)
    assert openrelay.webhooks.send("vm.running") == []
    assert fault.spent
    with pytest.raises(Refusal, match="did you mean 'respond'"):
        openrelay.fault(do={"respnd": {}})


def test_a_scenario_begins_anew_with_the_same_key(openrelay: OpenRelay) -> None:
    vm, key = create(openrelay), openrelay.api_key
    openrelay.scenario("capacity-exhausted")
    assert openrelay.api_key == key
    with pytest.raises(AssertionError, match="404"):
        status(openrelay, vm)
    assert any(not finding.holds for finding in openrelay.verdict())
    with pytest.raises(AssertionError, match="expectations of the scenario that do not hold"):
        openrelay.assert_expectations()
    with pytest.raises(ValueError, match="did you mean 'capacity-exhausted'"):
        openrelay.scenario("capacity-exhasted")


def test_where_nothing_is_expected_nothing_can_hold(openrelay: OpenRelay) -> None:
    with pytest.raises(ValueError, match="the world lives in no scenario that has expectations"):
        openrelay.assert_expectations()


def test_a_checkpoint_is_a_moment_to_come_back_to(openrelay: OpenRelay) -> None:
    vm = create(openrelay)
    openrelay.checkpoint()
    openrelay.run_until(vm, "running")
    openrelay.restore()
    assert status(openrelay, vm) == "deploying"
    with pytest.raises(Refusal, match="no checkpoint 'elsewhere'"):
        openrelay.restore("elsewhere")


def test_a_fork_goes_its_own_way_with_a_key_of_its_own(openrelay: OpenRelay) -> None:
    vm = create(openrelay)
    twin = openrelay.fork()
    twin.run_until(vm, "running")
    assert (status(openrelay, vm), status(twin, vm)) == ("deploying", "running")
    assert twin.api_key != openrelay.api_key
    openrelay.close()
    assert twin.closed


def test_a_cloud_ends_with_its_test(openrelay_server: Server) -> None:
    with openrelay_server.open("brief") as cloud:
        pass
    with pytest.raises(RuntimeError, match="the cloud 'brief' is closed; it lives as long as its test"):
        cloud.advance(1)
    with openrelay_server.open("brief"):
        assert cloud.closed
    cloud.close()


# -- what became of it -------------------------------------------------------------------------------------


def test_calls_are_recorded_with_what_became_of_them(openrelay: OpenRelay) -> None:
    client = openrelay.client()
    client.get("/v1/whoami")
    client.get("/v1/vms/none")
    assert [(call.operation, call.status, call.code) for call in openrelay.calls()] == [
        ("whoami", 200, ""),
        ("getVm", 404, "not_found"),
    ]
    assert [call.path for call in openrelay.calls("getVm")] == ["/v1/vms/none"]
    assert openrelay.calls(status=200)[0].at == openrelay.now
    with pytest.raises(Refusal, match="did you mean 'whoami'"):
        openrelay.calls("whoam")


def test_assertions_about_calls_say_what_there_was(openrelay: OpenRelay) -> None:
    client = openrelay.client()
    for _ in range(3):
        client.get("/v1/whoami")
    openrelay.assert_called("whoami")
    openrelay.assert_called("whoami", times=3, status=200)
    openrelay.assert_called("whoami", at_least=2, at_most=3)
    openrelay.assert_not_called("createVm")
    openrelay.assert_not_called("whoami", status=401)
    for given, told in (
        ({"times": 2}, r"whoami: exactly 2 wanted, 3 found \(3 × 200\)"),
        ({"at_most": 2}, "at least 1, at most 2 wanted, 3 found"),
        ({"status": 500}, "whoami with status 500: at least 1 wanted, 0 found"),
    ):
        arguments: dict[str, Any] = given
        with pytest.raises(AssertionError, match=told):
            openrelay.assert_called("whoami", **arguments)
    with pytest.raises(AssertionError, match=r"createVm: .* \(no call; called were whoami\)"):
        openrelay.assert_called("createVm")


def test_what_was_sent_can_be_looked_at(openrelay: OpenRelay) -> None:
    create(openrelay)
    openrelay.ask("GET", f"/v1/orgs/{openrelay.org_id}/vms?limit=5")
    made, listed = openrelay.calls()
    assert made.body == VM
    assert (listed.query, listed.body) == ("limit=5", None)


def test_what_a_client_does_wrong_is_found(openrelay: OpenRelay) -> None:
    openrelay.assert_no_findings()
    path = f"/v1/orgs/{openrelay.org_id}/vms/create"
    openrelay.ask("POST", path, {**VM, "gpuCuont": 2})
    with pytest.raises(AssertionError, match="unknown-field: createVm was sent 'gpuCuont'"):
        openrelay.assert_no_findings()
    openrelay.assert_no_findings("unknown-field")
    with pytest.raises(ValueError, match="did you mean 'unknown-field'"):
        openrelay.assert_no_findings("unknown-fields")


def test_what_bills_on_is_a_leak(openrelay: OpenRelay) -> None:
    vm = create(openrelay)
    openrelay.assert_no_leaks()
    openrelay.run_until(vm, "running")
    with pytest.raises(AssertionError, match=r"vm 'trainer' is running and costs \$0\.18 an hour"):
        openrelay.assert_no_leaks()
    openrelay.ask("POST", f"/v1/vms/{vm}/terminate")
    openrelay.assert_no_leaks()


def test_spend_is_bounded_to_the_cent(openrelay: OpenRelay) -> None:
    openrelay.run_until(create(openrelay), "running")
    openrelay.advance(hours=2)
    assert openrelay.spend_cents() == 36
    openrelay.assert_spend(min_cents=36, max_cents=36)
    with pytest.raises(AssertionError, match=r"\$0\.36 was spent, at most \$0\.35 wanted"):
        openrelay.assert_spend(max_cents=35)
    with pytest.raises(AssertionError, match=r"at least \$0\.40 wanted"):
        openrelay.assert_spend(min_cents=40)


def test_a_state_is_explained_down_to_the_fault(openrelay: OpenRelay) -> None:
    openrelay.fault(
        on="lifecycle", resource="vm", stage="booting", do={"fail": {"reason": "no boot"}}, id="dead"
    )
    vm = create(openrelay)
    openrelay.run_until("idle")
    told = openrelay.explain(vm)
    assert "trainer went from deploying to failed" in told
    assert "because fault rule dead struck lifecycle" in told


def test_a_world_without_a_key_says_so(openrelay_server: Server, tmp_path: Any) -> None:
    bare = tmp_path / "bare.yaml"
    bare.write_text("title: Nobody\n")
    with (
        openrelay_server.open(world=str(bare)) as cloud,
        pytest.raises(LookupError, match="has no key with full access"),
    ):
        _ = cloud.api_key
