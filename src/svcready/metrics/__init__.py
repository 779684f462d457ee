"""Metrics: declared once, recorded cheaply, right on every sink."""

from __future__ import annotations

from svcready.metrics._children import CounterChild, GaugeChild
from svcready.metrics._histogram_child import HistogramChild
from svcready.metrics._histograms import Histogram
from svcready.metrics._instruments import Counter, Gauge
from svcready.metrics._register import counter, gauge, histogram, timer
from svcready.metrics._timer import Timer, TimerChild

__all__ = [
    "Counter",
    "CounterChild",
    "Gauge",
    "GaugeChild",
    "Histogram",
    "HistogramChild",
    "Timer",
    "TimerChild",
    "counter",
    "gauge",
    "histogram",
    "timer",
]
