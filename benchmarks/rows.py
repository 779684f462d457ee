"""The rows of the budgets that are measured, and what decides each."""

from __future__ import annotations

from benchmarks.budgets import Budget, Item
from benchmarks.limits import absolute, against
from benchmarks.model import Goal, Limit, Row
from benchmarks.rows_metrics import METRICS_ROWS
from benchmarks.rows_tracing import TRACING_ROWS


def _request(
    budget_row: Budget,
    title: str,
    bench: str,
    share: str,
    budget: float,
    stretch: float,
    *more: Limit,
    others: tuple[str, ...] = (),
) -> Row:
    ours, peer = f"svcready {share}", f"peer stack {share}"
    return Row(
        budget_row,
        title,
        bench,
        (*against(ours, peer, budget, stretch, over="bare"), *more),
        Item.REQUEST,
        (ours, peer, *(f"{name} {share}" for name in others)),
        over="bare",
    )


REQUEST_ROWS = (
    _request(
        Budget.FASTAPI,
        "FastAPI request, all on, 5 % sampled, added over bare",
        "fastapi",
        "5%",
        1 / 12,
        1 / 18,
        *against("svcready 5%", "bare", 1.3, 1.2),
        others=("tuned stack", "usual stack", "logfire"),
    ),
    _request(
        Budget.FASTAPI_SAMPLED,
        "FastAPI request, 100 % sampled",
        "fastapi",
        "100%",
        1 / 8,
        1 / 20,
        others=("tuned stack", "logfire"),
    ),
    _request(Budget.FLASK, "Flask, 5 %", "flask", "5%", 1 / 10, 1 / 18),
    _request(Budget.FLASK, "Flask, 100 %", "flask", "100%", 1 / 6, 1 / 15),
    _request(Budget.DJANGO, "Django, 5 %", "django", "5%", 1 / 10, 1 / 18),
    _request(Budget.DJANGO, "Django, 100 %", "django", "100%", 1 / 6, 1 / 15),
    _request(
        Budget.BUSY,
        "A busy request (3 inner spans, 5 log lines, 2 metrics, a breaker and a retry) "
        "at 5 %",
        "busy",
        "5%",
        1 / 10,
        1 / 16,
        others=("logfire",),
    ),
    Row(
        Budget.PROBE,
        "Probe answered by the adapter",
        "probe",
        against("svcready", "route", 1 / 12, 1 / 25),
        Item.REQUEST,
        ("svcready", "route"),
    ),
)

LOGGING_ROWS = (
    Row(
        Budget.LOG_LINE,
        "Log line, 5 fields + ids, through `svcready.get_logger`",
        "log line",
        (
            Limit("svcready", 0.55, "structlog"),
            Limit("svcready plain", 1.3, "floor", goal=Goal.STRETCH),
        ),
        Item.LOG_LINE,
        (
            "svcready",
            "structlog",
            "with contextvars",
            "python-json-logger",
            "its default",
            "loguru",
            "Powertools",
            "svcready plain",
            "floor",
        ),
    ),
    Row(
        Budget.LOG_LINE,
        "Redaction of that line, over the same without",
        "log line",
        (Limit("svcready", 1.4, "svcready plain"),),
        Item.LOG_LINE,
        ("svcready", "svcready plain"),
    ),
    Row(
        Budget.LOG_LINE,
        "Redaction of a line with a message of 1 KiB, over the same without",
        "log line of 1 KiB",
        (Limit("svcready", 7.0, "svcready plain"),),
        Item.LOG_LINE,
        ("svcready", "svcready plain"),
    ),
    Row(
        Budget.STDLIB_LINE,
        "Log line through an unchanged stdlib logger with `extra=`",
        "log line",
        against("svcready stdlib", "python-json-logger", 0.65, 0.4),
        Item.LOG_LINE,
        ("svcready stdlib", "python-json-logger"),
    ),
    Row(
        Budget.EXCEPTION_LINE,
        "Exception line, 15 frames",
        "exception line",
        against("svcready", "python-json-logger", 1 / 12, 1 / 30),
        Item.LOG_LINE,
        ("svcready", "python-json-logger", "structlog"),
    ),
    Row(
        Budget.DISABLED_LEVEL,
        "Disabled level",
        "disabled level",
        against("svcready", "stdlib", 1.0),
        Item.LOG_LINE,
        ("svcready", "stdlib", "structlog"),
    ),
    Row(
        Budget.DISABLED_LEVEL,
        "Disabled level, the flight recorder on, outside requests",
        "disabled level",
        against("recorder on", "stdlib", 1.5),
        Item.LOG_LINE,
        ("recorder on", "stdlib", "recorder on, library's"),
    ),
    *(
        Row(
            Budget.KEPT_LINES,
            f"20 lines {what} kept and thrown away, added over a request",
            "kept lines",
            (
                Limit(kept, 0.35, written, "no lines"),
                Limit(kept, 1 / 2, "MemoryHandler", "no lines"),
            ),
            Item.LOG_LINE,
            (kept, written, "MemoryHandler", "no lines"),
            over="no lines",
        )
        for what, kept, written in (
            ("of 5 fields", "svcready", "written"),
            ("with an argument", "plain", "written plain"),
            ("of stdlib's with `extra=`", "stdlib", "written stdlib"),
        )
    ),
)

