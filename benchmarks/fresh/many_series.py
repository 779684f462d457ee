"""What both fill their histograms with, and what both have loaded before."""

from __future__ import annotations

import os

os.environ["PROMETHEUS_DISABLE_CREATED_SERIES"] = "true"
import prometheus_client  # noqa: F401 - as much is loaded for each

import svcready  # noqa: F401

SERIES = 20_000
LABELS = ("method", "route", "status")
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
VALUES = [
    ("GET", f"/items/{number % 1000}", str(number // 1000)) for number in range(SERIES)
]
RECORDED = (0.003, 0.042, 0.7)
