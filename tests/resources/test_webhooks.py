"""Webhooks: subscribing, the list of deliveries, sample events, webhooks of a fixture."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from simulator import assets
from simulator.domain.access import fixed_secret
from simulator.domain.events import EVENT_TYPES, Delivery, Webhook
from simulator.fixture import FixtureError
from simulator.kernel.instant import parse_iso
from simulator.kernel.refusal import Refusal
from tests.support.cloud import Cloud
from tests.support.people import mint, refused, session_of
from tests.support.webhooks import HOOKS, URL, deliveries, genuine, hook_of, send, toggle

Open = Callable[..., Cloud]


# -- subscribing


def test_a_new_webhook_is_on_and_shows_its_secret_once(cloud: Cloud) -> None:
    made = hook_of(cloud, "vm.running", name="ci")
    assert re.fullmatch(r"whsec_[0-9A-Za-z]{40}", made["secret"])
    assert re.fullmatch(r"wh_[0-9A-Za-z]{24}", made["id"])
    assert made["secretPrefix"] == made["secret"][:10]
    assert (made["name"], made["url"], made["events"], made["enabled"]) == ("ci", URL, ["vm.running"], True)
    (listed,) = cloud.get(HOOKS).body
    assert listed == {**{k: v for k, v in made.items() if k != "secret"}, "updatedAt": made["createdAt"]}


def test_nothing_keeps_the_secret(cloud: Cloud) -> None:
    made = hook_of(cloud)
    again = cloud.post(f"{HOOKS}/{made['id']}/regenerate-secret").body
    send(cloud)
    kept = repr(cloud.rows(Webhook)) + repr(list(cloud.world.journal)) + repr(cloud.rows(Delivery))
    for secret in (made["secret"], again["secret"]):
        assert secret[10:] not in kept
        assert secret[10:] not in json.dumps(cloud.get(HOOKS).body)


def test_webhooks_have_secrets_and_ids_of_their_own(cloud: Cloud) -> None:
    one, two = hook_of(cloud), hook_of(cloud)
    assert one["secret"] != two["secret"]
    assert one["id"] != two["id"]


def test_webhooks_are_listed_newest_first(cloud: Cloud) -> None:
    for name in ("first", "second", "third"):
        hook_of(cloud, name=name)
        cloud.advance(1)
    assert [hook["name"] for hook in cloud.get(HOOKS).body] == ["third", "second", "first"]


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "https://hooks.example.com:8443/a/b?c=d#e",
        "HTTPS://Hooks.Example.com/x",
        "https://203.0.113.7/hook",
        "https://[2001:db8::1]:9000/hook",
        "http://localhost:9000/hook",
        "http://127.0.0.1/hook",
        "http://[::1]:9000/",
        "http://10.1.2.3/",
        "http://172.20.0.2:8000/",
        "http://192.168.1.10/",
        "http://[fd00::7]/",
        "http://receiver:9000/hook",
        "http://host.docker.internal:9000/hook",
        "http://printer.local/",
        "https://x.example/" + "a" * 2029,
    ],
)
def test_https_anywhere_and_http_nearby_are_taken(cloud: Cloud, url: str) -> None:
    assert hook_of(cloud, url=url)["url"] == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hooks.example.com/x", "'http://hooks.example.com/x' must be https"),
        ("http://8.8.8.8/", "must be https"),
        ("http://169.254.169.254/latest/meta-data", "must be https"),
        ("http://localhost.example.com/", "must be https"),
        ("http://a.mylocalhost/", "must be https"),
        ("http://[::ffff:8.8.8.8]/", "must be https"),
        ("ftp://localhost/x", "must be https"),
        ("file:///etc/passwd", "names no host"),
        ("javascript:alert(1)", "names no host"),
        ("hooks.example.com/x", "names no host"),
        ("//hooks.example.com/x", "must be https"),
        ("https://", "names no host"),
        ("https:///path", "names no host"),
        ("https://:443/x", "names no host"),
        ("https://example.com:0/", "names no host and port"),
        ("https://example.com:65536/", "names no host and port"),
        ("https://example.com:http/", "names no host and port"),
        ("https://[::1/", "names no host"),
        ("https://exa$mple.com/", "names no host"),
        ("https://a..example.com/", "names no host"),
        (f"https://{'a' * 64}.example.com/", "names no host"),
        ("https://example.com/a b", "a URL is"),
        ("https://exämple.com/", "a URL is"),
        ("https://example.com/\n", "a URL is"),
        ("https://example.com/" + "a" * 2029, "a URL is up to 2048"),
        ("", "names no host"),
    ],
)
def test_any_other_url_is_refused_by_its_name(cloud: Cloud, url: str, said: str) -> None:
    version = cloud.world.version
    answer = cloud.post(f"{HOOKS}/create", {"name": "hook", "url": url})
    assert said in refused(answer, 400, "bad_request")
    assert cloud.world.version == version


def test_a_url_with_credentials_is_refused_and_they_are_not_repeated(cloud: Cloud) -> None:
    for url in ("https://joe:hunter2@example.com/x", "https://joe@example.com/x", "https://joe:hunter2@/x"):
        message = refused(cloud.post(f"{HOOKS}/create", {"name": "hook", "url": url}), 400)
        assert "//…@" in message
        assert "joe" not in message
    assert "hunter2" not in repr(list(cloud.world.journal))


@pytest.mark.parametrize(
    ("allowed", "near", "far"), [("loopback", 200, 400), ("any", 200, 200), ("none", 400, 400)]
)
def test_plain_http_is_taken_as_the_setting_says(open_cloud: Open, allowed: str, near: int, far: int) -> None:
    cloud = open_cloud(webhooks__allow_http=allowed)
    for url, status in (("http://127.0.0.1:9/", near), ("http://example.com/", far), (URL, 200)):
        answer = cloud.post(f"{HOOKS}/create", {"name": "hook", "url": url})
        assert answer.status == status
        if status == 400:
            assert f"webhooks.allow_http is {allowed}" in answer.body["error"]


@pytest.mark.parametrize("name", ["", "x" * 64])
def test_a_name_has_1_to_63_characters(cloud: Cloud, name: str) -> None:
    answer = cloud.post(f"{HOOKS}/create", {"name": name, "url": URL})
    assert f"{len(name)} characters" in refused(answer, 400, "bad_request")
    hook = hook_of(cloud, name="x" * 63)
    assert cloud.patch(f"{HOOKS}/{hook['id']}", {"name": name}).status == 400


def test_an_update_changes_what_it_names(cloud: Cloud) -> None:
    hook = hook_of(cloud, "vm.running")
    path = f"{HOOKS}/{hook['id']}"
    cloud.advance(5)
    assert cloud.patch(path, {"name": "renamed"}).body == {
        "id": hook["id"],
        "name": "renamed",
        "url": URL,
        "events": ["vm.running"],
    }
    assert cloud.patch(path, {"url": "https://x.example", "events": []}).body["events"] == []
    (listed,) = cloud.get(HOOKS).body
    assert (listed["name"], listed["url"]) == ("renamed", "https://x.example")
    assert parse_iso(listed["updatedAt"]) - parse_iso(listed["createdAt"]) == 5000
    assert cloud.patch(path, {}).status == 200


def test_an_update_to_a_bad_url_changes_nothing(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    body = {"name": "renamed", "url": "http://example.com"}
    refused(cloud.patch(f"{HOOKS}/{hook['id']}", body), 400, "bad_request")
    assert cloud.get(HOOKS).body[0]["name"] == "hook"


def test_a_webhook_is_toggled(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    for enabled in (False, False, True):
        assert toggle(cloud, hook, enabled).body == {"id": hook["id"], "enabled": enabled}
        assert cloud.get(HOOKS).body[0]["enabled"] is enabled


def test_delete_answers_204_every_time(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    for _ in range(2):
        assert cloud.delete(f"{HOOKS}/{hook['id']}")[:2] == (204, None)
        assert cloud.get(HOOKS).body == []


def test_calls_on_an_unknown_webhook_answer_404(cloud: Cloud) -> None:
    path = f"{HOOKS}/wh_unknown"
    refused(cloud.patch(path, {"name": "x"}), 404, "not_found")
    refused(cloud.get(f"{path}/deliveries"), 404, "not_found")
    refused(cloud.post(f"{path}/regenerate-secret"), 404, "not_found")
    refused(cloud.post(f"{path}/toggle", {"enabled": True}), 404, "not_found")


def test_webhooks_of_another_organization_are_out_of_reach(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    globex = cloud.do("org.create", name="Initech", owner="hedy@globex.example")
    token = cloud.do("session.create", user="hedy@globex.example")["token"]
    other = f"/v1/orgs/{globex['organization']}/webhooks"
    assert cloud.get(other, key=token).body == []
    refused(cloud.get(HOOKS, key=token), 403, "forbidden")
    refused(cloud.get(f"{other}/{hook['id']}/deliveries", key=token), 404, "not_found")
    refused(cloud.post(f"{other}/{hook['id']}/regenerate-secret", key=token), 404, "not_found")
    assert cloud.delete(f"{other}/{hook['id']}", key=token).status == 204
    assert len(cloud.get(HOOKS).body) == 1


def test_reading_needs_a_read_scope_and_changing_a_write_scope(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    reader, writer = (mint(cloud, scope)["key"] for scope in ("vms:read", "vms:write"))
    assert cloud.get(HOOKS, key=reader).status == 200
    refused(cloud.get(HOOKS, key=writer), 403, "forbidden")
    refused(cloud.post(f"{HOOKS}/{hook['id']}/toggle", {"enabled": False}, key=reader), 403, "forbidden")
    assert cloud.post(f"{HOOKS}/{hook['id']}/toggle", {"enabled": False}, key=writer).status == 200


def test_a_viewer_may_look_and_a_member_may_change(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    viewer, member = session_of(cloud, "viewer"), session_of(cloud, "member")
    assert cloud.get(HOOKS, key=viewer).status == 200
    refused(cloud.delete(f"{HOOKS}/{hook['id']}", key=viewer), 403, "forbidden")
    assert cloud.delete(f"{HOOKS}/{hook['id']}", key=member).status == 204


# -- deliveries


def test_rows_are_listed_newest_first_50_unless_asked_for_more(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    for _ in range(120):
        send(cloud)
    sent = [outgoing.delivery_id for outgoing in cloud.mailbox.received][::-1]
    for query, count in (("", 50), ("?limit=1", 1), ("?limit=100", 100), ("?limit=101", 100)):
        assert [row["id"] for row in deliveries(cloud, hook, query)] == sent[:count]


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "ten", "", "9" * 30])
def test_a_limit_that_is_no_whole_number_of_at_least_1_is_refused(cloud: Cloud, limit: str) -> None:
    hook = hook_of(cloud)
    refused(cloud.get(f"{HOOKS}/{hook['id']}/deliveries?limit={limit}"), 400, "bad_request")


# -- sample events


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_sample_of_every_type_is_signed_and_shaped_as_the_contract_says(
    cloud: Cloud, event_type: str
) -> None:
    hook = hook_of(cloud)
    told = send(cloud, event_type)
    (outgoing,) = cloud.mailbox.received
    assert genuine(outgoing, hook["secret"])
    body = json.loads(outgoing.body)
    assert told == {"event": body["id"], "type": event_type, "webhooks": [hook["id"]]}
    document = assets.contract_document()
    family = event_type.partition(".")[0]
    name = {"vm": "VmEventData", "cluster": "ClusterEventData", "replica": "ReplicaEventData"}.get(family)
    if name is not None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema_rs.validate(schema, body["data"])


def test_a_sample_may_carry_other_data(cloud: Cloud) -> None:
    hook = hook_of(cloud)
    send(cloud, "vm.stopped", vmId="my-vm", more=[1, 2])
    data = cloud.mailbox.bodies()[0]["data"]
    assert (data["vmId"], data["status"], data["more"]) == ("my-vm", "stopped", [1, 2])
    assert deliveries(cloud, hook)[0]["eventType"] == "vm.stopped"


def test_a_sample_goes_to_no_webhook_that_does_not_want_it(cloud: Cloud) -> None:
    hook_of(cloud, "vm.stopped")
    toggle(cloud, hook_of(cloud), False)
    assert send(cloud, "vm.running")["webhooks"] == []
    assert cloud.mailbox.received == []


def test_a_sample_of_no_known_type_is_refused_with_the_nearest(cloud: Cloud) -> None:
    version = cloud.world.version
    with pytest.raises(Refusal, match=r"'vm\.runing'; did you mean 'vm\.running'"):
        send(cloud, "vm.runing")
    with pytest.raises(Refusal, match="no Organization 'nobody'; there are acme, globex"):
        cloud.do("webhook.send", name="nobody")
    assert cloud.world.version == version


# -- fixture


def fixture_with(folder: Path, **webhook: Any) -> str:
    path = folder / "world.json"
    hooks = [{"organization": "acme", "name": "ci", "url": URL, **webhook}]
    path.write_text(json.dumps({"extends": "default", "webhooks": hooks}), "utf-8")
    return str(path)


def test_a_fixture_may_bring_webhooks_with_a_fixed_secret(open_cloud: Open, tmp_path: Path) -> None:
    cloud = open_cloud(fixture_with(tmp_path, events=["vm.stopped"]))
    (hook,) = cloud.get(HOOKS).body
    assert (hook["name"], hook["url"], hook["events"]) == ("ci", URL, ["vm.stopped"])
    send(cloud, "vm.stopped")
    assert genuine(cloud.mailbox.received[0], fixed_secret("default", "whsec_", "ci"))


def test_a_fixture_may_name_the_secret(open_cloud: Open, tmp_path: Path) -> None:
    cloud = open_cloud(fixture_with(tmp_path, secret="whsec_of_the_test_suite"))
    send(cloud)
    assert genuine(cloud.mailbox.received[0], "whsec_of_the_test_suite")


@pytest.mark.parametrize(
    ("webhook", "said"),
    [
        ({"url": "http://example.com"}, "webhooks: url 'http://example.com' must be https"),
        ({"organization": "nobody"}, "webhooks: organization 'nobody' is not in the fixture"),
        ({"colour": "red"}, "webhooks.*colour"),
    ],
)
def test_a_fixture_with_a_bad_webhook_is_refused(
    open_cloud: Open, tmp_path: Path, webhook: dict[str, str], said: str
) -> None:
    with pytest.raises(FixtureError, match=said):
        open_cloud(fixture_with(tmp_path, **webhook))
