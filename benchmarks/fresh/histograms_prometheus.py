"""Twenty thousand series of a histogram of prometheus_client's, recorded to."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram

from benchmarks.fresh.many_series import BOUNDS, LABELS, RECORDED, VALUES

family = Histogram(
    "orders_seconds",
    "Time per order",
    LABELS,
    buckets=BOUNDS,
    registry=CollectorRegistry(),
)
for values in VALUES:
    child = family.labels(*values)
    for value in RECORDED:
        child.observe(value)
