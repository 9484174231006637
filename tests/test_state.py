"""Saved states: what a document holds, that it is exact, and how each damaged one is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

import simulator
from simulator import engine, state
from simulator.domain import access
from simulator.domain.signing import verify
from simulator.kernel.clock import Clock
from simulator.kernel.journal import Journal
from simulator.kernel.refusal import Refusal
from simulator.kernel.release import VERSION as RELEASE
from simulator.kernel.settings import Settings
from simulator.kernel.streams import Streams
from simulator.kernel.world import Row, World
from simulator.worlds import DEFAULT
from tests.support.cloud import Cloud
from tests.test_determinism import story

ROOT = Path(__file__).resolve().parents[1]
HOOK = {"name": "hook", "url": "http://127.0.0.1:9/"}


def raw_of(world: World, *, secrets: bool = True) -> bytes:
    return state.written(state.save(world, secrets=secrets))


def busy(**settings: Any) -> Cloud:
    """A cloud in the middle of its work: timers, deliveries, sessions, a journal."""
    cloud = Cloud(**settings)
    story(cloud)
    cloud.launch("last")
    return cloud


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """A busy world's document, for tests that damage a copy of it."""
    saved: dict[str, Any] = json.loads(raw_of(busy().world))
    return saved


# -- what is in it


def test_a_loaded_world_has_the_same_document_and_the_same_rows() -> None:
    world = busy().world
    loaded = state.load(raw_of(world), DEFAULT)
    assert raw_of(loaded) == raw_of(world)
    for kind in world.kinds():
        assert values(loaded, kind) == values(world, kind)


def values(world: World, kind: type[Row]) -> list[tuple[Any, ...]]:
    return [msgspec.structs.astuple(row) for row in world.rows(kind)]


def test_what_follows_from_a_loaded_world_is_what_follows_from_the_saved_one() -> None:
    cloud, other = busy(), Cloud()
    other.simulator.load(raw_of(cloud.world))
    for each in (cloud, other):
        each.launch("next", gpuModelId=None)
        each.advance(86_400)
    assert raw_of(other.world) == raw_of(cloud.world)


