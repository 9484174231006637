"""A world that goes on from its document, and one that never stopped, give the same answers and journals."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from simulator import state
from simulator.domain.events import Outcome, Outgoing
from simulator.engine import Advanced
from simulator.kernel.refusal import Refusal
from simulator.worlds import Worlds
from tests.properties.test_bare_world import BareWorld
from tests.support.cloud import Answer, Cloud, Mailbox
from tests.support.effort import walks
from tests.support.invariants import check_world


class Moody(Mailbox):
    """A receiver that fails some attempts: the same ones, whoever asks."""

    def __call__(self, outgoing: Outgoing) -> Outcome:
        self.received.append(outgoing)
        return Outcome(status_code=500 if int(outgoing.delivery_id[0], 16) < 6 else 200)


class TwinCloud(Cloud):
    """Once it has a twin, whatever is asked of it is asked of both, and they say the same."""

    twin: TwinCloud | None = None

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.how = how
        self.mailbox = Moody()
        self.simulator.courier = self.mailbox

    @property
    def document(self) -> bytes:
        return state.written(self.simulator.save(secrets=True))

    def part(self) -> None:
        """Let a twin in a process of its own, so to speak, go on from here."""
        self.twin = TwinCloud(**self.how)
        self.twin.simulator.load(self.document)
        self.mailbox.received.clear()

    def call(self, *words: Any, **more: Any) -> Answer:
        answer = super().call(*words, **more)
        assert self.twin is None or self.twin.call(*words, **more) == answer
        return answer

    def advance(self, seconds: float) -> Advanced:
        advanced = super().advance(seconds)
        assert self.twin is None or self.twin.advance(seconds) == advanced
        return advanced

    def do(self, action: str, **arguments: Any) -> Any:
        said: list[object] = []
        for each in (self.simulator, *([self.twin.simulator] if self.twin else [])):
            try:
                said.append(each.do(action, arguments))
            except Refusal as refusal:
                said.append(refusal)
        if isinstance(said[0], Refusal):
            assert {str(refusal) for refusal in said} == {str(said[0])}
            raise said[0]
        assert said == [said[0]] * len(said)
        return said[0]


class SavedWorld(BareWorld):
    """The bare world, saved and loaded at any moment: with timers, retries and sessions open."""

    @initialize(
        profile=st.sampled_from(("2026-06", "2026-07", "2026-10")),
        seed=st.integers(0, 3),
        queue=st.booleans(),
        open_at=st.sampled_from(("running", "deploying")),
    )
    def open(self, profile: str, seed: int, queue: bool, open_at: str) -> None:
        self.cloud: TwinCloud = TwinCloud(
            seed=seed, profile=profile, vms__queue=queue, billing__open_at=open_at, vms__require_ssh_key=False
        )
        self.seen: list[str] = []
        self.cloud.post("/v1/orgs/{org}/webhooks/create", {"name": "hook", "url": "http://127.0.0.1:9/hook"})

    @rule(told=st.booleans())
    def save_and_load(self, told: bool) -> None:
        """Whether or not a delivery is due that very moment."""
        if told:
            self.cloud.attempt("webhook.send", name="acme")
        self.compare()
        self.cloud.part()

    @rule(seconds=st.sampled_from((0, 29, 3600, 31 * 86_400)), how=st.sampled_from(("checkpoint", "fork")))
    def stray_and_come_back(self, seconds: float, how: str) -> None:
        """What happened after a checkpoint is undone by going back; what happens to a fork stays there."""
        cloud, here = self.cloud, self.cloud.document
        where = cloud.simulator
        received = list(cloud.mailbox.received)
        if how == "fork":
            where = Worlds(Moody()).open("other", cloud.worlds.opening("default"))
            where.reset(cloud.simulator.fork("other"))
        where.mark("here")
        with suppress(Refusal):
            where.do("vm.fail", {"select": "random"})
            where.do("balance.credit", {"name": "acme", "cents": 1})
        where.advance(seconds)
        where.restore("here")
        cloud.mailbox.received = received
        assert cloud.document == here
        where.checkpoints.forget("here")

    @precondition(lambda self: self.cloud.twin)
    @rule()
    def compare(self) -> None:
        twin = self.cloud.twin
        if twin is not None:
            assert twin.document == self.cloud.document
            assert twin.mailbox.received == self.cloud.mailbox.received

    @invariant()
    def everything_holds(self) -> None:
        if hasattr(self, "cloud") and self.cloud.twin is not None:
            check_world(self.cloud.twin.world)

    def teardown(self) -> None:
        if hasattr(self, "cloud"):
            self.compare()


TestSavedWorld = SavedWorld.TestCase
TestSavedWorld.settings = walks(40, 40)
