"""`python -m svcready healthcheck`, against a service that is up."""

from __future__ import annotations

from benchmarks.fresh.commands import PYTHON, URL, run

run(PYTHON, "-m", "svcready", "healthcheck", URL)
