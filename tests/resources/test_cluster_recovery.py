"""A replica that failed while it started, and is started again: its cluster is as good as before."""

from __future__ import annotations

from tests.support.cloud import Cloud
from tests.support.clusters import run_cluster, scale, status
from tests.support.invariants import check_world


def test_a_first_start_that_is_tried_again_degrades_nothing(cloud: Cloud) -> None:
    cluster = run_cluster(cloud)
    assert scale(cloud, cluster, 2).status == 200
    cloud.do("replica.fail", name="chat-1")
    assert status(cloud, cluster) == "degraded"
    cloud.do("replica.recover", name="chat-1")
    assert status(cloud, cluster) == "running"
    check_world(cloud.world)
    cloud.advance(120)
    assert status(cloud, cluster) == "running"
