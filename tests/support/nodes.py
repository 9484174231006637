"""Nodes as a test finds them, and what of them is left."""

from __future__ import annotations

from typing import Any

from simulator.domain.capacity import Node
from tests.support.cloud import Cloud


def node(cloud: Cloud, hostname: str) -> Node:
    (found,) = [row for row in cloud.rows(Node) if row.hostname == hostname]
    assert isinstance(found, Node)
    return found


def seen(cloud: Cloud, vm: dict[str, Any]) -> tuple[str, str | None]:
    """A VM's status, and the reason for it."""
    shown = cloud.vm(vm["id"])
    return shown["status"], shown.get("statusReason")


def free(cloud: Cloud, model: str) -> int:
    """GPUs of a model that are free."""
    row = next(row for row in cloud.get("/v1/gpu-availability").body if row["gpuModelId"] == model)
    return int(row["available"])
