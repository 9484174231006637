"""What the tests of the plugin import before one of them runs a suite within its own process.

Such a run puts the table of modules back when it ends: what it imported first would be there twice from
then on.
"""

from __future__ import annotations

from importlib import import_module

for name in (
    "fastapi",
    "flask",
    "freezegun",
    "httpcore",
    "httpx",
    "hypothesis",
    "requests",
    "simulator.strategies",
):
    import_module(name)
for name in (
    "cloud",
    "coverage",
    "crash_points",
    "failure",
    "intercept",
    "seeds",
    "server",
    "time_travel",
    "webhooks",
):
    import_module(f"simulator.testing.{name}")