def test_a_world_has_one_document_whatever_the_hash_seed() -> None:
    script = (
        "import hashlib; from tests.test_state import busy, raw_of;"
        "print(hashlib.sha256(raw_of(busy().world)).hexdigest())"
    )

    def digest(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", script]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout

    assert digest("0") == digest("4242")


def test_members_kinds_and_fields_are_sorted(document: dict[str, Any]) -> None:
    assert list(document) == sorted(document)
    for part in ("clock", "rows", "settings", "streams"):
        assert list(document[part]) == sorted(document[part])
    for rows in document["rows"].values():
        for row in rows:
            assert list(row) == sorted(row)


def test_a_mapping_that_a_client_sent_keeps_its_order() -> None:
    cloud = Cloud()
    wanted = {"name": "c", "replicaCount": 1, "envVars": {"Z": "1", "A": "2"}}
    cluster = cloud.post("/v1/orgs/{org}/clusters/create", wanted).body["id"]
    cloud.simulator.load(raw_of(cloud.world))
    assert list(cloud.get(f"/v1/clusters/{cluster}/detail").body["envVars"]) == ["Z", "A"]


def test_all_that_a_world_is_made_of_is_saved_or_follows_from_what_is() -> None:
    """An attribute that is new has to be thought about here, and in state.py."""
    saved = {"name", "settings", "clock", "streams", "journal", "outbox", "version", "_tables"}
    world = World("w", 0, 0, Settings())
    assert set(vars(world)) == saved | {"_token", "cause", "past"}  # nothing is going on; kept for old reads
    saved_clock = {"start_ms", "now_ms", "_heap", "_serial"}
    assert set(vars(Clock(0))) == saved_clock | {"_cancelled", "_of", "_counts", "_shared"}
    assert set(vars(Journal())) == {"_ring", "_serial", "_answered", "_shared"}
    assert set(vars(Streams(0))) == {"seed", "_counts"}


# -- rows


def test_a_timer_is_known_when_the_engine_can_fire_it() -> None:
    assert vars(state)["TIMERS"] is vars(engine)["TIMERS"]


def test_every_row_class_of_the_package_is_known_by_a_name_of_its_own() -> None:
    for module in walk_packages(simulator.__path__, "simulator."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    kinds = list(state._row_classes())
    assert len({kind.__name__ for kind in kinds}) == len(kinds)
    assert {kind.__name__ for kind in kinds} == set(state.ROWS)


def structs_in(kind: inspect.Type) -> set[type]:
    """The struct classes that a type is made of."""
    found = {kind.cls} if isinstance(kind, inspect.StructType) else set()
    parts: list[inspect.Type] = []
    if isinstance(kind, inspect.StructType):
        parts = [field.type for field in kind.fields]
    elif isinstance(kind, inspect.UnionType):
        parts = list(kind.types)
    elif isinstance(kind, inspect.VarTupleType | inspect.CollectionType):
        parts = [kind.item_type]
    elif isinstance(kind, inspect.DictType):
        parts = [kind.value_type]
    return found.union(*map(structs_in, parts))


@pytest.mark.parametrize("kind", state.ROWS.values(), ids=lambda kind: kind.__name__)
def test_a_field_that_a_row_or_a_part_of_it_does_not_have_is_refused(kind: type[Row]) -> None:
    for part in structs_in(inspect.type_info(kind)):
        assert part.__struct_config__.forbid_unknown_fields, part  # type: ignore[attr-defined]


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def values_of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Any value of a type that rows use."""
    if isinstance(kind, inspect.StructType):
        fields = {field.name: values_of(field.type) for field in kind.fields}
        return st.builds(kind.cls, **fields)
    if isinstance(kind, inspect.UnionType):
        return st.one_of(*map(values_of, kind.types))
    if isinstance(kind, inspect.VarTupleType):
        return st.lists(values_of(kind.item_type), max_size=3).map(tuple)
    if isinstance(kind, inspect.ListType):
        return st.lists(values_of(kind.item_type), max_size=3)
    if isinstance(kind, inspect.DictType):
        return st.dictionaries(values_of(kind.key_type), values_of(kind.value_type), max_size=3)
    if isinstance(kind, inspect.LiteralType):
        return st.sampled_from(kind.values)
    return PLAIN[type(kind)]


PLAIN: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
    inspect.AnyType: JSON,
    inspect.BoolType: st.booleans(),
    inspect.BytesType: st.binary(),
    inspect.FloatType: FLOATS,
    inspect.IntType: st.integers(),
    inspect.NoneType: st.none(),
    inspect.StrType: st.text(),
}


@pytest.mark.parametrize("kind", state.ROWS.values(), ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_row_of_any_class_comes_back_as_it_was(kind: type[Row], data: st.DataObject) -> None:
    row = data.draw(values_of(inspect.type_info(kind)))
    sent = json.loads(msgspec.json.encode(state._plain(row)))
    assert msgspec.structs.astuple(state._read(sent, kind)) == msgspec.structs.astuple(row)


# -- secrets


def test_a_document_says_whether_it_holds_secrets(document: dict[str, Any]) -> None:
    assert document["secrets"] == "included"
    assert state.save(busy().world)["secrets"] == "omitted"


@pytest.mark.parametrize("kind", state.ROWS.values(), ids=lambda kind: kind.__name__)
def test_a_secret_field_can_be_made_up_where_it_was_left_out(kind: type[Row]) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name in kind.secret:
        assert not fields[name].required or fields[name].type is str


def test_without_being_asked_no_secret_is_in_a_document() -> None:
    cloud = Cloud(clusters__deploy_token="shown")
    hook = cloud.post("/v1/orgs/{org}/webhooks/create", HOOK).body
    key = cloud.post("/v1/orgs/{org}/api-keys/create", {"name": "ci"}).body["key"]
    env = {"HF_TOKEN": "hf_do_not_tell"}
    body = {"name": "c", "replicaCount": 1, "envVars": env}
    cluster = cloud.post("/v1/orgs/{org}/clusters/create", body).body["id"]
    cloud.launch(envVars=env, cloudInit="password: tell-nobody")
    token = cloud.get(f"/v1/clusters/{cluster}/detail").body["deployToken"]
    client = cloud.post("/v1/orgs/{org}/billing/setup-intent").body["clientSecret"]
    sent = raw_of(cloud.world, secrets=False).decode()
    kept = raw_of(cloud.world).decode()
    for secret in (hook["secret"], key, cloud.key):
        assert secret not in sent + kept  # not even kept
    for secret in (access.digest(hook["secret"]), "hf_do_not_tell", "tell-nobody", token, client):
        assert secret not in sent
        assert secret in kept


def test_keys_and_sessions_live_on_without_secrets_and_webhooks_need_new_ones() -> None:
    cloud, other = Cloud(), Cloud()
    key = cloud.post("/v1/orgs/{org}/api-keys/create", {"name": "ci"}).body["key"]
    session = cloud.do("session.create", user=next(cloud.world.rows(access.User)).email)["token"]
    hook = cloud.post("/v1/orgs/{org}/webhooks/create", HOOK).body
    other.simulator.load(raw_of(cloud.world, secrets=False))
    for token in (cloud.key, key, session):
        assert other.get("/v1/me", key=token).status == 200
    secret = hook["secret"]
    for renewed in (False, True):
        if renewed:
            secret = other.post(f"/v1/orgs/{{org}}/webhooks/{hook['id']}/regenerate-secret").body["secret"]
        other.do("webhook.send", name="acme")
        other.advance(0)
        sent = other.mailbox.received[-1]
        assert verify(secret, sent.body, sent.headers["X-VectorLay-Signature"]) is renewed


def test_with_secrets_a_webhook_signs_on_as_before() -> None:
    cloud, other = Cloud(), Cloud()
    hook = cloud.post("/v1/orgs/{org}/webhooks/create", HOOK).body
    other.simulator.load(raw_of(cloud.world))
    other.do("webhook.send", name="acme")
    other.advance(0)
    (sent,) = other.mailbox.received
    assert verify(hook["secret"], sent.body, sent.headers["X-VectorLay-Signature"])


def test_a_state_loaded_under_another_name_answers_the_keys_of_that_name() -> None:
    cloud = busy()
    twin = cloud.beside("twin", 3)
    twin.simulator.load(raw_of(cloud.world))
    assert twin.world.name == "twin"
    mine, theirs = (each.get("/v1/orgs/{org}/vms").body for each in (cloud, twin))
    assert mine == theirs
    assert access.fixture_keys(twin.world)[0][1] == twin.key
    assert twin.key != cloud.key


# -- refused


Damage = Callable[[dict[str, Any]], None]


def at(path: str, change: Callable[[Any, Any], object], name: str) -> Damage:
    """Change what stands at a dotted path: `change` is given what holds it, and its key there."""

    def damage(document: dict[str, Any]) -> None:
        *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        inner: Any = document
        for part in above:
            inner = inner[part]
        change(inner, last)

    damage.__name__ = f"{name}_{path}"
    return damage


def put(path: str, value: Any) -> Damage:
    return at(path, lambda inner, key: inner.__setitem__(key, value), f"put_{str(value)[:8]}_at")


def drop(path: str) -> Damage:
    return at(path, lambda inner, key: inner.pop(key), "drop")


def repeat(path: str) -> Damage:
    """Let the first of a list stand there twice."""
    return at(path, lambda inner, key: inner[key].append(inner[key][0]), "repeat")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (put("state", 2), f"state: version 2, written by release '{RELEASE}'; release"),
        (put("state", 0), "version 0"),
        (put("state", "1"), "version '1'"),
        (put("state", True), "version True"),
        (drop("state"), "the document names no version"),
        (drop("clock"), "state: Object missing required field `clock`"),
        (drop("streams"), "missing required field `streams`"),
        (put("clok", {}), "Object contains unknown field `clok`; did you mean 'clock'?"),
        (put("secrets", "some"), "state.secrets: Invalid enum value 'some'"),
        (put("seed", "1"), "state.seed: Expected `int`, got `str`"),
        (put("seed", 1.5), "state.seed: Expected `int`, got `float`"),
        (put("name", None), "state.name: Expected `str`, got `null`"),
        (put("streams.uuid", -1), "state.streams"),
        (put("outbox", {}), "state.outbox: Expected `array`, got `object`"),
        (put("settings.bling", 1), "state.settings: unknown setting 'bling'"),
        (put("settings", {"billing.tick_s": "soon"}), "billing.tick_s: 'soon' is not a whole number"),
        (put("rows", []), "state.rows: Expected `object`, got `array`"),
        (put("rows.Vn", []), "state.rows: unknown kind 'Vn'; did you mean 'Vm'?"),
        (put("rows.Row", []), "unknown kind 'Row'"),
        (put("rows.Vm", {}), "state.rows"),
        (put("rows.Vm.0", 7), "state.rows"),
        (put("rows.Vm.0.nmae", "x"), "Vm[0]: Object contains unknown field `nmae`; did you mean 'name'?"),
        (put("rows.Vm.2.name", 7), "state.rows.Vm[2].name: Expected `str`, got `int`"),
        (put("rows.Vm.2.public", 1), "state.rows.Vm[2].public: Expected `bool`, got `int`"),
        (put("rows.Vm.1.shape.gpsu", 7), "state.rows.Vm[1].shape: Object contains unknown field `gpsu`"),
        (put("rows.Vm.0.status", "runing"), "state.rows.Vm[0]: status 'runing'; did you mean 'running'?"),
        (drop("rows.Vm.0.name"), "state.rows.Vm[0]: Object missing required field `name`"),
        (drop("rows.Webhook.0.key"), "state.rows.Webhook[0]: Object missing required field `key`"),
        (repeat("rows.Vm"), "is there twice"),
        (put("rows.Vm.0.organization_id", "o"), "rows.Vm[0].organization_id: there is no Organization 'o'"),
        (put("rows.Claim.0.node_id", "n"), "state.rows.Claim[0].node_id: there is no Node 'n'"),
        (put("rows.Delivery.0.webhook_id", "w"), "there is no Webhook 'w'"),
        (put("rows.UsageSession.0.created_at_ms", 10**30), "rows.UsageSession[0]: a value is out of bounds"),
        (put("clock.now_ms", -(10**15)), "state.clock: from"),
        (put("clock.now_ms", 10**18), "state.clock: from"),
        (put("clock.start_ms", 10**14), "no span of virtual time"),
        (put("clock.timers.0.due_ms", 5), "state.clock.timers[0]: "),
        (put("clock.timers.0.due_ms", 5), "no timer is in the past"),
        (put("clock.timers.0.name", "vm.stagr"), "unknown timer 'vm.stagr'; did you mean 'vm.stage'?"),
        (put("clock.timers.0.args", []), "vm.stage takes 3 plain values, found []"),
        (put("clock.timers.0.args", [[]]), "plain values, found [[]]"),
        (put("clock.timers.0.grade", 7), "state.clock.timers[0].grade: Invalid enum value 7"),
        (put("clock.timers.0.serial", 10**9), "timers[0]: serial 1000000000 is there twice, or not of"),
        (put("clock.timers.0.when", 1), "state.clock.timers[0]: Object contains unknown field `when`"),
        (repeat("clock.timers"), "is there twice"),
        (put("journal.serial", 1), "state.journal: "),
        (put("journal.answered", {"getMe": 1}), "state.journal.answered"),
        (put("journal.limit", 0), "state.journal.limit: Expected `int` >= 1"),
        (put("journal.limit", 10**12), "state.journal.limit"),
        (put("journal.limit", 1), "are kept"),
        (put("journal.entries.1.serial", 1), "state.journal.entries[1]: serial 1, where 2 follows"),
        (put("journal.entries.1.kind", "evnet"), "kind 'evnet'; did you mean 'event'?"),
        (put("journal.entries.1.at_ms", 10**14), "after now"),
    ],
)  # fmt: skip
def test_a_damaged_document_is_refused_with_its_place(
    document: dict[str, Any], damage: Damage, told: str
) -> None:
    copy = json.loads(json.dumps(document))
    damage(copy)
    with pytest.raises(Refusal) as refused:
        state.load(json.dumps(copy).encode(), DEFAULT)
    assert refused.value.code == "bad_request"
    assert told in refused.value.message
    assert refused.value.message.startswith("state")


def test_a_timer_about_a_row_that_is_not_there_is_refused(document: dict[str, Any]) -> None:
    copy = json.loads(json.dumps(document))
    names = [timer["name"] for timer in copy["clock"]["timers"]]
    which = names.index("vm.stage")
    copy["clock"]["timers"][which]["args"][0] = "gone"
    with pytest.raises(
        Refusal, match=rf"timers\[{which}\]: vm.stage is about 'gone', and there is no such row"
    ):
        state.load(json.dumps(copy).encode(), DEFAULT)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "state: malformed JSON of 0 bytes: Input data was truncated"),
        (b'{"state": 1, "clo', "state: malformed JSON of 17 bytes: Input data was truncated"),
        (b'{"state": 1} {}', "trailing characters (byte 14)"),
        (b"\x80\x04\x95pickle", "malformed JSON"),
        (b'{"state": "\xff"}', "malformed JSON of 14 bytes: 'utf-8' codec"),
        (b"[]", "an object is wanted, found list"),
        (b"null", "an object is wanted, found NoneType"),
        (b'{"state":1,"rows":' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper than 100"),
        (b'{"state":1,"rows":' + b'{"a":[' * 50 + b"]}" * 50 + b"}", "nested deeper than 100"),
        (b"[" * 100 + b"]" * 100, "an object is wanted"),
        (b'{"state":"' + b"[{" * 200 + b'\\"["}', "version '[{"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else "",
)
def test_what_is_no_document_is_refused(raw: bytes, told: str) -> None:
    with pytest.raises(Refusal) as refused:
        state.load(raw, DEFAULT)
    assert told in refused.value.message


def test_nesting_beyond_what_a_decoder_can_follow_is_refused() -> None:
    with pytest.raises(Refusal, match="nested deeper than 100"):
        state.load(b"[" * 100_000, DEFAULT)


def test_a_truncated_document_is_refused_wherever_it_ends() -> None:
    raw = raw_of(busy().world)
    for length in range(0, len(raw), 997):
        with pytest.raises(Refusal):
            state.load(raw[:length], DEFAULT)


def test_a_refused_document_leaves_the_world_as_it_was() -> None:
    cloud = busy()
    before = raw_of(cloud.world)
    damaged = before.replace(b'"name":"vm.stage"', b'"name":"vm.stgae"')
    assert damaged != before
    with pytest.raises(Refusal):
        cloud.simulator.load(damaged)
    assert raw_of(cloud.world) == before


def test_an_older_version_is_migrated_step_by_step(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is empty so far: two versions are played here."""

    def renamed(former: str, name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda value: {name if key == former else key: inner for key, inner in value.items()}

    monkeypatch.setitem(state.MIGRATIONS, 0, renamed("draws", "streams"))
    monkeypatch.setitem(state.MIGRATIONS, -1, renamed("dice", "draws"))
    old = {**renamed("streams", "dice")(document), "state": -1}
    world = state.load(json.dumps(old).encode(), DEFAULT)
    assert world.streams.counts == document["streams"]
    with pytest.raises(Refusal, match="reads version -1 and 0 and 1"):
        state.load(b'{"state": -2}', DEFAULT)
