"""From method and path to the operation: a tree of path segments, one dict look-up per segment."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from simulator.contract.spec import OperationSpec


class Route(msgspec.Struct, frozen=True):
    operation: OperationSpec
    path_values: dict[str, str]


class NoRoute(msgspec.Struct, frozen=True):
    """The path is unknown when `allowed` is empty, else only the method is."""

    allowed: tuple[str, ...]


class _Node:
    """One position in a path: where the next segment leads, and the operations that end here."""

    __slots__ = ("operations", "parameter", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        # Names belong to the operation: `{id}` of one and `{orgId}` of another may share a position.
        self.operations: dict[str, tuple[OperationSpec, tuple[tuple[str, int], ...]]] = {}


class Router:
    """`/orgs/{orgId}/vms/create` wins over `/orgs/{orgId}/vms/{id}` where both know the method."""

    def __init__(self, operations: Iterable[OperationSpec]) -> None:
        self._root = _Node()
        for operation in operations:
            self._add(operation)

    def route(self, method: str, path: str) -> Route | NoRoute:
        method = "GET" if method == "HEAD" else method
        segments = path.split("/")
        ends = self._ends(segments)
        for end in ends:
            if found := end.operations.get(method):
                operation, names = found
                return Route(operation, {name: segments[position] for name, position in names})
        allowed = {known for end in ends for known in end.operations}
        return NoRoute(tuple(sorted(allowed | {"HEAD"} if "GET" in allowed else allowed)))

    def _ends(self, segments: list[str]) -> list[_Node]:
        """The nodes a path may end at, static ones first. A parameter is never empty."""
        nodes = [self._root] if segments[0] == "" else []
        for segment in segments[1:]:
            reached = []
            for node in nodes:
                if static := node.static.get(segment):
                    reached.append(static)
                if segment and node.parameter:
                    reached.append(node.parameter)
            nodes = reached
        return nodes

    def _add(self, operation: OperationSpec) -> None:
        node = self._root
        names = []
        for position, segment in enumerate(operation.path.split("/")[1:], start=1):
            if segment.startswith("{"):
                names.append((segment[1:-1], position))
                node.parameter = node = node.parameter or _Node()
            else:
                node = node.static.setdefault(segment, _Node())
        assert operation.method not in node.operations, f"{operation.id}: two operations share its path"
        node.operations[operation.method] = (operation, tuple(names))
