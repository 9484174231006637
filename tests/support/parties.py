"""Two organizations of one cloud that do business with each other."""

from __future__ import annotations

from typing import Any, NamedTuple

from simulator.domain import access
from simulator.domain.access import Organization
from simulator.resources.transfers import Transfer
from tests.support.cloud import Answer, Cloud
from tests.support.people import LINES


class Party(NamedTuple):
    """An organization with a key of full access."""

    cloud: Cloud
    slug: str
    org: str
    key: str

    def get(self, path: str) -> Answer:
        return self.cloud.get(path.replace("{org}", self.org), key=self.key)

    def post(self, path: str, body: Any = None) -> Answer:
        return self.cloud.post(path.replace("{org}", self.org), body, key=self.key)

    def delete(self, path: str) -> Answer:
        return self.cloud.delete(path.replace("{org}", self.org), key=self.key)

    def ssh_key(self, name: str = "ed25519") -> str:
        """A new SSH key of the organization."""
        answer = self.post("/v1/orgs/{org}/ssh-keys/create", {"name": name, "publicKey": LINES[name]})
        assert answer.status == 200, answer
        key_id: str = answer.body["id"]
        return key_id

    def offer(self, resource_id: str, to: Party, resource_type: str = "vm", **more: str) -> Answer:
        body = {"resourceType": resource_type, "resourceId": resource_id, "targetOrgSlug": to.slug, **more}
        return self.post("/v1/orgs/{org}/transfers", body)

    def offered(self, resource_id: str, to: Party, resource_type: str = "vm") -> str:
        """The id of an offer that must be possible."""
        answer = self.offer(resource_id, to, resource_type)
        assert answer.status == 200, answer
        offer_id: str = answer.body["id"]
        return offer_id

    def accept(self, offer_id: str, *ssh_key_ids: str) -> Answer:
        body = {"sshKeyIds": list(ssh_key_ids)} if ssh_key_ids else None
        return self.post(f"/v1/transfers/{offer_id}/accept", body)

    def balance(self) -> dict[str, Any]:
        money: dict[str, Any] = self.get("/v1/orgs/{org}/billing/balance").body
        return money


def party(cloud: Cloud, slug: str) -> Party:
    """An organization of the fixture, or one that is founded now and has money."""
    known = cloud.world.first(Organization, "slug", slug)
    if known is None:
        made = cloud.do("org.create", name=slug.title(), slug=slug, owner=f"owner@{slug}.example")
        cloud.do("balance.credit", name=slug, cents=5000)
        return Party(cloud, slug, made["organization"], made["key"])
    secret = next(
        secret for key, secret in access.fixture_keys(cloud.world) if key.organization_id == known.id
    )
    return Party(cloud, slug, known.id, secret)


def incoming(who: Party) -> list[dict[str, Any]]:
    """The offers it can answer; their count is what pending-count says."""
    rows: list[dict[str, Any]] = who.get("/v1/orgs/{org}/transfers/incoming").body
    assert who.get("/v1/orgs/{org}/transfers/pending-count").body == {"count": len(rows)}
    return rows


def status(cloud: Cloud, offer_id: str) -> str:
    """Of an offer, whoever can see it."""
    return cloud.world.get(Transfer, offer_id).status
