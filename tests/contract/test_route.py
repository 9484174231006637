from __future__ import annotations

import pytest

from simulator.contract import NoRoute, Route
from tests.contract.documents import API, DOCUMENT


def operation_at(method: str, path: str) -> str:
    route = API.route(method, path)
    assert isinstance(route, Route)
    return route.operation.id


def test_every_operation_is_found_at_its_own_path() -> None:
    for operation in API.operations.values():
        path = operation.path.replace("{", "").replace("}", "-1")
        route = API.route(operation.method, path)
        assert isinstance(route, Route)
        assert route.operation is operation
        assert all(value == f"{name}-1" for name, value in route.path_values.items())


def test_operations_keep_the_order_of_the_document() -> None:
    written = [item[method]["operationId"] for item in DOCUMENT["paths"].values() for method in item]
    assert sorted(written) == sorted(API.operations)
    assert next(iter(API.operations)) == written[0]


def test_a_static_segment_wins_over_a_parameter() -> None:
    assert operation_at("POST", "/v1/files/presign") == "presignFileUpload"
    assert operation_at("GET", "/v1/transfers/target-orgs") != operation_at("GET", "/v1/vms/target-orgs")


def test_a_parameter_takes_the_method_that_the_static_segment_does_not_know() -> None:
    route = API.route("GET", "/v1/files/presign")
    assert isinstance(route, Route)
    assert (route.operation.path, route.path_values) == ("/v1/files/{id}", {"id": "presign"})


def test_head_routes_as_get() -> None:
    assert operation_at("HEAD", "/v1/orgs/org_1/vms") == "listOrgVms"


def test_path_values_carry_the_names_the_operation_gives_them() -> None:
    route = API.route("DELETE", "/v1/orgs/org_1/invites/ada@example.com")
    assert isinstance(route, Route)
    assert route.path_values == {"orgId": "org_1", "email": "ada@example.com"}


def test_a_known_path_with_another_method_tells_which_methods_it_knows() -> None:
    assert API.route("PUT", "/v1/orgs/org_1") == NoRoute(("GET", "HEAD", "PATCH"))
    assert API.route("PUT", "/v1/files/presign") == NoRoute(("GET", "HEAD", "POST"))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "v1/me",
        "/v1",
        "/v1/me/",
        "//v1/me",
        "/v1/orgs/org_1/vms/",
        "/v1/orgs//vms",
        "/v1/orgs/org_1/nothing",
        "/V1/me",
        "/v1/me/profile/more",
        "\ud800",
    ],
)
def test_an_unknown_path_allows_nothing(path: str) -> None:
    assert API.route("GET", path) == NoRoute(())
