"""The `generate` section of a fixture: many people, keys, nodes and VMs from a seed, as plain sections.

Everything is drawn from the world's seed and appended to what the document lists itself. Names come from
Faker, imported only when a fixture asks for people.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from simulator.kernel.form import read
from simulator.kernel.instant import DAY_MS, SECOND_MS, month_of, month_start, parse_iso
from simulator.kernel.streams import Streams

T = TypeVar("T")

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]

GPUS_PER_NODE = 8
DISK_GB = 16_000
VCPU = 128
CPU_NODE_RAM_GB = 512
LEAST_RAM_GB = 256

STATUSES = (
    *["running"] * 8,
    *["deploying"],
    *["stopped"] * 5,
    *["failed"] * 2,
    *["terminated"] * 4,
)
"""Each as often as it is drawn."""

UNITS_TAKEN = (1, 1, 1, 2, 1, 1, 1, 4)
"""How many units VMs take; of a node with fewer units the first ones only."""

PURPOSES = ("train", "finetune", "infer", "render", "notebook", "batch", "ci", "sandbox")
ROLES = ("owner", "admin", "member", "member", "member", "viewer")
"""The roles of an organization's people, in the order in which they come to it."""


class Generate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How much there is to be of what."""

    organizations: Count = 0
    people: Count = 0
    """Spread over the organizations that are made; at least one each."""
    keys: Count = 0
    """API keys, spread over the same."""
    ssh_keys: Count = 0
    """SSH keys, spread over all organizations of the document, as the VMs are."""
    balance_cents: int = 0
    """What each organization that is made begins with."""
    nodes: dict[str, Count] = {}
    """Nodes per GPU model, or `cpu`: eight GPUs each, in units of one (pcie) or two."""
    vms: Count = 0
    """In mixed states; the first organizations have the most."""
    days: Count = 14
    """The VMs began within so many days before `start`, and within its month."""


class Model(msgspec.Struct):
    """What has to be known of a GPU model."""

    id: str
    vram_gb: int
    form_factor: str

    @property
    def units(self) -> list[int]:
        size = 1 if self.form_factor == "pcie" else 2
        return [size] * (GPUS_PER_NODE // size)


class Owner(msgspec.Struct):
    """What has to be known of an organization."""

    slug: str


class Known(msgspec.Struct):
    """What has to be known of a location or a CPU size."""

    id: str


class Document(msgspec.Struct):
    """What is read of the document, or added to."""

    start: Any = None
    gpu_models: list[Model] = []
    cpu_sizes: list[Known] = []
    locations: list[Known] = []
    organizations: list[Owner] = []
    users: list[Any] = []
    accounts: list[Any] = []
    nodes: list[Any] = []
    ssh_keys: list[Any] = []
    vms: list[Any] = []


def expand(document: dict[str, Any], seed: int) -> dict[str, Any]:
    """The document with its `generate` section replaced by the rows it stands for.

    Raises ValueError when the section makes no sense.
    """
    if "generate" not in document:
        return document
    plain = {section: content for section, content in document.items() if section != "generate"}
    given = read(plain, Document)
    wish = read(document["generate"], Generate)
    for section, rows in _sections(given, wish, seed).items():
        plain[section] = [*plain.get(section, []), *rows]
    return plain


def _sections(given: Document, wish: Generate, seed: int) -> dict[str, list[Any]]:
    streams = Streams(seed)
    users, made = _people(wish, seed)
    owners = [*(owner.slug for owner in given.organizations), *(owner["slug"] for owner in made)]
    if (wish.vms or wish.ssh_keys) and not owners:
        raise ValueError("VMs and SSH keys need an organization to belong to")
    return {
        "users": users,
        "organizations": made,
        "accounts": [{"organization": org["slug"], "balance_cents": wish.balance_cents} for org in made],
        "nodes": _nodes(given, wish),
        "ssh_keys": [_ssh_key(streams, owners, number) for number in range(wish.ssh_keys)],
        "vms": _vms(given, wish, owners, streams) if wish.vms else [],
    }


# -- people ------------------------------------------------------------------------------------------------


def _people(wish: Generate, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Users, and the organizations that they are members of."""
    if wish.people < wish.organizations:
        raise ValueError(f"{wish.people} people for {wish.organizations} organizations; each needs an owner")
    if not wish.organizations:
        if wish.people or wish.keys:
            raise ValueError("people and keys need organizations that are made with them")
        return [], []
    from faker import Faker

    faker = Faker("en_US", providers=["faker.providers.person"], use_weighting=False)
    faker.seed_instance(seed)
    users: list[dict[str, Any]] = []
    made: list[dict[str, Any]] = []
    for number in range(wish.organizations):
        name = faker.last_name()
        made.append({"slug": f"{_word(name)}-{number + 1}", "name": name, "members": [], "keys": []})
    for number in range(wish.people):
        organization = made[number % len(made)]
        first, last = faker.first_name(), faker.last_name()
        email = f"{_word(first)}.{_word(last)}.{number + 1}@{organization['slug']}.example"
        role = ROLES[min(len(organization["members"]), len(ROLES) - 1)]
        users.append({"email": email, "full_name": f"{first} {last}"})
        organization["members"].append({"email": email, "role": role})
    for number in range(wish.keys):
        organization = made[number % len(made)]
        organization["keys"].append({"name": f"{organization['slug']}-key-{len(organization['keys']) + 1}"})
    return users, made


