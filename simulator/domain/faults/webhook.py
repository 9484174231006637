"""Faults of a delivery: what happens to a webhook on its way to the receiver.

Each decides how an attempt is sent; `meet` gets the sending and says what becomes of it.
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol

import msgspec

from simulator.domain.faults.rules import Fault, Hit, Seconds, strike
from simulator.kernel.world import World


class Sending(Protocol):
    """An attempt that is about to be sent, as a fault sees it."""

    def post(self, **marks: Any) -> None:
        """Send it now; `marks` are fields of the delivery: forged, slow_s."""

    def post_later(self, seconds: float) -> None: ...

    def post_after_next(self, seconds: float) -> None:
        """Send it right after the webhook's next one, or after so many seconds if none comes."""

    def repeat(self) -> None:
        """Send the same event once more, as another attempt."""

    def replay(self) -> None:
        """Send the oldest delivery that was received once more, with the ids it had."""

    def lose(self) -> None:
        """Send nothing, and take it for received."""

    def fail(self, status: int | None) -> None:
        """Send nothing, and take it for refused with a status, or for not connected."""


class DeliveryFault(Fault, frozen=True):
    """A fault that decides how an attempt is sent."""

    def meet(self, sending: Sending) -> None:
        raise NotImplementedError


class Drop(DeliveryFault, frozen=True):
    """Loses the delivery: the receiver never sees it, and the service takes it for received."""

    def meet(self, sending: Sending) -> None:
        sending.lose()


class Fail(DeliveryFault, frozen=True):
    """The receiver is down: it never sees the delivery, and the attempt has failed."""

    status: Annotated[int, msgspec.Meta(ge=300, le=599)] | None = None
    """What somebody in front of it answers; by default nobody answers."""

    def meet(self, sending: Sending) -> None:
        sending.fail(self.status)


class Duplicate(DeliveryFault, frozen=True):
    """Sends the event so many times more."""

    times: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1

    def meet(self, sending: Sending) -> None:
        sending.post()
        for _ in range(self.times):
            sending.repeat()


class Delay(DeliveryFault, frozen=True):
    """Sends the delivery so many seconds later; what is recorded meanwhile does not wait."""

    seconds: Seconds

    def meet(self, sending: Sending) -> None:
        sending.post_later(self.seconds)


class Reorder(DeliveryFault, frozen=True):
    """Sends the delivery after the webhook's next one, or after so many seconds if none comes."""

    seconds: Seconds = 60

    def meet(self, sending: Sending) -> None:
        sending.post_after_next(self.seconds)


class ForgeSignature(DeliveryFault, frozen=True):
    """Signs the delivery with another secret, as somebody who does not know the right one."""

    def meet(self, sending: Sending) -> None:
        sending.post(forged=True)


class Slow(DeliveryFault, frozen=True):
    """The receiver takes it and answers so many seconds later: from the timeout on it counts as failed."""

    seconds: Seconds

    def meet(self, sending: Sending) -> None:
        sending.post(slow_s=self.seconds)


class ReplayOld(DeliveryFault, frozen=True):
    """Sends the delivery, and then the oldest one that was received once more, with the ids it had."""

    def meet(self, sending: Sending) -> None:
        sending.post()
        sending.replay()


EFFECTS: dict[str, type[DeliveryFault]] = {
    "drop": Drop,
    "fail": Fail,
    "duplicate": Duplicate,
    "delay": Delay,
    "reorder": Reorder,
    "forge_signature": ForgeSignature,
    "slow": Slow,
    "replay_old": ReplayOld,
}


def strike_delivery(world: World, event_type: str, values: dict[str, Any]) -> Hit | None:
    """The fault that strikes an attempt; `values` are the webhook's name and url, attempt and event data."""
    return strike(world, "webhook", EFFECTS, {"event": event_type}, values)
