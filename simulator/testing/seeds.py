"""`--openrelay-seeds N`: a test runs again in N clouds with a mix of faults that a good client lives through.

Where one fails, Hypothesis shrinks the mix to the least that still does, and it is saved as a scenario file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, Verbosity, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from simulator.testing.again import Again, failure_of
from simulator.testing.plugin import OPENING, world_name

if TYPE_CHECKING:
    from simulator.testing.cloud import Recorded
    from simulator.worlds import Opening

OPTION = "--openrelay-seeds"
REQUEST_FAULTS: tuple[dict[str, Any], ...] = (
    {"lose_answer": True},
    {"respond": {"status": 503, "retry_after": 5}},
    {"respond": {"status": 429, "retry_after": 10}},
    {"respond": {"status": 500}},
    {"html": True},
    {"reset": True},
    {"delay": {"seconds": 10}},
)
WEBHOOK_FAULTS: tuple[dict[str, Any], ...] = (
    {"duplicate": True},
    {"reorder": {"seconds": 60}},
    {"delay": {"seconds": 120}},
    {"drop": True},
)
"""What happens to clients of a real cloud now and then, and passes."""
MOST_FAULTS = 3


class Seeds(Again):
    """`number` mixes, drawn from `seed`; the least that fails goes into `folder`."""

    def __init__(self, number: int, seed: int, folder: Path) -> None:
        if number < 1:
            raise pytest.UsageError(f"{OPTION}={number}: take 1 or more")
        self._number, self._seed, self._folder = number, seed, folder

    def try_again(self, item: pytest.Item, nextitem: pytest.Item | None, calls: list[Recorded]) -> str:
        failures: dict[str, str] = {}

        def fails(rules: list[dict[str, Any]]) -> bool:
            told = failure_of(self.run(item, nextitem, rules))
            if told:
                failures[repr(rules)] = told
            return bool(told)

        operations = sorted({call.operation for call in calls if call.operation})
        try:
            least = find(_mixes(operations), fails, settings=self._settings(), random=Random(self._seed))
        except NoSuchExample:
            return ""
        return self._text(item, least, failures[repr(least)])

    def _settings(self) -> settings:
        return settings(
            max_examples=self._number,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )

    def _text(self, item: pytest.Item, rules: list[dict[str, Any]], told: str) -> str:
        file = self._save(item, rules)
        faults = "\n".join(f"  {rule}" for rule in rules)
        return (
            f"fails with these faults, the least of {self._number} mixes of seed {self._seed}:\n{faults}\n"
            f"repeat: pytest '{item.nodeid}' --openrelay-scenario={file}\n\n{told}\n"
        )

    def _save(self, item: pytest.Item, rules: list[dict[str, Any]]) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{world_name(item.nodeid)}.yaml"
        document = _scenario(item, item.stash[OPENING], rules)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        file.write_text(f"# {item.nodeid} fails in this cloud.\n{text}", "utf-8")
        return file


def _mixes(operations: Sequence[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Lists of rules; the fewest and the earliest are the simplest."""
    some = {"after": st.integers(1, 5), "times": st.integers(1, 3)}
    requests = st.fixed_dictionaries(
        {
            "on": st.just("request"),
            "operation": st.sampled_from(["*", *operations]),
            "times": st.integers(1, 3),
            "do": st.sampled_from(REQUEST_FAULTS),
        },
        optional={"after": some["after"]},
    )
    webhooks = st.fixed_dictionaries(
        {"on": st.just("webhook"), "event": st.just("*"), "do": st.sampled_from(WEBHOOK_FAULTS)},
        optional=some,
    )
    return st.lists(st.one_of(requests, webhooks), min_size=1, max_size=MOST_FAULTS)


def _scenario(item: pytest.Item, opening: Opening, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """The scenario that the test lived through, and these rules with it."""
    base: dict[str, Any] = dict(opening.scenario) or {"scenario": 1, "title": item.name}
    more = {"world": opening.fixture, "seed": opening.seed, "settings": dict(opening.settings)}
    return {**base, **more, "faults": [*base.get("faults", ()), *rules]}
