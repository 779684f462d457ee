"""Metrics: declared once, recorded cheaply, right on every sink."""

from __future__ import annotations

from svcready.metrics._children import CounterChild, GaugeChild, UpDownCounterChild
from svcready.metrics._declaring import (
    counter,
    gauge,
    histogram,
    timer,
    up_down_counter,
)
from svcready.metrics._histogram_child import HistogramChild
from svcready.metrics._histograms import Histogram
from svcready.metrics._instruments import Counter
from svcready.metrics._levels import Gauge, UpDownCounter
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
    "UpDownCounter",
    "UpDownCounterChild",
    "counter",
    "gauge",
    "histogram",
    "timer",
    "up_down_counter",
]
