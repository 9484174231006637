"""What the control surface sums up."""

from __future__ import annotations

from tests.support.surface import Surface


def test_a_report_tells_cost_leaks_findings_and_calls(sim: Surface) -> None:
    vm = sim.launch()
    sim.post("/v1/orgs/{org}/vms/create", {"name": "t", "gpuModelId": "rtx-3090", "gpuCuont": 1})
    sim.post("/_sim/clock/advance", {"seconds": 3690})
    report = sim.get("/_sim/report").body
    assert report["spendCents"] > 0
    assert vm in {leak["id"] for leak in report["leaks"]}
    assert [finding["rule"] for finding in report["findings"]] == ["unknown-field"]
    assert {"operation": "createVm", "status": 200, "count": 2} in report["calls"]
    assert (report["expect"], report["dropped"]) == ([], 0)


def test_coverage_tells_what_was_met_in_a_world(sim: Surface) -> None:
    sim.launch()
    sim.post("/_sim/clock/advance", {"seconds": 100})
    found = sim.get("/_sim/coverage").body
    assert 0 < found["percent"] < 10
    assert found["groups"]["operations"]["met"] == ["createVm"]
    assert "vm: deploying → running by started" in found["groups"]["transitions"]["met"]
    sim.post("/_sim/worlds", {"name": "other"})
    assert sim.get("/_sim/coverage?world=other").body["percent"] == 0
