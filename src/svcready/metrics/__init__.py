"""Metrics: declared once, recorded cheaply, right on every sink."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics._instruments._children import (
    CounterChild,
    GaugeChild,
    UpDownCounterChild,
)
from svcready.metrics._instruments._counted import counted
from svcready.metrics._instruments._declaring import (
    counter,
    gauge,
    histogram,
    timer,
    up_down_counter,
)
from svcready.metrics._instruments._histogram_child import HistogramChild
from svcready.metrics._instruments._histograms import Histogram
from svcready.metrics._instruments._instrument import Counter
from svcready.metrics._instruments._levels import Gauge, UpDownCounter
from svcready.metrics._instruments._timer import Timer, TimerChild

if TYPE_CHECKING:
    from svcready.metrics.clients._aio_pika import instrument_aio_pika
    from svcready.metrics.clients._botocore import instrument_botocore
    from svcready.metrics.clients._celery import instrument_celery
    from svcready.metrics.clients._django import instrument_django
    from svcready.metrics.clients._kafka import instrument_kafka, kafka_statistics
    from svcready.metrics.clients._pika import instrument_pika
    from svcready.metrics.clients._processing import processing
    from svcready.metrics.clients._psycopg_pool import instrument_pool
    from svcready.metrics.clients._sqlalchemy import instrument_engine
    from svcready.metrics.clients._sqs_queue import instrument_queue

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
    "counted",
    "counter",
    "gauge",
    "histogram",
    "instrument_aio_pika",
    "instrument_botocore",
    "instrument_celery",
    "instrument_django",
    "instrument_engine",
    "instrument_kafka",
    "instrument_pika",
    "instrument_pool",
    "instrument_queue",
    "kafka_statistics",
    "processing",
    "timer",
    "up_down_counter",
]

_CLIENTS = {
    "instrument_aio_pika": "_aio_pika",
    "instrument_botocore": "_botocore",
    "instrument_celery": "_celery",
    "instrument_django": "_django",
    "instrument_engine": "_sqlalchemy",
    "instrument_kafka": "_kafka",
    "instrument_pika": "_pika",
    "instrument_pool": "_psycopg_pool",
    "instrument_queue": "_sqs_queue",
    "kafka_statistics": "_kafka",
    "processing": "_processing",
}
"""What is loaded when it is first used, and from where."""


def __getattr__(name: str) -> object:
    from importlib import import_module

    file = _CLIENTS.get(name)
    if file is None:
        raise AttributeError(f"module 'svcready.metrics' has no attribute {name!r}")

    value: object = getattr(import_module(f"svcready.metrics.clients.{file}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
