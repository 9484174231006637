from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_path import SchemaPath
from openapi_core.datatypes import RequestParameters

from simulator import assets
from simulator.contract import Checked, Contract, Problem, Route
from simulator.contract.judge import JudgedRequest, PlannedRequestValidator
from tests.contract.documents import API, DOCUMENT, ROOT, TEXT, json_content, small

JSON = {"content-type": "application/json"}
CONTROL = Contract(assets.control_document())


def check(
    path: str, body: bytes = b"", query: str = "", headers: dict[str, str] = JSON, contract: Contract = API
) -> Checked:
    method, _, path = path.partition(" ")
    route = contract.route(method, path)
    assert isinstance(route, Route)
    return contract.check_request(route, query, headers, body)


def create_vm(body: bytes, **parts: Any) -> Checked:
    return check("POST /v1/orgs/org_1/vms/create", body, **parts)


def create_vm_problem(body: bytes, **parts: Any) -> Problem:
    checked = create_vm(body, **parts)
    assert checked.problem is not None
    return checked.problem


def list_vms(query: str) -> Checked:
    return check("GET /v1/orgs/org_1/vms", query=query)


def query_problem(query: str) -> Problem:
    problem = list_vms(query).problem
    assert problem is not None
    return problem


# ---------------------------------------------------------------- bodies that fit


def test_a_right_body_comes_back_decoded() -> None:
    assert create_vm(b'{"name":"a","gpuCount":2}') == Checked({}, {"name": "a", "gpuCount": 2})


