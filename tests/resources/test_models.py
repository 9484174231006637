"""The list of models."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.cloud import Cloud
from tests.support.people import mint, refused


def test_models_have_a_price_and_say_whether_batches_may_use_them(cloud: Cloud) -> None:
    body = cloud.get("/v1/models").body
    models = {model["id"]: model for model in body["data"]}
    assert body["object"] == "list"
    assert models["llama-3.3-70b-instruct"]["pricing"] == {"input": 0.3, "output": 0.6}
    assert models["llama-3.3-70b-instruct"]["batch_eligible"] is True
    assert "batch_eligible" not in models["pixtral-12b"], "absent means online only"
    assert models["deepseek-r1"]["status"] == "request_access"
    assert models["pixtral-12b"]["modalities"] == {"input": ["text", "image"], "output": ["text"]}
    assert models["bge-m3"]["endpoints"] == {"embeddings": "/v1/embeddings"}


def test_the_list_is_free_and_needs_no_balance(open_cloud: Callable[..., Cloud]) -> None:
    cloud = open_cloud("broke")
    cloud.do("balance.debit", name="acme", cents=50)
    assert cloud.get("/v1/models").status == 200


def test_the_list_is_there_without_batch_access(cloud: Cloud) -> None:
    cloud.do("org.set_feature", name="acme", feature="batch", enabled=False)
    assert cloud.get("/v1/models").status == 200


def test_a_key_without_the_scope_is_refused(cloud: Cloud) -> None:
    reader = mint(cloud, "vms:read", name="reader")
    refused(cloud.get("/v1/models", key=reader["key"]), 403)