RESILIENCE_ROWS = (
    Row(
        Budget.BREAKER,
        "Breaker, success, sync",
        "breaker",
        against("svcready", "circuitbreaker", 1.0, 0.6),
        Item.RESILIENCE,
        ("svcready", "circuitbreaker", "purgatory", "pybreaker", "floor"),
    ),
    Row(
        Budget.BREAKER,
        "Breaker, success, async",
        "breaker async",
        against("svcready", "circuitbreaker", 1.0, 0.6),
        Item.RESILIENCE,
        ("svcready", "circuitbreaker", "purgatory", "floor"),
    ),
    Row(
        Budget.RETRY,
        "Retry, success, sync",
        "retry",
        against("svcready", "stamina", 1 / 15, 1 / 30),
        Item.RESILIENCE,
        ("svcready", "stamina", "tenacity", "backoff", "floor"),
    ),
    Row(
        Budget.RETRY,
        "Retry, success, async",
        "retry async",
        against("svcready", "stamina", 1 / 15, 1 / 30),
        Item.RESILIENCE,
        ("svcready", "stamina", "tenacity", "backoff", "floor"),
    ),
    Row(
        Budget.POLICY,
        "Whole policy, success, sync",
        "policy",
        against("svcready", "stamina over circuitbreaker", 1 / 4, 1 / 8),
        Item.RESILIENCE,
        (
            "svcready",
            "stamina over circuitbreaker",
            "tenacity over pybreaker",
            "floor",
        ),
    ),
    Row(
        Budget.POLICY,
        "Whole policy, success, async",
        "policy async",
        against("svcready", "stamina over circuitbreaker", 1 / 4, 1 / 8),
        Item.RESILIENCE,
        ("svcready", "stamina over circuitbreaker", "floor"),
    ),
)

STARTUP_ROWS = (
    Row(
        Budget.DECLARE,
        "A module that declares a logger, counter, retry, breaker, check and span, "
        "before `init()`",
        "declare",
        absolute("svcready", 60, 35),
        Item.STARTUP,
        ("svcready", "peers"),
        unit="ms",
        forbids=("asyncio", "wrapt"),
    ),
    Row(
        Budget.IMPORT,
        "`import svcready` over a bare interpreter",
        "import",
        absolute("svcready", 40, 20),
        Item.STARTUP,
        ("svcready", "prometheus_client", "structlog", "stamina", "logfire", "ADOT"),
        unit="ms",
    ),
    Row(
        Budget.INIT,
        "`init()` with an app, everything on, framework already imported",
        "init",
        against("svcready", "peer stack", 0.6, 0.3),
        Item.STARTUP,
        ("svcready", "peer stack", "logfire"),
        unit="ms",
    ),
    Row(
        Budget.MEMORY,
        "Memory of a service, over bare",
        "memory",
        against("svcready", "peer stack", 0.8, 0.4, over="bare"),
        Item.STARTUP,
        ("svcready", "peer stack", "logfire"),
        over="bare",
        unit="MiB",
    ),
    Row(
        Budget.HEALTHCHECK,
        "`svcready healthcheck`, interpreter start included",
        "healthcheck",
        (
            *absolute("svcready", 80, 40),
            *absolute("svcready -m", 80, 40),
            Limit("svcready -m", 4.0, "bare"),
        ),
        Item.STARTUP,
        ("svcready", "svcready -m", "urllib", "bare"),
        unit="ms",
    ),
)

ROWS = (
    *REQUEST_ROWS,
    *LOGGING_ROWS,
    *METRICS_ROWS,
    *TRACING_ROWS,
    *RESILIENCE_ROWS,
    *STARTUP_ROWS,
)
