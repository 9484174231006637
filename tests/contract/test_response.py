from __future__ import annotations

import json
from typing import Any

from simulator.contract import Answer, Contract, Problem
from tests.contract.documents import API, TEXT, json_content, small

VM = {
    "id": "vm_1",
    "organizationId": "org_1",
    "name": "a",
    "status": "running",
    "createdAt": "2026-06-01T00:00:00Z",
}


def answer(
    operation_id: str, value: Any, status: int = 200, contract: Contract = API, **parts: Any
) -> Problem | None:
    whole = {"media_type": "application/json", "raw": json.dumps(value).encode(), "headers": {}} | parts
    return contract.check_response(
        contract.operations[operation_id], Answer(status=status, value=value, **whole)
    )


def problem_with(operation_id: str, value: Any, **parts: Any) -> Problem:
    problem = answer(operation_id, value, **parts)
    assert problem is not None
    return problem


def test_a_right_answer_has_no_problem() -> None:
    assert answer("listOrgVms", {"items": [VM] * 50}) is None
    assert answer("listOrgVms", {"items": []}, media_type="application/json; charset=utf-8") is None


def test_a_wrong_value_in_an_answer_is_named_by_its_path() -> None:
    problem = problem_with("listOrgVms", {"items": [VM, {**VM, "name": 7}]})
    assert problem == Problem("items[1].name: 7 is not of type 'string'", "body.items[1].name")


def test_an_integer_beyond_its_format_is_named() -> None:
    schema = {"type": "object", "properties": {"cents": {"type": "integer", "format": "int64"}}}
    contract = small({"responses": {"200": {"description": "ok", **json_content(schema)}}})
    assert answer("doIt", {"cents": 2**63 - 1}, contract=contract) is None
    assert problem_with("doIt", {"cents": 2**63}, contract=contract).where == "body.cents"


def test_a_day_that_does_not_exist_is_a_problem() -> None:
    assert problem_with(
        "listOrgVms", {"items": [{**VM, "createdAt": "2026-02-30T00:00:00Z"}]}
    ).where.endswith("createdAt")


def test_what_the_plan_is_not_sure_of_openapi_core_may_accept() -> None:
    assert answer("listOrgVms", {"items": [{**VM, "createdAt": "2000-02-29t00:00:00z"}]}) is None


def test_a_status_that_is_not_listed_is_held_against_the_default() -> None:
    assert answer("listOrgVms", {"error": "x"}, status=418) is None
    assert problem_with("listOrgVms", {"message": "x"}, status=418) == Problem(
        "error: is required", "body.error"
    )


def test_a_status_is_a_problem_where_the_operation_has_no_default() -> None:
    assert problem_with("doIt", None, status=200, raw=b"", contract=small({})).where == "status"


def test_a_range_of_statuses_wins_over_the_default() -> None:
    responses = {"4XX": {"description": "bad", **json_content(TEXT)}, "default": {"description": "none"}}
    contract = small({"responses": responses})
    assert answer("doIt", "why", status=404, contract=contract) is None
    assert answer("doIt", None, status=500, raw=b"", contract=contract) is None
    assert answer("doIt", "why", status=500, contract=contract) is not None


def test_204_has_an_empty_body() -> None:
    assert answer("declineOrgInvite", None, status=204, raw=b"", media_type="") is None
    assert problem_with("declineOrgInvite", None, status=204, raw=b"null").where == "body"


def test_a_json_answer_has_a_body() -> None:
    assert problem_with("listOrgVms", None, raw=b"").where == "body"


def test_another_media_type_than_promised_is_a_problem() -> None:
    problem = problem_with("listOrgVms", {"items": []}, media_type="text/html")
    assert problem.where == "header.content-type"
    assert "'text/html' is sent, application/json is promised" in problem.message


def test_bytes_and_scripts_are_checked_by_media_type_only() -> None:
    parts: dict[str, Any] = {"media_type": "application/octet-stream", "raw": b"\xff\x00"}
    assert answer("getFileContent", None, **parts) is None
    script: dict[str, Any] = {
        "media_type": "text/x-shellscript",
        "raw": b"#!/bin/sh\n",
        "headers": {"cache-control": "no-store"},
    }
    assert answer("providerBootstrap", None, **script) is None


def test_headers_are_held_against_their_schemas() -> None:
    assert answer("listOrgVms", {"error": "x"}, status=429, headers={"retry-after": "3"}) is None
    assert answer("listOrgVms", {"error": "x"}, status=429) is None
    for text in ("soon", "-1"):
        problem = problem_with("listOrgVms", {"error": "x"}, status=429, headers={"retry-after": text})
        assert problem.where == "header.Retry-After"


def test_a_required_header_is_asked_for() -> None:
    headers = {"X-Request-Id": {"required": True, "schema": {"type": "string", "format": "uuid"}}}
    contract = small({"responses": {"204": {"description": "ok", "headers": headers}}})
    done: dict[str, Any] = {"status": 204, "raw": b"", "contract": contract}
    assert problem_with("doIt", None, **done).where == "header.X-Request-Id"
    assert problem_with("doIt", None, headers={"x-request-id": "7"}, **done).where == "header.X-Request-Id"
    right = {"x-request-id": "123e4567-e89b-12d3-a456-426614174000"}
    assert answer("doIt", None, headers=right, **done) is None


def test_the_same_error_is_shared_by_all_operations() -> None:
    unauthorized = {
        id(operation.responses["401"])
        for operation in API.operations.values()
        if "401" in operation.responses
    }
    assert len(unauthorized) == 2
