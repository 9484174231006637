"""The samples of examples/, as a reader runs them: with bash, node and python."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TYPES = re.compile(r"\??: (string|boolean|unknown|Buffer(\[\])?|(Promise|AsyncGenerator)<\w+>)(?=[,)]| [={])")
TYPED = {"verify_webhook.ts": 5, "quickstart.ts": 8}
"""Samples in TypeScript, and how many types each names."""


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing: `make test` installs it"
    return found


def script(name: str, folder: Path) -> str:
    """Node runs TypeScript from 22.18 on; an older one gets the same text without its types."""
    asked = subprocess.run(
        [program("node"), "-p", "process.features.typescript"], capture_output=True, check=True
    )
    sample = EXAMPLES / name
    if asked.stdout.strip() in (b"strip", b"transform"):
        return str(sample)
    plain, count = TYPES.subn("", sample.read_text("utf-8"))
    assert count == TYPED[name], "a type in the sample that TYPES does not know, or one less"
    stripped = folder / f"{sample.stem}.mjs"
    stripped.write_text(plain, "utf-8")
    return str(stripped)
