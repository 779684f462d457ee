"""Twenty thousand series of a histogram of svcready's, recorded to and read."""

from __future__ import annotations

from benchmarks.fresh.many_series import BOUNDS, LABELS, RECORDED, SERIES, VALUES
from svcready.metrics import histogram

family = histogram("orders", "Time per order", labels=LABELS, unit="s", buckets=BOUNDS)
family.cap(SERIES)
for values in VALUES:
    child = family.labels(*values)
    for value in RECORDED:
        child.observe(value)

    child.read(values)
