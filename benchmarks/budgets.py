"""The rows of the budgets, as the budgets spell them."""

from __future__ import annotations

from enum import StrEnum


class Item(StrEnum):
    """The rows that the harness owed first."""

    REQUEST = "request (three frameworks)"
    LOG_LINE = "log line"
    METRICS = "counter/histogram"
    SPAN = "span"
    RESILIENCE = "retry/breaker"
    STARTUP = "import/init"


class Budget(StrEnum):
    """A row's first column."""

    FASTAPI = "FastAPI request (bare 51 µs), all on, 5 % sampled, added over bare"
    FASTAPI_SAMPLED = "the same, 100 % sampled"
    FLASK = "Flask, 5 % / 100 %"
    DJANGO = "Django, 5 % / 100 %"
    BUSY = (
        "A busy request (3 inner spans, 5 log lines, 2 metrics, a breaker and a retry) "
        "at 5 %"
    )
    THROUGHPUT = "Throughput under uvicorn + wrk, 5 % sampled, share of bare FastAPI"
    PROBE = "Probe answered by the adapter"
    LOG_LINE = "Log line, 5 fields + ids, through `svcready.get_logger`"
    STDLIB_LINE = "Log line through an unchanged stdlib logger with `extra=`"
    EXCEPTION_LINE = "Exception line, 10–21 frames"  # noqa: RUF001 - the budgets' own dash
    DISABLED_LEVEL = "Disabled level"
    KEPT_LINES = "Lines that the flight recorder keeps and throws away"
    COUNTER = "Counter, kept child"
    COUNTER_LABELS = "Counter with label look-up (3)"
    HISTOGRAM = "Histogram, kept child (buckets **and** sketch)"
    MANY_WORKERS = "Many-worker mode, same operations"
    EMF = "EMF flush, 5 metrics × 3 dimensions"  # noqa: RUF001
    SCRAPE = "Scrape, 100 000 series; bytes a histogram child keeps"
    SAMPLING = "Sampling decision, 50 rules"
    SPAN_UNSAMPLED = "`with svcready.span(...)`, unsampled"
    SPAN_SAMPLED = "the same, sampled, 5 attributes"
    W3C = "W3C extract / inject"
    BREAKER = "Breaker, success, sync / async"
    RETRY = "Retry, success, sync / async"
    POLICY = (
        "Whole policy (deadline, retry + budget, bulkhead, breaker, timeout), success, "
        "sync / async"
    )
    DECLARE = (
        "A module that declares a logger, counter, retry, breaker, check and span, "
        "before `init()`"
    )
    IMPORT = "`import svcready` over a bare interpreter"
    INIT = "`init()` with an app, everything on, framework already imported"
    MEMORY = "Memory of a service, over bare"
    HEALTHCHECK = "`svcready healthcheck`, interpreter start included"


LATER = frozenset(
    {
        Budget.THROUGHPUT,
    }
)
"""Not measured here yet: what they are about is built later."""
