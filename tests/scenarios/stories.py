"""Every bundled scenario with two clients that live through it: a careless one and a careful one."""

from __future__ import annotations

from tests.scenarios import (
    stories_of_payments,
    stories_of_the_api,
    stories_of_the_cloud,
    stories_of_webhooks,
)
from tests.scenarios.client import Story

STORIES: dict[str, Story] = {
    **stories_of_the_api.STORIES,
    **stories_of_payments.STORIES,
    **stories_of_webhooks.STORIES,
    **stories_of_the_cloud.STORIES,
}
