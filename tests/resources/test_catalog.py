"""The catalogue: what is listed, what it costs, what is free."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain.products import GpuModel, model_uuid
from simulator.kernel.refusal import Refusal
from tests.support.cloud import Cloud

Open = Callable[..., Cloud]

# id, name, manufacturer, architecture, VRAM, form factor, interconnect, community, verified
MODELS = """
rtx-3090 | RTX 3090 | NVIDIA | Ampere | 24 | pcie | - | 18 | 23
rtx-4090 | RTX 4090 | NVIDIA | Ada Lovelace | 24 | pcie | - | 59 | 74
rtx-5090 | RTX 5090 | NVIDIA | Blackwell | 32 | pcie | - | 69 | 87
l4 | L4 | NVIDIA | Ada Lovelace | 24 | pcie | - | 44 | 55
l40s | L40S | NVIDIA | Ada Lovelace | 48 | pcie | - | 79 | 99
rtx-pro-6000 | RTX PRO 6000 | NVIDIA | Blackwell | 96 | pcie | - | 89 | 112
a100-pcie-80gb | A100 80GB PCIe | NVIDIA | Ampere | 80 | pcie | - | 98 | 123
a100-sxm-80gb | A100 80GB SXM | NVIDIA | Ampere | 80 | sxm | nvlink | 137 | 172
h100-pcie | H100 PCIe | NVIDIA | Hopper | 80 | pcie | - | 199 | 249
h100-sxm | H100 SXM | NVIDIA | Hopper | 80 | sxm | nvswitch | 269 | 337
h200-sxm | H200 SXM | NVIDIA | Hopper | 141 | sxm | nvswitch | 359 | 449
b200 | B200 | NVIDIA | Blackwell | 192 | sxm | nvswitch | 598 | 748
mi355x | MI355X | AMD | CDNA 4 | 288 | oam | infinity-fabric | 310 | 388
gtx-1080-ti | GTX 1080 Ti | NVIDIA | Pascal | 11 | pcie | - | - | -
"""
ROWS = [[word.strip() for word in line.split("|")] for line in MODELS.strip().splitlines()]
ON_SALE = [row for row in ROWS if row[7] != "-"]


def availability(cloud: Cloud) -> dict[str, dict[str, Any]]:
    answer = cloud.get("/v1/gpu-availability")
    assert answer.status == 200, answer
    return {row["gpuModelId"]: row for row in answer.body}


def prices(cloud: Cloud) -> dict[tuple[str, str], int]:
    rows = cloud.get("/v1/pricing").body["gpu"]
    return {(row["gpuModelId"], row["tier"]): row["pricePerHourCents"] for row in rows}


# -- what is on offer --------------------------------------------------------------------------------------


def test_models_are_listed_with_hidden_ones(cloud: Cloud) -> None:
    listed = [
        [
            model["id"],
            model["name"],
            model["manufacturer"],
            model["architecture"],
            str(model["vramGb"]),
            model["formFactor"],
            model.get("interconnect", "-"),
        ]
        for model in cloud.get("/v1/gpu-models").body
    ]
    assert listed == [row[:7] for row in ROWS]


def test_only_the_hidden_model_is_hidden(cloud: Cloud) -> None:
    hidden = [model["id"] for model in cloud.get("/v1/gpu-models").body if model["hidden"]]
    assert hidden == ["gtx-1080-ti"]


def test_pricing_has_one_row_per_model_on_sale_and_tier(cloud: Cloud) -> None:
    assert [
        (row["gpuModelId"], row["gpuModelName"], row["vramGb"], row["tier"], row["pricePerHourCents"])
        for row in cloud.get("/v1/pricing").body["gpu"]
    ] == [
        (row[0], row[1], int(row[4]), tier, int(row[at]))
        for row in ON_SALE
        for tier, at in (("community", 7), ("verified", 8))
    ]


def test_pricing_has_cpu_sizes_and_the_bounds_of_a_disk(cloud: Cloud) -> None:
    pricing = cloud.get("/v1/pricing").body
    assert [
        (row["resourceSize"], row["vcpu"], row["ramMb"], row["pricePerHourCents"]) for row in pricing["cpu"]
    ] == [
        ("small", 2, 4096, 3),
        ("medium", 4, 8192, 6),
        ("large", 8, 16384, 12),
        ("xl", 16, 32768, 24),
    ]
    assert pricing["vmDisk"] == {"minGb": 10, "maxGb": 2000}


def test_locations_have_a_region_each(cloud: Cloud) -> None:
    assert [
        (row["id"], row["city"], row["country"], row["region"]) for row in cloud.get("/v1/locations").body
    ] == [
        ("us-east", "Ashburn", "US", "north-america"),
        ("us-west", "Santa Clara", "US", "north-america"),
        ("ca-central", "Montréal", "CA", "north-america"),
        ("eu-west", "Amsterdam", "NL", "europe"),
        ("eu-north", "Stockholm", "SE", "europe"),
        ("ap-southeast", "Singapore", "SG", "asia-pacific"),
    ]


def test_templates_say_what_they_suit(cloud: Cloud) -> None:
    templates = {row["slug"]: row for row in cloud.get("/v1/vm-templates").body}
    assert list(templates) == [
        "ubuntu-22-04",
        "ubuntu-22-04-cuda",
        "ubuntu-24-04-cuda",
        "pytorch-cuda",
        "rocm-ubuntu",
        "windows-server-2022",
    ]
    assert [slug for slug, row in templates.items() if row["isDefault"]] == ["ubuntu-22-04"]
    assert templates["ubuntu-22-04"]["compatibleGpuModelIds"] is None
    assert not templates["ubuntu-22-04"]["requiresGpu"]
    assert templates["ubuntu-22-04-cuda"]["driverVersion"] == "570"
    assert templates["rocm-ubuntu"]["compatibleGpuModelIds"] == ["mi355x"]
    assert templates["windows-server-2022"]["osType"] == "windows"
    assert [row["sortOrder"] for row in templates.values()] == sorted(
        row["sortOrder"] for row in templates.values()
    )


def test_model_ids_are_uuids_when_asked_for_and_both_are_accepted(open_cloud: Open) -> None:
    cloud = open_cloud(ids__gpu_models="uuid")
    uuid = model_uuid("rtx-3090")
    listed = {model["id"]: model["name"] for model in cloud.get("/v1/gpu-models").body}
    assert listed[uuid] == "RTX 3090"
    assert all(len(model_id) == 36 for model_id in listed)
    assert uuid in availability(cloud)
    assert (uuid, "community") in prices(cloud)
    assert model_uuid("mi355x") in cloud.get("/v1/vm-templates").body[4]["compatibleGpuModelIds"]
    assert cloud.launch(gpuModelId=uuid)["gpuModelId"] == uuid
    assert cloud.launch(gpuModelId="rtx-3090")["gpuModelId"] == uuid


def test_any_valid_key_may_read_the_catalogue_and_nobody_without_one(cloud: Cloud) -> None:
    made = cloud.post("/v1/orgs/{org}/api-keys/create", {"name": "ci", "scopes": ["inference"]})
    key = made.body["key"]
    for path in ("gpu-models", "pricing", "gpu-availability", "locations", "vm-templates"):
        assert cloud.get(f"/v1/{path}", key=key).status == 200
        assert cloud.get(f"/v1/{path}", key="").status == 401


# -- availability ------------------------------------------------------------------------------------------


def test_twelve_4090_five_free_and_no_more_than_four_on_one_node(cloud: Cloud) -> None:
    vm = availability(cloud)["rtx-4090"]["vm"]
    assert (vm["totalGpus"], vm["freeGpus"], vm["maxPlaceableGpus"]) == (12, 5, 4)
    assert vm["placeableGpuCounts"] == [1, 4]
    assert vm["tileLattice"] == [1, 2, 3, 4]
    assert sorted((node["freeUnits"], node["freeGpus"], node["unitSizes"]) for node in vm["nodes"]) == [
        (0, 0, []),
        (1, 1, [1]),
        (1, 4, [4]),
    ]


def test_every_model_on_sale_is_there_even_without_hardware(cloud: Cloud) -> None:
    models = availability(cloud)
    assert list(models) == [row[0] for row in ON_SALE]
    assert models["b200"]["vm"]["totalGpus"] == models["b200"]["capacity"] == 0
    assert models["b200"]["groupSize"] == 1


def test_june_flat_numbers_are_the_sums_over_both_classes(cloud: Cloud) -> None:
    for row in availability(cloud).values():
        assert row["capacity"] == row["vm"]["totalGpus"] + row["cluster"]["totalGpus"]
        assert row["available"] == row["vm"]["freeGpus"] + row["cluster"]["freeGpus"]
        assert row["inUse"] == row["capacity"] - row["available"]


@pytest.mark.parametrize(
    ("model", "group_size"), [("rtx-4090", 1), ("a100-sxm-80gb", 2), ("h100-sxm", 8), ("l40s", 1)]
)
def test_group_size_is_the_smallest_unit(cloud: Cloud, model: str, group_size: int) -> None:
    assert availability(cloud)[model]["groupSize"] == group_size


def test_a_cluster_takes_any_count_of_one_node_and_has_no_lattice(cloud: Cloud) -> None:
    l40s = availability(cloud)["l40s"]
    assert l40s["cluster"]["placeableGpuCounts"] == [1, 2, 3, 4]
    assert "tileLattice" not in l40s["cluster"]
    assert l40s["vm"]["totalGpus"] == 0
    assert l40s["vm"]["tileLattice"] == []


def test_free_gpus_without_disk_beside_them_are_offered_to_nobody(cloud: Cloud) -> None:
    l4 = availability(cloud)["l4"]["vm"]
    assert (l4["freeGpus"], l4["maxPlaceableGpus"], l4["placeableGpuCounts"]) == (2, 0, [])
    assert [offer["free"]["diskGb"] for offer in l4["offers"]] == [60]
    refused = cloud.post("/v1/orgs/{org}/vms/create", {"name": "a", "gpuModelId": "l4"})
    assert refused.code == "INSUFFICIENT_HOST_CAPACITY"
    assert cloud.launch(gpuModelId="l4", diskSizeGb=30)["status"] == "deploying"


def test_nodes_that_are_not_online_count_nowhere(cloud: Cloud) -> None:
    models = availability(cloud)
    assert models["rtx-3090"]["capacity"] == 12, "four more are on the node that is offline"
    assert models["rtx-5090"]["capacity"] == 2, "two more are on the node that is draining"


@pytest.mark.parametrize("fixture", ["default", "empty", "full"])
def test_free_lies_between_placeable_and_total(open_cloud: Open, fixture: str) -> None:
    for row in availability(open_cloud(fixture)).values():
        for kind in ("vm", "cluster"):
            numbers = row[kind]
            assert 0 <= numbers["maxPlaceableGpus"] <= numbers["freeGpus"] <= numbers["totalGpus"]
            assert numbers["maxPlaceableGpus"] == max(numbers["placeableGpuCounts"], default=0)
            assert sum(node["freeGpus"] for node in numbers["nodes"]) == numbers["freeGpus"]
            assert [sum(offer["unitSizes"]) for offer in numbers["offers"]] == [
                node["freeGpus"] for node in numbers["nodes"]
            ]


@pytest.mark.parametrize("fixture", ["default", "empty"])
def test_every_count_offered_can_be_created_and_no_other_of_the_lattice(
    open_cloud: Open, fixture: str
) -> None:
    cloud = open_cloud(fixture)
    for model, row in availability(cloud).items():
        for count in {*row["vm"]["tileLattice"], *row["vm"]["placeableGpuCounts"]}:
            created = [_create_and_terminate(cloud, model, count, tier) for tier in ("community", "verified")]
            assert any(created) == (count in row["vm"]["placeableGpuCounts"]), (model, count)


def test_what_is_offered_to_spot_vms_can_be_created_as_one(cloud: Cloud) -> None:
    for model, row in availability(cloud).items():
        for count in row["vm"]["tileLattice"]:
            offered = count in row["vm"]["spotPlaceableGpuCounts"]
            assert _create_and_terminate(cloud, model, count, "spot") == offered, (model, count)
    both_tiers = availability(cloud)["a100-pcie-80gb"]["vm"]
    assert (both_tiers["freeGpus"], both_tiers["spotFreeGpus"]) == (6, 2), "four of them are verified"


def _create_and_terminate(cloud: Cloud, model: str, count: int, tier: str) -> bool:
    body = {"name": "probe", "gpuModelId": model, "gpuCount": count, "tier": tier}
    answer = cloud.post("/v1/orgs/{org}/vms/create", body)
    if answer.status == 200:
        cloud.post(f"/v1/vms/{answer.body['id']}/terminate")
    return answer.status == 200


def test_an_offer_says_what_a_vm_on_its_node_gets(cloud: Cloud) -> None:
    (offer,) = availability(cloud)["h100-sxm"]["vm"]["offers"]
    assert offer["unitSizes"] == offer["structuralUnitSizes"] == [8]
    assert offer["perGpu"]["vcpu"] == 24
    assert offer["free"]["vcpu"] == 192
    assert offer["free"]["diskGb"] == 16_000
    vm = cloud.launch(gpuModelId="h100-sxm", gpuCount=8)
    detail = cloud.get(f"/v1/vms/{vm['id']}/detail").body
    assert detail["guestMemMb"] == offer["free"]["ramMb"]
    (offer,) = availability(cloud)["h100-sxm"]["vm"]["offers"]
    assert (offer["unitSizes"], offer["structuralUnitSizes"]) == ([], [8])
    assert offer["free"] == {"vcpu": 0, "ramMb": 0, "diskGb": 15_200}


def test_guest_ram_within_the_offer_is_granted(cloud: Cloud) -> None:
    offer = availability(cloud)["mi355x"]["vm"]["offers"][0]
    asked = 2 * offer["perGpu"]["ramMb"]
    vm = cloud.launch(gpuModelId="mi355x", gpuCount=2, guestMemMb=asked)
    assert cloud.get(f"/v1/vms/{vm['id']}/detail").body["guestMemMb"] == asked


def test_a_launch_shows_in_the_next_answer(cloud: Cloud) -> None:
    cloud.launch(gpuCount=4)
    vm = availability(cloud)["rtx-4090"]["vm"]
    assert (vm["freeGpus"], vm["maxPlaceableGpus"], vm["placeableGpuCounts"]) == (1, 1, [1])


@pytest.mark.parametrize(
    ("shape", "flat", "nested"), [("union", True, True), ("flat", True, False), ("nested", False, True)]
)
def test_the_shape_is_a_setting(open_cloud: Open, shape: str, flat: bool, nested: bool) -> None:
    """The contract asks for vm and cluster in any case: flat keeps their three required numbers."""
    row = availability(open_cloud(availability__shape=shape))["rtx-4090"]
    assert ({"capacity", "inUse", "available", "groupSize"} <= row.keys()) == flat
    assert ({"name", "vramGb", "formFactor"} <= row.keys()) == nested
    assert ("nodes" in row["vm"]) == ("offers" in row["cluster"]) == nested
    assert (row["vm"]["totalGpus"], row["vm"]["freeGpus"], row["vm"]["maxPlaceableGpus"]) == (12, 5, 4)


# -- the cache ---------------------------------------------------------------------------------------------


def free_4090(cloud: Cloud) -> int:
    free: int = availability(cloud)["rtx-4090"]["vm"]["freeGpus"]
    return free


def test_an_answer_is_repeated_until_its_time_is_over(open_cloud: Open) -> None:
    cloud = open_cloud(availability__ttl_s=30)
    assert free_4090(cloud) == 5
    cloud.launch(gpuCount=4)
    cloud.advance(29)
    assert free_4090(cloud) == 5, "a stale answer"
    cloud.advance(1)
    assert free_4090(cloud) == 1


def test_a_stale_answer_is_what_makes_a_create_fail(open_cloud: Open) -> None:
    cloud = open_cloud(availability__ttl_s=30)
    offered = availability(cloud)["rtx-4090"]["vm"]["placeableGpuCounts"]
    cloud.launch(gpuCount=4)
    assert 4 in offered
    assert 4 in availability(cloud)["rtx-4090"]["vm"]["placeableGpuCounts"]
    refused = cloud.post("/v1/orgs/{org}/vms/create", {"name": "b", "gpuModelId": "rtx-4090", "gpuCount": 4})
    assert refused.code == "INSUFFICIENT_GPU_CAPACITY"


def test_a_fork_keeps_the_answer_of_its_origin(open_cloud: Open) -> None:
    cloud = open_cloud(availability__ttl_s=30)
    availability(cloud)
    cloud.launch(gpuCount=4)
    cloud.worlds.fork("default", "twin")
    cloud.visit("twin")
    assert free_4090(cloud) == 5
    cloud.advance(30)
    assert free_4090(cloud) == 1
    cloud.visit("default")
    assert free_4090(cloud) == 5


def test_without_a_cache_a_read_changes_nothing(cloud: Cloud) -> None:
    availability(cloud)
    before = cloud.world.version
    for path in ("gpu-models", "pricing", "gpu-availability", "locations", "vm-templates"):
        cloud.get(f"/v1/{path}")
    assert cloud.world.version == before


# -- prices ------------------------------------------------------------------------------------------------


def test_a_new_price_does_not_touch_open_sessions(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    cloud.do("price.set", id="rtx-4090", cents=100)
    assert prices(cloud)["rtx-4090", "community"] == 100
    burn = cloud.get(f"/v1/vms/{vm['id']}/burn").body
    assert (burn["pricePerHourCents"], burn["rateSource"]) == (59, "locked")
    cloud.advance(3600)
    usage = cloud.get("/v1/orgs/{org}/usage/current").body
    assert usage["burnPerHourCents"] == 59


def test_the_session_after_a_stop_takes_the_new_price(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    cloud.do("price.set", id="rtx-4090", cents=100)
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    assert cloud.vm(vm["id"])["pricePerHourCents"] == 100, "nothing is locked while it is stopped"
    cloud.post(f"/v1/vms/{vm['id']}/restart")
    cloud.simulator.advance_until_status(vm["id"], "running")
    assert cloud.get(f"/v1/vms/{vm['id']}/burn").body["pricePerHourCents"] == 100


@pytest.mark.parametrize(
    "target", [{"id": "l4"}, {"id": model_uuid("l4")}, {"name": "L4"}], ids=["slug", "uuid", "name"]
)
def test_a_price_is_set_for_a_model_and_a_tier(cloud: Cloud, target: dict[str, str]) -> None:
    told = cloud.do("price.set", **target, tier="verified", cents=56)
    assert told == {"gpuModel": "l4", "tier": "verified", "pricePerHourCents": 56}
    assert prices(cloud)["l4", "verified"] == 56
    assert prices(cloud)["l4", "community"] == 44


def test_a_price_is_set_for_a_cpu_size(cloud: Cloud) -> None:
    cloud.do("price.set", size="small", cents=4)
    assert cloud.get("/v1/pricing").body["cpu"][0]["pricePerHourCents"] == 4
    assert cloud.launch(gpuModelId=None, resourceSize="small")["pricePerHourCents"] == 4


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"id": "l44", "cents": 5}, "l44"),
        ({"id": "l4", "cents": -1}, "cents"),
        ({"id": "l4", "cents": 10**7}, "cents"),
        ({"id": "l4", "cents": 0.5}, "cents"),
        ({"id": "l4", "tier": "spot", "cents": 5}, "tier"),
        ({"id": "l4", "name": "L4", "cents": 5}, "by id or name or select"),
        ({"size": "huge", "cents": 5}, "huge"),
        ({"size": "small", "id": "l4", "cents": 5}, "not both"),
        ({"cents": 5}, "by id or name or select"),
        ({"id": "l4"}, "cents"),
    ],
)
def test_a_price_that_makes_no_sense_is_refused(cloud: Cloud, arguments: dict[str, Any], named: str) -> None:
    before = cloud.world.version
    with pytest.raises(Refusal, match=named):
        cloud.do("price.set", **arguments)
    assert cloud.world.version == before


def test_a_model_without_a_price_in_a_tier_has_no_row_there_and_cannot_be_asked_for(cloud: Cloud) -> None:
    cloud.world.change(cloud.world.get(GpuModel, "a100-pcie-80gb"), verified_cents=None)
    assert ("a100-pcie-80gb", "verified") not in prices(cloud)
    body = {"name": "a", "gpuModelId": "a100-pcie-80gb", "tier": "verified"}
    assert cloud.post("/v1/orgs/{org}/vms/create", body).status == 400
