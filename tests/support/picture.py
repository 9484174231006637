"""The picture of the manual: what `run` prints when a careless client loses an answer.

`python -m tests.support.picture` draws it again.
"""

from __future__ import annotations

import html
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from simulator import assets
from simulator.adapters.courier import Courier
from simulator.adapters.rehearse import rehearse
from simulator.adapters.verdict_page import show
from simulator.engine import ClockState
from simulator.worlds import DEFAULT, Opening, Worlds

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "at-work.svg"
CLIENT = "examples/careless_client.py"
COLUMNS = 120


class Screen(Console):
    """A terminal of so many columns breaks long lines by itself."""

    def print(self, *objects: Any, soft_wrap: bool | None = None, **options: Any) -> None:
        super().print(*objects, **options)


def drawn() -> str:
    """The picture as SVG, from a run of now."""
    worlds = Worlds(Courier())
    clock = ClockState(mode="stepped")
    worlds.open(DEFAULT, Opening.of_scenario(assets.load_scenario("answers-lost"), clock))
    with io.StringIO() as nowhere:
        console = Screen(file=nowhere, record=True, width=COLUMNS)
        outcome = rehearse(worlds, [sys.executable, str(ROOT / CLIENT)], os.environ)
        show(console, msgspec.structs.replace(outcome, command=["python3", CLIENT]))
    return console.export_svg(title=f"openrelay-simulator run answers-lost -- python3 {CLIENT}")


def words(svg: str) -> list[str]:
    """What stands in the picture."""
    return re.findall(r"\S+", html.unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", svg, flags=re.DOTALL)))


if __name__ == "__main__":
    PICTURE.write_text(drawn(), "utf-8")
