"""Which subjects are measured beside each other."""

from __future__ import annotations

from benchmarks.benches import logging, metrics, request, resilience, startup, tracing

BENCHES = (
    *request.BENCHES,
    *logging.BENCHES,
    *metrics.BENCHES,
    *tracing.BENCHES,
    *resilience.BENCHES,
    *startup.BENCHES,
)
