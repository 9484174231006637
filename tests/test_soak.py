"""The soak, for some seconds: what it looks at holds, and it does not rot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_some_seconds_of_mixed_load_with_faults_leave_everything_in_order():
    command = [sys.executable, "-m", "tests.support.soak", "--minutes", "0.05"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "invariants hold in 4 worlds" in done.stdout