def test_openapi_core_is_not_imported_for_right_requests_and_answers() -> None:
    program = """
import json, sys
from simulator.contract import Answer, Contract
contract = Contract(json.load(open("simulator/openapi.json", encoding="utf-8")))
route = contract.route("POST", "/v1/orgs/o/vms/create")
assert contract.check_request(route, "", {}, b'{"name":"a"}').problem is None
vm = {"id": "v", "organizationId": "o", "name": "a", "status": "running"}
answer = Answer(200, "application/json", vm, json.dumps(vm).encode())
assert contract.check_response(route.operation, answer) is None
assert "openapi_core" not in sys.modules
assert contract.check_request(route, "", {}, b'{"name":1}').problem is not None
assert "openapi_core" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_json_without_a_content_type_is_read_as_json() -> None:
    assert create_vm(b'{"name":"a"}', headers={}).problem is None
    assert create_vm(b'{"name":"a"}', headers={"content-type": ""}).problem is None


def test_case_and_parameters_of_the_media_type_do_not_matter() -> None:
    assert (
        create_vm(b'{"name":"a"}', headers={"content-type": "Application/JSON; charset=UTF-8"}).problem
        is None
    )


def test_an_integer_written_as_a_float_is_an_integer() -> None:
    checked = create_vm(b'{"name":"a","gpuCount":5.0}')
    assert checked.problem is None
    assert isinstance(checked.body["gpuCount"], int)


def test_unknown_fields_at_the_top_are_ignored_but_reported() -> None:
    checked = create_vm(b'{"name":"a","gpu_count":1,"envVars":{"anything":"goes"}}', query="dry=1")
    assert checked.problem is None
    assert checked.unknown_fields == ("dry", "gpu_count")


def test_an_optional_body_may_be_absent() -> None:
    assert check("POST /v1/onboarding/bootstrap", headers={}) == Checked({})


def test_a_body_on_an_operation_without_one_is_ignored() -> None:
    assert check("GET /v1/me", b"\xff not json", headers={"content-type": "text/plain"}) == Checked({})


def test_defaults_are_not_filled_in() -> None:
    assert "public" not in create_vm(b'{"name":"a"}').body
    assert check("GET /v1/batches").query == {}


def test_a_multipart_body_is_handed_over_as_bytes() -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert check("POST /v1/files", b"--b--", headers=headers) == Checked({}, b"--b--")


# ---------------------------------------------------------------- bodies that do not fit


def test_a_wrong_type_is_named_with_its_value_and_place() -> None:
    problem = create_vm_problem(b'{"name":"a","gpuCount":"two"}')
    assert problem == Problem("gpuCount: 'two' is not of type 'integer'", "body.gpuCount")


def test_a_value_deep_inside_is_named_by_its_path() -> None:
    problem = create_vm_problem(b'{"name":"a","sshKeyIds":["k",7]}')
    assert problem == Problem("sshKeyIds[1]: 7 is not of type 'string'", "body.sshKeyIds[1]")


def test_a_missing_field_is_named() -> None:
    assert create_vm_problem(b"{}") == Problem("name: is required", "body.name")


def test_a_long_value_is_cut() -> None:
    problem = create_vm_problem(json.dumps({"name": "a", "gpuCount": "y" * 5000}).encode())
    assert len(problem.message) < 130
    assert problem.where == "body.gpuCount"


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"null", b"7", b"true"])
def test_a_body_that_is_no_object_is_a_problem(body: bytes) -> None:
    problem = create_vm_problem(body)
    assert "is not of type 'object'" in problem.message
    assert problem.where == "body"


def test_a_missing_body_is_a_problem() -> None:
    assert create_vm_problem(b"") == Problem("body: is missing; application/json is needed", "body")


def test_a_wrong_media_type_is_named_with_the_one_accepted() -> None:
    problem = create_vm_problem(b"name=a", headers={"content-type": "application/x-www-form-urlencoded"})
    assert problem.where == "header.content-type"
    assert "'application/x-www-form-urlencoded' is sent, application/json is accepted" in problem.message


def test_a_file_upload_without_multipart_is_a_problem() -> None:
    assert check("POST /v1/files", b"{}").problem is not None
    assert check("POST /v1/files", b"{}", headers={}).problem is not None


@pytest.mark.parametrize(
    "body", [b"{", b'{"name":}', b"{'name':1}", b'{"name":NaN}', b"\xef\xbb\xbf{}", b"{}{}", b" "]
)
def test_malformed_json_is_a_problem(body: bytes) -> None:
    assert create_vm_problem(body).message.startswith("body: malformed JSON: ")


def test_broken_utf_8_is_a_problem() -> None:
    assert "b'\\xff', which is not UTF-8" in create_vm_problem(b'{"name":"a\xff"}').message


def test_half_a_surrogate_pair_is_a_problem() -> None:
    create_vm_problem(b'{"name":"\\ud800"}')
    create_vm_problem(b'{"name":"\\udc00x"}')


@pytest.mark.parametrize(
    "body", [b'{"name":"a\\u0000"}', b'{"name":"a","x":[{"y":"\\u0000"}]}', b'{"name":"a","\\u0000":1}']
)
def test_a_nul_character_is_a_problem_wherever_it_stands(body: bytes) -> None:
    assert "holds a NUL character" in create_vm_problem(body).message


def test_an_escaped_backslash_before_u0000_is_no_nul_character() -> None:
    assert create_vm(b'{"name":"\\\\u0000"}').body == {"name": "\\u0000"}


@pytest.mark.parametrize(
    "number", ["9223372036854775808", "-9223372036854775809", "1" * 30, "1" * 5000, "1e300", "1e999"]
)
def test_a_number_beyond_64_bits_is_named_in_the_problem(number: str) -> None:
    problem = create_vm_problem(f'{{"name":"a","more":{{"deep":[1,{number}]}}}}'.encode())
    assert problem.where == "body.more.deep[1]"
    assert problem.message.endswith("does not fit into 64 bits")


@pytest.mark.parametrize(
    "number", ["9223372036854775807", "-9223372036854775808", "1e18", "0.1234567890123456789012"]
)
def test_a_number_of_64_bits_is_accepted(number: str) -> None:
    assert create_vm(f'{{"name":"a","more":{number}}}'.encode()).problem is None


def test_many_digits_in_a_text_are_no_number() -> None:
    assert create_vm(json.dumps({"name": "1" * 40}).encode()).problem is None


@pytest.mark.parametrize(
    "body", [b'{"a":' * 10_000, b"[" * 10_000 + b"]" * 10_000, b'{"name":' + b"[" * 100 + b"]" * 100 + b"}"]
)
def test_nesting_deeper_than_100_is_a_problem(body: bytes) -> None:
    assert create_vm_problem(body) == Problem("body: is nested deeper than 100", "body")


def test_nesting_of_100_and_brackets_in_texts_are_accepted() -> None:
    body = b'{"name":"' + b"[{" * 500 + b'\\"[","more":' + b"[" * 99 + b"]" * 99 + b"}"
    assert create_vm(body).problem is None


def test_a_large_body_of_quotes_and_brackets_is_read_in_linear_time() -> None:
    create_vm_problem(b"[" * 101 + b'"' + b'\\"' * 500_000)
    create_vm_problem(b'{"' + b"[" * 101 + b'\\"' * 500_000)


# ---------------------------------------------------------------- query and path


def test_query_values_have_the_types_of_the_contract() -> None:
    assert list_vms("limit=5&activeOnly=true&cursor=5").query == {
        "limit": 5,
        "activeOnly": True,
        "cursor": "5",
    }


def test_the_words_openapi_core_takes_for_booleans_are_taken() -> None:
    assert list_vms("activeOnly=yes").query == {"activeOnly": True}
    assert list_vms("activeOnly=Off").query == {"activeOnly": False}


def test_a_query_value_of_the_wrong_type_is_named() -> None:
    assert query_problem("limit=two") == Problem("limit: 'two' is not of type 'integer'", "query.limit")
    assert query_problem("activeOnly=maybe").where == "query.activeOnly"


def test_a_query_value_out_of_bounds_is_named() -> None:
    problem = check("GET /v1/batches", query="limit=101").problem
    assert problem == Problem("limit: 101 is greater than the maximum of 100", "query.limit")


def test_a_query_value_outside_its_enum_is_named() -> None:
    problem = check("GET /v1/orgs/o/provider/nodes", query="class=spot").problem
    assert problem is not None
    assert problem.where == "query.class"
    assert "'spot' is not one of" in problem.message


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=5&limit=6", "is given twice"),
        ("cursor=%ff", "cannot be decoded"),
        ("cursor=%00", "holds a NUL character"),
        ("other=%00", "holds a NUL character"),
        ("cursor=\ud800", "is not valid Unicode"),
        ("limit=9223372036854775808", "does not fit into 64 bits"),
        ("limit=" + "9" * 5000, "limit: "),
        ("limit=", "limit: "),
        ("activeOnly=", "activeOnly: "),
    ],
)
def test_a_query_that_cannot_be_held_is_a_problem(query: str, words: str) -> None:
    assert words in query_problem(query).message


@pytest.mark.parametrize("query", ["limit=5&cursor=", "cursor=&limit=5", "cursor=&limit=5&cursor="])
def test_an_empty_text_that_need_not_be_there_is_not_there(query: str) -> None:
    checked = list_vms(query)
    assert (checked.query, checked.problem) == ({"limit": 5}, None)


def test_an_empty_text_that_must_be_there_is_a_problem() -> None:
    parameters = [{"name": "world", "in": "query", "required": True, "schema": TEXT}]
    problem = check("POST /things", query="world=", contract=small({"parameters": parameters})).problem
    assert problem is not None
    assert problem.where == "query.world"


def test_an_empty_text_is_none_of_a_choice_of_words() -> None:
    choice = {"type": "string", "enum": ["online", "offline"]}
    parameters = [{"name": "status", "in": "query", "schema": choice}]
    problem = check("POST /things", query="status=", contract=small({"parameters": parameters})).problem
    assert problem is not None
    assert problem.where == "query.status"


def test_unknown_query_names_are_ignored_but_reported_once() -> None:
    checked = list_vms("limits=5&limits=6&limit=5")
    assert (checked.query, checked.unknown_fields, checked.problem) == ({"limit": 5}, ("limits",), None)


@pytest.mark.parametrize("value", ["a\0", "\ud800"])
def test_a_path_value_that_cannot_be_held_is_a_problem(value: str) -> None:
    problem = check(f"GET /v1/vms/{value}").problem
    assert problem is not None
    assert problem.where == "path.id"


def test_a_required_query_parameter_is_asked_for() -> None:
    parameters = [{"name": "world", "in": "query", "required": True, "schema": TEXT}]
    contract = small({"parameters": parameters})
    problem = check("POST /things", contract=contract).problem
    assert problem is not None
    assert problem.where == "query.world"
    assert check("POST /things", query="world=a", contract=contract).problem is None


# ---------------------------------------------------------------- the contract as such


def test_a_format_the_plan_does_not_know_is_left_to_openapi_core() -> None:
    schema = {"type": "object", "properties": {"address": {"type": "string", "format": "ipv4"}}}
    contract = small({"requestBody": json_content(schema)})
    assert check("POST /things", b'{"address":"10.0.0.1"}', contract=contract).problem is None
    assert check("POST /things", b'{"address":"10.0.0"}', contract=contract).problem is not None


def test_what_the_plan_accepted_is_not_judged_again() -> None:
    validator = PlannedRequestValidator(SchemaPath.from_dict({**DOCUMENT, "security": []}))
    request = JudgedRequest("post", "/v1/orgs", RequestParameters(), body=b"7")
    assert list(validator.iter_errors(request))
    request.accepted = True
    assert not list(validator.iter_errors(request))


def test_an_operation_tells_what_later_versions_ask_of_the_caller() -> None:
    operation = API.operations["getMe"]
    assert (operation.auth, operation.later_auth) == ("api-key", ("2026-07", "session"))


def test_a_problem_is_answered_with_400_where_the_operation_lists_it_else_with_422() -> None:
    assert API.operations["createOrg"].problem_status == 400
    assert API.operations["updateProfile"].problem_status == 422


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=60), st.text(max_size=30), st.text(max_size=20), st.text(min_size=1, max_size=10))
def test_no_bytes_make_the_check_raise(body: bytes, query: str, media_type: str, value: str) -> None:
    for method, path in (("POST", f"/v1/orgs/{value}/vms/create"), ("GET", "/v1/batches")):
        route = API.route(method, path)
        if isinstance(route, Route):
            for headers in ({}, {"content-type": media_type}):
                assert isinstance(API.check_request(route, query, headers, body), Checked)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("POST /v1/orgs/o/registry-credentials/create", {"name": "n", "credentials": "hunter2"}),
        ("POST /v1/orgs/o/registry-credentials/create", {"credentials": {"password": ["hunter2"]}}),
        ("POST /v1/orgs/o/registry-credentials/create", [{"password": "hunter2"}]),
        ("POST /v1/orgs/o/registry-credentials/create", {"credentials": {"password": "hunter2\0"}}),
        ("POST /v1/nodes/enroll", {"token": ["hunter2"]}),
    ],
)
def test_a_problem_does_not_repeat_what_may_be_a_secret(call: str, body: object) -> None:
    """Messages are kept in the journal."""
    problem = check(call, json.dumps(body).encode()).problem
    assert problem is not None
    assert "hunter2" not in problem.message


def test_nor_does_one_with_a_query_that_cannot_be_read() -> None:
    problem = check("GET /v1/provider/bootstrap", query="token=hunter2%FF").problem
    assert problem is not None
    assert problem.message == "query: what was sent cannot be decoded as UTF-8"


def test_a_word_that_is_none_of_a_few_is_shown_wherever_it_stands() -> None:
    problem = check("GET /_sim/state", query="secrets=yes", contract=CONTROL).problem
    assert problem is not None
    assert "'yes' is not one of" in problem.message
