"""Inference: the models, what their use costs in nano-dollars, and its way into the ledger.

A use is owed from the moment it is counted: rounded up to whole cents it lowers what is available at once.
Some time later it is debited, in whole cents; what is left of a cent is carried to the next debit, so that
no nano-dollar is lost or paid twice [2026-07: integer cents there, nanoUSD here].
"""

from __future__ import annotations

from typing import Any, ClassVar

from simulator.domain import budgets, metering
from simulator.domain.metering import Account
from simulator.kernel.clock import Grade
from simulator.kernel.instant import SECOND_MS, month_of
from simulator.kernel.money import NANO_USD_PER_CENT
from simulator.kernel.operation import Principal
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Index, Row, World

SETTLE = "inference.settle"
"""The timer that debits what an organization has used."""


class InferenceModel(Row, frozen=True, kw_only=True):
    """A model on offer; the id is what requests name. Prices are nanoUSD per token, that is, a thousandth of
    the price of a million tokens in dollars."""

    owned_by: str
    supported_apis: tuple[str, ...]
    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]
    status: str
    """available or request_access [2026-07]."""
    batch_eligible: bool
    input_nano: int
    output_nano: int


class InferenceUse(Row, frozen=True, kw_only=True):
    """What was used of one model in one go, and whether the ledger has it."""

    indexes: ClassVar = {
        "owed": Index(lambda use: None if use.debited else use.organization_id),
        "month": Index(lambda use: (use.organization_id, month_of(use.created_at_ms))),
    }

    organization_id: str
    source_id: str
    """The batch it was used for, or the requestId."""
    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    nano_usd: int
    batch: bool = True
    """In a batch, or online."""
    debited: bool = False


def price_nano(model: InferenceModel, input_tokens: int, output_tokens: int, percent: int) -> int:
    """What tokens cost, in nanoUSD, at a percentage of the model's price; rounded down."""
    return (input_tokens * model.input_nano + output_tokens * model.output_nano) * percent // 100


def check_funds(world: World, principal: Principal) -> None:
    """Refuse with 402 where the caller has nothing to pay for inference with: the budget of its key first,
    then the balance of its organization [choice: an empty one is 402]."""
    budgets.check(world, principal)
    organization_id = principal.organization_id
    least = world.settings.whole("inference.min_balance_cents")
    if not metering.available_above(world, organization_id, least):
        available = metering.available_cents(world, organization_id)
        raise Refusal(
            "insufficient_balance", f"{available} cents available; inference needs more than {least}"
        )


def use(world: World, organization_id: str, *, key_id: str, **fields: Any) -> InferenceUse:
    """Let an organization owe for the use of a model, and count it against the budget of the key, if any."""
    row = world.put(
        InferenceUse(
            id=world.streams.uuid("inference_use"),
            created_at_ms=world.now_ms,
            organization_id=organization_id,
            **fields,
        )
    )
    budgets.count(world, key_id, row.nano_usd)
    metering.owe_inference(world, organization_id, row.nano_usd)
    delay_ms = world.settings.whole("inference.settle_after_s") * SECOND_MS
    due_ms = world.now_ms + delay_ms
    world.clock.at(due_ms, SETTLE, (organization_id,), cause=world.cause, grade=Grade.watch)
    metering.look_now(world, organization_id)
    return row


def settle(world: World, organization_id: str) -> None:
    """Debit what is owed, in whole cents; what is left of a cent is carried. Available stays what it was."""
    account = world.get(Account, organization_id)
    cents, carried = divmod(account.inference_nano, NANO_USD_PER_CENT)
    uses = world.select(InferenceUse, "owed", organization_id)
    if not cents:
        return
    kind = ("inference_debit", "inference")
    line = metering.post(world, organization_id, -cents, kind, "Inference", inference_nano=carried)
    world.change(line, inference=_details(uses, carried))
    for row in uses:
        world.change(row, debited=True)


def _details(uses: list[InferenceUse], carried_nano: int) -> dict[str, Any]:
    """What a debit is for, by model; numbers are decimal strings [2026-07]."""
    models: dict[tuple[str, bool], list[InferenceUse]] = {}
    for row in uses:
        models.setdefault((row.model, row.batch), []).append(row)
    return {
        "models": [
            {
                "model": model,
                "requestCount": str(sum(row.requests for row in rows)),
                "batch": batch,
                "dimensions": {
                    "input": str(sum(row.input_tokens for row in rows)),
                    "output": str(sum(row.output_tokens for row in rows)),
                },
            }
            for (model, batch), rows in models.items()
        ],
        "partial": False,
        "carriedNanoUSD": str(carried_nano),
    }


def month_cents(world: World, organization_id: str, month: str) -> int:
    """Inference of a UTC calendar month so far, in whole cents."""
    uses = world.select(InferenceUse, "month", (organization_id, month))
    return sum(row.nano_usd for row in uses) // NANO_USD_PER_CENT
