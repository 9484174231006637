"""Every way to say no, as data: wire code, status, meaning, and whether the call may have done its work.

A row's status is a number, or the name of the setting that holds it where the profiles differ.
"""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.kernel.settings import Settings


class Code(msgspec.Struct, frozen=True):
    """One row of the table."""

    status: int | str
    meaning: str
    happened: bool = False
    """True when the call may have been carried out although it was answered with this error."""
    wire: str = ""
    """The code on the wire where it is not the row's own name; `generic` is that of the status."""
    fixed: bool = False
    """Written the same in every profile, although in lower case."""


CODES: dict[str, Code] = {
    # generic: their case follows errors.code_style
    "unauthorized": Code(401, "no credential, or one this cloud does not know"),
    "forbidden": Code(403, "another organization's, or a scope or role is missing"),
    "not_found": Code(404, "unknown, or owned by an organization the caller cannot see"),
    "method_not_allowed": Code(405, "the path exists, this method on it does not"),
    "bad_request": Code(400, "malformed, wrong type, or a value out of bounds"),
    "conflict": Code(409, "clashes with the present state"),
    "gone": Code(410, "existed once, no longer usable"),
    "payload_too_large": Code(413, "the body is over the limit"),
    "unprocessable": Code(422, "well-formed, but what it asks for cannot be meant"),
    "rate_limited": Code(429, "too many requests; Retry-After says how long to wait"),
    "internal": Code(500, "an error of the service", happened=True),
    "bad_gateway": Code(502, "something that the service fetches from elsewhere is missing"),
    "unavailable": Code(503, "a part of the service that this needs is switched off"),
    # credentials and access
    "REVOKED_API_KEY": Code(401, "the key was revoked"),
    "EXPIRED_API_KEY": Code(401, "the key's end has come"),
    "ACCOUNT_RESTRICTED": Code(403, "the account may not deploy, or is read-only"),
    "ACCOUNT_PENDING_VERIFICATION": Code(403, "the account may not deploy or add funds yet"),
    "VERIFICATION_UNAVAILABLE": Code(403, "the hold for a new deploy could not be recorded; only a fault brings it"),
    "ESCALATION_REFUSED": Code(403, "it would give away more than the caller has"),
    "INSUFFICIENT_BALANCE": Code(403, "available balance at or under the minimum to deploy"),
    "INSUFFICIENT_RUNWAY": Code(400, "a deposit that does not pay for an hour of the present burn"),
    # capacity
    "INSUFFICIENT_GPU_CAPACITY": Code("capacity.refusal_status", "some node could hold it, none has the GPUs free"),
    "INSUFFICIENT_HOST_CAPACITY": Code("capacity.refusal_status", "GPUs are free, RAM, vCPU or disk beside them not"),
    "INSUFFICIENT_CPU_CAPACITY": Code("capacity.refusal_status", "no node has room for the CPU VM now"),
    "NODE_AT_CAPACITY": Code("capacity.refusal_status", "the node that was named is full"),
    "VM_NODE_BUSY": Code("capacity.refusal_status", "restart: the VM's own node cannot take it back"),
    "VM_SHAPE_NOT_PLACEABLE": Code(400, "no node could ever hold this shape"),
    "GPU_COUNT_NOT_ALLOCATABLE": Code(400, "no node ever tiles this GPU count"),
    "RESOURCE_SIZE_NOT_APPLICABLE": Code(400, "resourceSize together with gpuCount"),
    # nodes
    "NODE_DECOMMISSIONED": Code(400, "the node was removed for good; it has to be enrolled again"),
    # states
    "INVALID_VM_STATE": Code(409, "the verb does not fit the VM's status"),
    "VM_STATE_UNFIT": Code(400, "the verb does not fit the VM's status", wire="generic"),
    "VM_REBOOT_TERMINATED": Code("vms.reboot_terminated_status", "a terminated VM has nothing to reboot", wire="INVALID_VM_STATE"),
    "POOL_STATE_UNFIT": Code(400, "the verb does not fit the runner pool's status", wire="generic"),
    "INVALID_CLUSTER_STATE": Code(409, "the verb does not fit the cluster's status"),
    "CLUSTER_STATE_UNFIT": Code(400, "the verb does not fit the cluster's status", wire="generic"),
    "CLUSTER_GONE": Code(404, "a terminated cluster neither stops nor starts", wire="not_found"),
    "NAME_TAKEN": Code(409, "the name is in use"),
    "STOP_DISABLED": Code(409, "stopping VMs is switched off for the organization"),
    "FEATURE_DISABLED": Code(409, "a tier or feature that is switched off for the organization"),
    "TRANSFER_UNAVAILABLE": Code(409, "the resource cannot be handed over as it is now"),
    "TRANSFER_ACCOUNT_CHANGED": Code(409, "the resource belongs to another organization than the one that offered it"),
    "CARD_REQUIRED": Code(400, "a saved card is needed, and there is none"),
    # runner pools
    "OAUTH_STATE_INVALID": Code(400, "the state of the connect address is unknown or too old"),
    "GRANT_REQUIRED": Code(400, "the GitHub installation has not been granted to this organization"),
    "USER_ACCOUNT_UNSUPPORTED": Code(400, "runners serve GitHub organizations, not personal accounts"),
    # inference
    "insufficient_balance": Code(402, "nothing is available to pay for inference with", fixed=True),
    "key_budget_exceeded": Code(402, "the API key has spent its budget for inference", fixed=True),
    # keys and people
    "INVALID_KEY": Code(400, "not one OpenSSH public key line"),
    "KEY_EXISTS": Code(409, "the organization has this key already"),
    "KEY_IN_USE": Code(409, "the last SSH key of a VM"),
    "LAST_OWNER": Code("members.last_owner_status", "an organization keeps at least one owner", wire="generic"),
}  # fmt: skip


GENERIC = {400: "bad_request", 403: "forbidden", 409: "conflict"}
"""The generic code of a status, for refusals that have no code of their own."""


class Refusal(Exception):
    """A call that is answered with an error. Nothing has been changed when an operation raises it; one that it
    returns has left a mark."""

    def __init__(self, code: str, message: str, **facts: Any) -> None:
        assert code in CODES, code
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s: int | None = facts.pop("retry_after_s", None)
        """Whole seconds after which the call is worth another try."""
        self._status: int | None = facts.pop("status", None)
        """In place of the code's own: a fault may answer with any."""
        self.facts = facts
        """More members for the error body, such as placeableGpuCounts."""

    def status(self, settings: Settings) -> int:
        status = self._status or CODES[self.code].status
        return status if isinstance(status, int) else settings.whole(status)

    def wire_code(self, settings: Settings) -> str:
        """The code as the client reads it: generic ones in the profile's case, specific ones always upper."""
        row = CODES[self.code]
        code = row.wire or self.code
        if code == "generic":
            code = GENERIC[self.status(settings)]
        return code.upper() if not row.fixed and settings.word("errors.code_style") == "upper" else code


MOST_NAMED = 25
"""Names in one message; more is not read."""


def nearest(word: str, known: list[str]) -> str:
    """A hint for a misspelt word, as text to append to a message."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    if not known:
        return "; there are none"
    more = ", …" if len(known) > MOST_NAMED else ""
    return f"; known are {', '.join(sorted(known)[:MOST_NAMED])}{more}"
