"""Nodes, units, placement: what fits where, and why something does not."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.domain import capacity
from simulator.domain.capacity import CLUSTER, Amounts, Claim, Node, Shape, Unit
from simulator.kernel.refusal import Refusal
from simulator.kernel.settings import Settings
from simulator.kernel.world import World
from tests.support.invariants import nodes_hold_exactly_their_claims

GB = 1024


def a_node(name: str, *units: int, **fields: Any) -> Node:
    """A node of RTX 4090, 16 vCPU, 64 GiB and 1000 GB per GPU; without units, a CPU node of 32 vCPU."""
    gpus = sum(units)
    defaults = {
        "id": name,
        "hostname": name,
        "location_id": "us-east",
        "region": "north-america",
        "gpu_model_id": "rtx-4090" if units else "",
        "units": tuple(Unit(gpus) for gpus in units),
        "vcpu": 16 * gpus or 32,
        "ram_mb": 64 * GB * gpus or 128 * GB,
        "disk_gb": 1000 * gpus or 1000,
    }
    return Node(**{**defaults, **fields})


def a_shape(gpus: int = 1, **fields: Any) -> Shape:
    defaults = {"gpu_model_id": "rtx-4090", "vram_gb": 24, "gpus": gpus, "disk_gb": 100 * gpus}
    return Shape(**{**defaults, **fields})


def a_cpu_shape(**fields: Any) -> Shape:
    return Shape(**{"vcpu": 8, "guest_ram_mb": 16 * GB, "disk_gb": 10, **fields})


def a_world(*nodes: Node) -> World:
    world = World("test", 0, 0, Settings())
    for node in nodes:
        world.put(node)
    return world


def refusal_of(world: World, shape: Shape) -> Refusal:
    with pytest.raises(Refusal) as caught:
        capacity.place(world, shape)
    return caught.value


# -- units -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 8), max_size=8), st.integers(1, 20))
def test_a_tiling_has_the_fewest_units_then_the_lowest_positions(sizes: list[int], count: int) -> None:
    choices = [
        chosen
        for many in range(1, len(sizes) + 1)
        for chosen in combinations(range(len(sizes)), many)
        if sum(sizes[at] for at in chosen) == count
    ]
    assert capacity.tile(enumerate(sizes), count) == (choices[0] if choices else None)


@given(st.lists(st.integers(1, 8), max_size=8))
def test_tileable_counts_are_the_sums_of_units(sizes: list[int]) -> None:
    sums = {sum(chosen) for many in range(1, 9) for chosen in combinations(sizes, many)}
    assert capacity.tileable(sizes) == sums


def test_a_unit_is_never_split() -> None:
    world = a_world(a_node("pair", 2, 2))
    refusal = refusal_of(world, a_shape(1))
    assert refusal.code == "GPU_COUNT_NOT_ALLOCATABLE"
    assert "[2, 4]" in refusal.message
    assert refusal.facts == {"placeableGpuCounts": [2, 4]}


def test_gpus_of_two_nodes_are_never_joined() -> None:
    world = a_world(a_node("a", 2), a_node("b", 2))
    assert refusal_of(world, a_shape(4)).code == "GPU_COUNT_NOT_ALLOCATABLE"


def test_the_smallest_set_of_units_is_taken_then_the_lowest_position() -> None:
    world = a_world(a_node("mixed", 1, 1, 2, 2))
    assert capacity.place(world, a_shape(2)).units == (2,)
    assert capacity.place(world, a_shape(3)).units == (0, 2)


def test_units_of_the_other_class_are_left_alone() -> None:
    node = a_node("both", units=(Unit(1), Unit(1, CLUSTER), Unit(1, CLUSTER)), gpu_model_id="rtx-4090")
    node = msgspec.structs.replace(node, vcpu=48, ram_mb=192 * GB, disk_gb=3000)
    world = a_world(node)
    assert capacity.place(world, a_shape(1)).units == (0,)
    assert capacity.place(world, a_shape(2, kind=CLUSTER)).units == (1, 2)
    assert refusal_of(world, a_shape(2)).code == "GPU_COUNT_NOT_ALLOCATABLE"


# -- memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guest_mb", "host_mb"),
    [
        (16 * GB, 16 * GB + 1024 + 32),  # 5 % are 819.2 MiB: the least of 1 GiB counts
        (20_480, 20_480 + 1024 + 32),  # 5 % are exactly 1 GiB
        (100_000, 100_000 + 5000 + 32),
        (100_001, 100_001 + 5001 + 32),  # 5000.05, rounded up
    ],
)
def test_the_hypervisor_takes_five_percent_or_one_gib_and_32_mib(guest_mb: int, host_mb: int) -> None:
    assert capacity.host_ram_mb(guest_mb) == host_mb


@given(st.integers(0, 4_000_000))
def test_the_largest_guest_is_the_largest(host_mb: int) -> None:
    guest_mb = capacity.largest_guest_mb(host_mb)
    assert guest_mb == 0 or capacity.host_ram_mb(guest_mb) <= host_mb
    assert capacity.host_ram_mb(guest_mb + 1) > host_mb


def test_a_gpu_vm_gets_the_full_share_of_its_gpus() -> None:
    found = capacity.place(a_world(a_node("n", 1, 1, 1, 1)), a_shape(2))
    assert found.vcpu == 32
    assert found.guest_ram_mb == capacity.largest_guest_mb(128 * GB)
    assert found.ram_mb <= 128 * GB


@pytest.mark.parametrize(
    ("guest_mb", "fits"),
    [
        (15_974, True),  # 65 % of 24 GiB are 15974.4
        (15_973, False),
        (62_383, True),  # (64 GiB - 32 MiB) / 1.05
        (62_385, False),
    ],
)
def test_guest_ram_lies_between_65_percent_of_the_vram_and_the_share(guest_mb: int, fits: bool) -> None:
    world = a_world(a_node("n", 1, 1))
    shape = a_shape(1, guest_ram_mb=guest_mb)
    if fits:
        assert capacity.place(world, shape).guest_ram_mb == guest_mb
    else:
        refusal = refusal_of(world, shape)
        assert refusal.code == "VM_SHAPE_NOT_PLACEABLE"
        assert f"{guest_mb} MiB RAM" in refusal.message


# -- which node --------------------------------------------------------------------------------------------


def test_the_tightest_node_that_fits_is_taken() -> None:
    world = a_world(a_node("big", 1, 1, 1, 1), a_node("small", 1, 1), a_node("smaller", 1))
    assert capacity.place(world, a_shape(1)).node.id == "smaller"
    assert capacity.place(world, a_shape(2)).node.id == "small"
    assert capacity.place(world, a_shape(3)).node.id == "big"


def test_the_tightest_node_is_the_one_with_the_fewest_free_gpus_not_the_smallest() -> None:
    world = a_world(a_node("big", 1, 1, 1, 1, taken=(0, 1, 2)), a_node("small", 1, 1))
    assert capacity.place(world, a_shape(1)).node.id == "big"


def test_a_tie_goes_to_the_lowest_id() -> None:
    world = a_world(a_node("b", 1), a_node("a", 1), a_node("c", 1))
    assert capacity.place(world, a_shape(1)).node.id == "a"


def test_a_tight_node_that_cannot_give_the_full_share_is_passed_over() -> None:
    world = a_world(a_node("short", 1, used_ram_mb=1), a_node("wide", 1, 1))
    assert capacity.place(world, a_shape(1)).node.id == "wide"


@pytest.mark.parametrize("status", ["offline", "draining", "maintenance", "removed"])
def test_only_online_nodes_take_work(status: str) -> None:
    world = a_world(a_node("away", 1, status=status), a_node("here", 1, 1))
    assert capacity.place(world, a_shape(1)).node.id == "here"


def test_a_tier_has_its_own_nodes_and_spot_runs_on_community_ones() -> None:
    world = a_world(a_node("c", 1, 1), a_node("v", 1, tier="verified"))
    assert capacity.place(world, a_shape(1)).node.id == "c"
    assert capacity.place(world, a_shape(1, tier="verified")).node.id == "v"
    assert capacity.place(world, a_shape(1, tier="spot")).node.id == "c"
    assert refusal_of(world, a_shape(2, tier="verified")).code == "VM_SHAPE_NOT_PLACEABLE"


def regional() -> World:
    return a_world(
        a_node("ash", 1, 1),
        a_node("scl", 1, location_id="us-west"),
        a_node("ams", 1, 1, 1, location_id="eu-west", region="europe"),
    )


def test_regions_are_tried_in_the_given_order() -> None:
    world = regional()
    assert capacity.place(world, a_shape(1, regions=("europe", "us-west"))).node.id == "ams"
    assert capacity.place(world, a_shape(1, regions=("us-west", "europe"))).node.id == "scl"
    assert capacity.place(world, a_shape(2, regions=("us-west", "europe"))).node.id == "ams"


def test_a_region_covers_its_locations_and_a_location_itself_only() -> None:
    world = regional()
    assert capacity.place(world, a_shape(1, regions=("north-america",))).node.id == "scl"
    assert capacity.place(world, a_shape(1, regions=("us-east",))).node.id == "ash"


def test_outside_the_regions_a_place_is_taken_with_fallback_only() -> None:
    world = regional()
    refusal = refusal_of(world, a_shape(3, regions=("north-america",)))
    assert refusal.code == "VM_SHAPE_NOT_PLACEABLE"
    assert "in north-america" in refusal.message
    assert refusal.facts == {"placeableGpuCounts": [1, 2]}, "what the regions named could give"
    assert capacity.place(world, a_shape(3, regions=("north-america",), fallback=True)).node.id == "ams"


# -- the node that was named -------------------------------------------------------------------------------


def test_a_named_node_is_taken_or_nothing() -> None:
    world = a_world(a_node("tight", 1), a_node("wide", 1, 1), a_node("full", 1, taken=(0,)))
    assert capacity.place(world, a_shape(1, node_id="wide")).node.id == "wide"
    assert refusal_of(world, a_shape(1, node_id="full", fallback=True)).code == "NODE_AT_CAPACITY"


@pytest.mark.parametrize("status", ["offline", "draining", "maintenance"])
def test_a_named_node_that_takes_no_work_is_at_capacity(status: str) -> None:
    refusal = refusal_of(a_world(a_node("n", 1, status=status)), a_shape(1, node_id="n"))
    assert refusal.code == "NODE_AT_CAPACITY"
    assert status in refusal.message


@pytest.mark.parametrize("node_id", ["nobody", "gone"])
def test_a_named_node_that_is_unknown_or_removed_is_not_found(node_id: str) -> None:
    world = a_world(a_node("gone", 1, status="removed"))
    assert refusal_of(world, a_shape(1, node_id=node_id)).code == "not_found"


@pytest.mark.parametrize(
    "fields",
    [{"gpus": 2}, {"gpu_model_id": "l4"}, {"tier": "verified"}, {"disk_gb": 1001}, {"regions": ("europe",)}],
)
def test_a_named_node_that_could_never_hold_it_is_refused_for_good(fields: dict[str, Any]) -> None:
    refusal = refusal_of(a_world(a_node("n", 1)), a_shape(**{"gpus": 1, "node_id": "n", **fields}))
    assert refusal.code == "VM_SHAPE_NOT_PLACEABLE"


# -- why there is no room ----------------------------------------------------------------------------------


def test_busy_gpus_are_refused_with_the_counts_that_would_fit() -> None:
    world = a_world(a_node("a", 1, 1, 1, 1, taken=(0, 1, 2)), a_node("b", 4), a_node("c", 2, 2, taken=(0, 1)))
    refusal = refusal_of(world, a_shape(2))
    assert refusal.code == "INSUFFICIENT_GPU_CAPACITY"
    assert refusal.facts == {"placeableGpuCounts": [1, 4]}
    assert "[1, 4]" in refusal.message


@pytest.mark.parametrize("short", ["used_vcpu", "used_ram_mb", "used_disk_gb"])
def test_gpus_without_room_beside_them_are_a_matter_of_the_host(short: str) -> None:
    full = {"used_vcpu": 32, "used_ram_mb": 128 * GB, "used_disk_gb": 2000}
    world = a_world(a_node("n", 1, 1, **{short: full[short]}))
    refusal = refusal_of(world, a_shape(1))
    assert refusal.code == "INSUFFICIENT_HOST_CAPACITY"
    assert refusal.facts == {"placeableGpuCounts": []}


def test_counts_in_a_refusal_are_those_of_this_very_request() -> None:
    """A disk that was asked for stays in every alternative; the default one grows with the count."""
    world = a_world(a_node("a", 1, 1, used_disk_gb=1500), a_node("b", 1, 1, 1, taken=(0, 1, 2)))
    assert refusal_of(world, a_shape(3)).facts == {"placeableGpuCounts": [1, 2]}
    assert refusal_of(world, a_shape(3, disk_gb=501)).facts == {"placeableGpuCounts": []}


def test_a_disk_no_node_has_is_never_placeable() -> None:
    refusal = refusal_of(a_world(a_node("n", 1)), a_shape(1, disk_gb=2000))
    assert refusal.code == "VM_SHAPE_NOT_PLACEABLE"
    assert "2000 GB" in refusal.message


def test_a_model_that_no_node_has_is_never_placeable() -> None:
    refusal = refusal_of(a_world(a_node("n", 1)), a_shape(1, gpu_model_id="b200"))
    assert refusal.code == "VM_SHAPE_NOT_PLACEABLE"
    assert refusal.facts == {"placeableGpuCounts": []}


def test_a_node_that_is_offline_still_counts_as_one_that_could_hold_it() -> None:
    assert (
        refusal_of(a_world(a_node("n", 1, status="offline")), a_shape(1)).code == "INSUFFICIENT_GPU_CAPACITY"
    )


# -- CPU VMs -----------------------------------------------------------------------------------------------


def test_cpu_vms_keep_off_gpu_nodes() -> None:
    world = a_world(a_node("gpu", 1, 1, 1, 1), a_node("cpu"))
    assert capacity.place(world, a_cpu_shape()).node.id == "cpu"
    assert refusal_of(a_world(a_node("gpu", 1)), a_cpu_shape()).code == "VM_SHAPE_NOT_PLACEABLE"


def test_a_cpu_vm_goes_where_the_fewest_vcpu_are_free() -> None:
    world = a_world(a_node("a"), a_node("b", used_vcpu=20), a_node("c", used_vcpu=30))
    assert capacity.place(world, a_cpu_shape()).node.id == "b"


@pytest.mark.parametrize(
    "full", [{"used_vcpu": 25}, {"used_ram_mb": 112 * GB}, {"used_disk_gb": 991}], ids=["vcpu", "ram", "disk"]
)
def test_a_cpu_node_that_is_short_of_anything_is_full(full: dict[str, int]) -> None:
    refusal = refusal_of(a_world(a_node("n", **full)), a_cpu_shape())
    assert refusal.code == "INSUFFICIENT_CPU_CAPACITY"
    assert refusal.facts == {}


def test_a_cpu_vm_larger_than_every_node_is_never_placeable() -> None:
    assert refusal_of(a_world(a_node("n")), a_cpu_shape(vcpu=33)).code == "VM_SHAPE_NOT_PLACEABLE"


# -- claims ------------------------------------------------------------------------------------------------


def test_a_released_claim_keeps_the_disk_and_a_freed_one_nothing() -> None:
    world = a_world(a_node("n", 1, 1))
    capacity.claim(world, capacity.place(world, a_shape(1)), "vm")
    capacity.release(world, "vm")
    assert world.get(Claim, "vm").amounts == Amounts(disk_gb=100)
    assert world.get(Node, "n").left == Amounts(32, 128 * GB, 1900)
    capacity.free(world, "vm")
    assert world.find(Claim, "vm") is None
    assert world.get(Node, "n").left == Amounts(32, 128 * GB, 2000)


def test_releasing_what_was_never_claimed_changes_nothing() -> None:
    world = a_world(a_node("n", 1))
    before = world.version
    capacity.release(world, "nobody")
    capacity.free(world, "nobody")
    assert world.version == before


def test_a_unit_is_not_sold_twice() -> None:
    world = a_world(a_node("n", 1))
    found = capacity.place(world, a_shape(1))
    capacity.claim(world, found, "first")
    with pytest.raises(AssertionError, match="are taken"):
        capacity.claim(world, found, "second")


def test_a_disk_grows_only_as_far_as_the_node_has_room() -> None:
    world = a_world(a_node("n", 1, 1))
    capacity.claim(world, capacity.place(world, a_shape(1)), "vm")
    assert capacity.resize_disk(world, "vm", 2000)
    assert world.get(Node, "n").left.disk_gb == 0
    assert not capacity.resize_disk(world, "vm", 2001)
    assert world.get(Claim, "vm").disk_gb == 2000


UNITS = st.lists(st.sampled_from([1, 1, 2, 4, 8]), min_size=1, max_size=4)


@st.composite
def fleets(draw: st.DrawFn) -> list[Node]:
    """Nodes with some units taken, and some with little left beside them."""
    nodes = []
    for number, units in enumerate(draw(st.lists(UNITS, min_size=1, max_size=4))):
        node = a_node(f"n{number}", *units)
        taken = draw(st.sets(st.integers(0, len(units) - 1)))
        used = {
            "used_vcpu": draw(st.sampled_from([0, node.vcpu // 2, node.vcpu])),
            "used_ram_mb": draw(st.sampled_from([0, node.ram_mb // 2, node.ram_mb])),
            "used_disk_gb": draw(st.sampled_from([0, node.disk_gb // 2, node.disk_gb - 100, node.disk_gb])),
            "status": draw(st.sampled_from(["online", "online", "offline"])),
        }
        nodes.append(msgspec.structs.replace(node, taken=tuple(sorted(taken)), **used))
    return nodes


@given(fleets(), st.integers(1, 3), st.integers(1, 12), st.booleans())
def test_places_for_many_are_those_of_one_after_the_other(
    nodes: list[Node], gpus: int, count: int, regional: bool
) -> None:
    """All of them or none: with the same nodes and units as placing and claiming each in turn."""
    where = {"regions": ("europe",), "fallback": True} if regional else {}
    shape = a_shape(gpus, **where)
    nodes[0] = msgspec.structs.replace(nodes[0], region="europe")
    world, turn = a_world(*nodes), a_world(*nodes)
    try:
        together = [(found.node.id, found.units) for found in capacity.place_all(world, shape, count)]
    except Refusal:
        together = []
    assert world.version == len(nodes), "nothing is claimed yet"
    apart: list[tuple[str, tuple[int, ...]]] = []
    for holder in range(count):
        try:
            found = capacity.place(turn, shape)
        except Refusal:
            apart = []
            break
        capacity.claim(turn, found, str(holder))
        apart.append((found.node.id, found.units))
    assert together == apart


def test_a_refusal_of_many_says_how_many_would_fit() -> None:
    world = a_world(a_node("a", 1, 1), a_node("b", 1))
    with pytest.raises(Refusal, match="3 of 5 times 1 x rtx-4090") as caught:
        capacity.place_all(world, a_shape(), 5)
    assert caught.value.code == "INSUFFICIENT_GPU_CAPACITY"
    assert caught.value.facts == {"placeableReplicas": 3}


@given(fleets())
def test_every_placeable_count_can_be_created_and_no_other(nodes: list[Node]) -> None:
    world = a_world(*nodes)
    counts = capacity.placeable_counts(nodes, a_shape(1))
    for count in range(1, 34):
        if count in counts:
            found = capacity.place(world, a_shape(count))
            assert sum(found.node.units[at].gpus for at in found.units) == count
        else:
            assert refusal_of(world, a_shape(count)).facts["placeableGpuCounts"] == counts


@given(
    st.lists(UNITS, min_size=1, max_size=3),
    st.lists(
        st.tuples(
            st.sampled_from(["claim", "release", "free", "grow", "occupy"]),
            st.integers(0, 5),
            st.integers(1, 8),
        ),
        max_size=25,
    ),
)
def test_nodes_hold_exactly_their_claims_whatever_happens(
    fleet: list[list[int]], steps: list[tuple[str, int, int]]
) -> None:
    world = a_world(*(a_node(f"n{number}", *units) for number, units in enumerate(fleet)))
    for what, number, count in steps:
        _take_a_step(world, what, f"vm{number}", count)
        nodes_hold_exactly_their_claims(world)


def _take_a_step(world: World, what: str, holder: str, count: int) -> None:
    held = world.find(Claim, holder)
    if what == "claim" and held is None:
        try:
            capacity.claim(world, capacity.place(world, a_shape(count)), holder)
        except Refusal:
            return
    elif what == "grow":
        capacity.resize_disk(world, holder, 100 * count)
    elif what == "occupy":
        node = next(iter(world.rows(Node)))
        for at in node.free_positions[:1]:
            capacity.occupy(world, node, at, Amounts(*(min(1, left) for left in node.left)))
    elif what in ("release", "free"):
        getattr(capacity, what)(world, holder)
