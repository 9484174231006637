"""Faults: what goes wrong on purpose, in one form for five seams of the cloud.

A rule names a seam, what has to match there, when and how often it strikes, and what it does; see `rules`.
What can be done lies in one file per seam, each kind of fault a small type with its arguments. To add one,
write such a type and name it in the table at the end of its file: scenarios, the control surface, the
catalogue and its documentation read that table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from simulator.domain.faults import lifecycle, payment, placement, request, webhook
from simulator.domain.faults.rules import Fault

SEAMS: dict[str, Mapping[str, type[Fault]]] = {
    "request": request.EFFECTS,
    "webhook": webhook.EFFECTS,
    "lifecycle": lifecycle.EFFECTS,
    "placement": placement.EFFECTS,
    "payment": payment.EFFECTS,
}
"""Every fault there is, by the seam it belongs to and its name."""

SELECTORS: dict[str, tuple[str, ...]] = {
    "request": ("operation",),
    "webhook": ("event",),
    "lifecycle": ("resource", "stage"),
    "placement": ("model",),
    "payment": ("purpose",),
}
"""What a rule may choose by at each seam, beside the values that `where` matches."""


def catalogue() -> list[dict[str, Any]]:
    """Every fault: its seam, name, meaning and the JSON schema of its arguments."""
    return [
        {
            "on": seam,
            "name": name,
            "meaning": (effect.__doc__ or "").strip().splitlines()[0],
            "arguments": msgspec.json.schema(effect),
        }
        for seam, effects in SEAMS.items()
        for name, effect in effects.items()
    ]