def _word(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


class _Draw:
    """Several choices out of one number of a stream."""

    def __init__(self, number: int) -> None:
        self._number = number

    def below(self, limit: int) -> int:
        self._number, drawn = divmod(self._number, limit)
        return drawn

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def owner(self, owners: list[str]) -> str:
        """One of the organizations; the first ones come more often, as a few customers have the most."""
        return owners[self.below(len(owners) ** 2) ** 2 // len(owners) ** 3]


def _ssh_key(streams: Streams, owners: list[str], number: int) -> dict[str, Any]:
    kind = b"ssh-ed25519"
    material = streams.number("generate.ssh_key").to_bytes(32, "big")
    blob = len(kind).to_bytes(4, "big") + kind + len(material).to_bytes(4, "big") + material
    name = f"laptop-{number + 1}"
    line = f"ssh-ed25519 {b64encode(blob).decode()} {name}"
    owner = _Draw(streams.number("generate.owner")).owner(owners)
    return {"organization": owner, "name": name, "public_key": line}


# -- machines ----------------------------------------------------------------------------------------------


def _nodes(given: Document, wish: Generate) -> list[dict[str, Any]]:
    places = [place.id for place in given.locations]
    if wish.nodes and not places:
        raise ValueError("nodes need a location to be at")
    return [
        {
            "hostname": f"{product}-gen-{number + 1}",
            "location": places[number % len(places)],
            "vcpu": VCPU,
            "disk_gb": DISK_GB,
            **_hardware(given, product),
        }
        for product, count in wish.nodes.items()
        for number in range(count)
    ]


def _hardware(given: Document, product: str) -> dict[str, Any]:
    if product == "cpu":
        return {"ram_gb": CPU_NODE_RAM_GB}
    model = next((model for model in given.gpu_models if model.id == product), None)
    if model is None:
        raise ValueError(f"nodes: {product!r} is neither cpu nor a GPU model of the fixture")
    ram_gb = max(LEAST_RAM_GB, model.vram_gb * GPUS_PER_NODE)
    return {"gpu_model": product, "units": model.units, "ram_gb": ram_gb}


def _vms(given: Document, wish: Generate, owners: list[str], streams: Streams) -> list[dict[str, Any]]:
    shapes = _shapes(given, wish)
    longest_s = _longest_s(given, wish)
    made = []
    for number in range(wish.vms):
        draw = _Draw(streams.number("generate.vm"))
        status = draw.one_of(STATUSES)
        made.append(
            {
                "name": f"{draw.one_of(PURPOSES)}-{number + 1}",
                "organization": draw.owner(owners),
                "status": status,
                "running_for_s": 0 if status == "deploying" else draw.below(longest_s),
                **draw.one_of(shapes),
            }
        )
    return made


def _shapes(given: Document, wish: Generate) -> list[dict[str, Any]]:
    """What VMs ask for, each as often as it is drawn: a node with more units is drawn more often."""
    models = {model.id: model for model in given.gpu_models}
    shapes: list[dict[str, Any]] = []
    for product, count in wish.nodes.items():
        units = models[product].units if product in models else []
        taken = UNITS_TAKEN[: len(units)]
        gpus = [{"gpu_model": product, "gpu_count": many * units[0]} for many in taken]
        sizes = [{"size": size.id} for size in given.cpu_sizes]
        shapes += (gpus or sizes) * count
    if not shapes:
        raise ValueError("vms need nodes to be on")
    return shapes


def _longest_s(given: Document, wish: Generate) -> int:
    if given.start is None:
        raise ValueError("vms need a `start`, so that they can have begun before it")
    start_ms = parse_iso(str(given.start))
    since_ms = max(start_ms - wish.days * DAY_MS, month_start(month_of(start_ms)))
    return max(1, (start_ms - since_ms) // SECOND_MS)
