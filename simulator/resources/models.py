"""The models of the inference host. Listing them costs nothing and needs no balance [2026-07]."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from simulator.domain.inference import InferenceModel
from simulator.kernel.instant import SECOND_MS
from simulator.kernel.operation import Area, Call
from simulator.kernel.world import World

NANO_PER_DOLLAR_OF_A_MILLION = 1000
"""A dollar for a million tokens is so many nanoUSD for one."""
ENDPOINTS = {
    "chat_completions": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "images": "/v1/images/generations",
}

area = Area("Catalog", scope="inference")


@area.operation("listModels")
def list_models(call: Call) -> dict[str, Any]:
    """Every model, with its price; batch_eligible is absent where a model is online only [2026-07]."""
    return {"object": "list", "data": [_model(model) for model in call.world.rows(InferenceModel)]}


def _model(model: InferenceModel) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": model.id,
        "object": "model",
        "created": model.created_at_ms // SECOND_MS,
        "owned_by": model.owned_by,
        "supported_apis": list(model.supported_apis),
        "modalities": {"input": list(model.input_modalities), "output": list(model.output_modalities)},
        "status": model.status,
        "endpoints": {name: ENDPOINTS[name] for name in model.supported_apis},
        "pricing": {
            "input": model.input_nano / NANO_PER_DOLLAR_OF_A_MILLION,
            "output": model.output_nano / NANO_PER_DOLLAR_OF_A_MILLION,
        },
    }
    return view | ({"batch_eligible": True} if model.batch_eligible else {})


# -- fixture -----------------------------------------------------------------------------------------------

Nano = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class ModelSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A model; prices in nanoUSD per token."""

    id: str
    owned_by: str = "openrelay"
    apis: tuple[Literal["chat_completions", "completions", "embeddings", "images"], ...]
    input: tuple[str, ...] = ("text",)
    output: tuple[str, ...] = ("text",)
    status: Literal["available", "request_access"] = "available"
    batch: bool = False
    input_nano: Nano
    output_nano: Nano = 0


@area.seed("inference_models", list[ModelSpec])
def seed_models(world: World, specs: list[ModelSpec]) -> None:
    for spec in specs:
        world.put(
            InferenceModel(
                id=spec.id,
                created_at_ms=world.now_ms,
                owned_by=spec.owned_by,
                supported_apis=spec.apis,
                input_modalities=spec.input,
                output_modalities=spec.output,
                status=spec.status,
                batch_eligible=spec.batch,
                input_nano=spec.input_nano,
                output_nano=spec.output_nano,
            )
        )
