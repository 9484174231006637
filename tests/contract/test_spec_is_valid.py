from __future__ import annotations

from collections import Counter
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.contract.documents import API, DOCUMENT

WRITTEN = [
    (path, method, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
]


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_the_document_has_112_operations_of_which_89_are_of_the_first_version() -> None:
    assert len(WRITTEN) == 112
    assert Counter(operation["x-source"] for _, _, operation in WRITTEN)["seed"] == 89


def test_no_operation_is_lost_in_the_reading() -> None:
    assert len(API.operations) == len(WRITTEN)
    for path, method, operation in WRITTEN:
        spec = API.operations[operation["operationId"]]
        assert (spec.path, spec.method) == (path, method.upper())
        assert spec.statuses == set(operation["responses"])
        assert spec.parameter_names == {
            parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"
        }
        assert (spec.body is not None) == ("requestBody" in operation)
        assert (spec.auth, spec.tag) == (operation["x-auth"], operation["tags"][0])


def test_every_reference_leads_inside_the_document() -> None:
    assert references(DOCUMENT)
    for reference in references(DOCUMENT):
        node: Any = DOCUMENT
        assert reference.startswith("#/")
        for part in reference[2:].split("/"):
            node = node[part]


def test_every_operation_says_who_may_call_it_and_what_success_is() -> None:
    assert {spec.auth for spec in API.operations.values()} <= {
        "api-key",
        "api-key-or-provisioning-token",
        "api-key-or-session",
        "none",
        "provisioning-token",
        "session",
    }
    assert {spec.success for spec in API.operations.values()} == {200, 204}


def references(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(references, node))
    if isinstance(node, dict):
        return set().union(*map(references, node.values())) | ({node["$ref"]} if "$ref" in node else set())
    return set()
