"""`svcready healthcheck` by its script, against a service that is up."""

from __future__ import annotations

from benchmarks.fresh.commands import SCRIPT, URL, run

run(SCRIPT, "healthcheck", URL)
