"""One log line with five fields and the request's ids, to a standard output."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.subjects.deep import fail
from benchmarks.workload import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.workload import Workload

IDS = {
    "request_id": "5a0c8f6e-2c5b-4a41-9d8e-0a6f7f1f6a10",
    "correlation_id": "5a0c8f6e-2c5b-4a41-9d8e-0a6f7f1f6a10",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "span_id": "00f067aa0ba902b7",
}

FIELDS = 'order_id=4711, kind="retail", items=3, total=42.5, paid=True'
EXTRA = f"extra=dict({FIELDS})"

LONG_TEXT = (
    "shipment 4711 was handed over to the carrier, state=sent, items=3, took 12.5 ms; "
    * 13
)[:1024]
"""A message as services write them, with signs and numbers that redaction looks at."""


def floor() -> Workload:
    """A dictionary, orjson and one write: what no logger can undercut."""
    import orjson

    names = {"dumps": orjson.dumps, "write": os.write, "ids": IDS, "time": time.time}
    return Statement(
        "write(1, dumps({'timestamp': time(), 'level': 'INFO', 'message': 'order "
        f"accepted', 'context': dict({FIELDS}), **ids}}) + b'\\n')",
        names,
    )


def structlog_logger(*, contextvars: bool = False) -> object:
    """
    Return a logger from structlog's fastest documented set-up.

    Args:
        contextvars: Whether the ids come from context variables, as they would in a
            service; bound to the logger they are cheaper.
    """
    import orjson
    import structlog

    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(),
    )
    if contextvars:
        structlog.contextvars.bind_contextvars(service="orders", **IDS)
        return structlog.get_logger()

    return structlog.get_logger().bind(service="orders", **IDS)


def structlog() -> Workload:
    """structlog, one line."""
    return Statement(
        f'log.info("order accepted", {FIELDS})', {"log": structlog_logger()}
    )


def structlog_contextvars() -> Workload:
    """Structlog with the ids in context variables, one line."""
    log = structlog_logger(contextvars=True)
    return Statement(f'log.info("order accepted", {FIELDS})', {"log": log})


def structlog_exception() -> Workload:
    """structlog, one exception."""
    return _failing('log.error("order failed", exc_info=True)', structlog_logger())


def structlog_disabled() -> Workload:
    """structlog, a level that is off."""
    return Statement(f'log.debug("looked", {FIELDS})', {"log": structlog_logger()})


def json_logger_lines() -> logging.Logger:
    """Return python-json-logger's orjson formatter behind stdlib logging, ids added."""
    from pythonjsonlogger.orjson import OrjsonFormatter

    return _through(
        OrjsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            static_fields={"service": "orders"},
        )
    )


def json_logger() -> Workload:
    """python-json-logger with orjson, one line."""
    return Statement(
        f'log.info("order accepted", {EXTRA})', {"log": json_logger_lines()}
    )


def json_logger_stdlib() -> Workload:
    """python-json-logger with the json module, which is its default."""
    from pythonjsonlogger.json import JsonFormatter

    log = _through(
        JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            static_fields={"service": "orders"},
        )
    )
    return Statement(f'log.info("order accepted", {EXTRA})', {"log": log})


def json_logger_exception() -> Workload:
    """python-json-logger, one exception."""
    return _failing('log.error("order failed", exc_info=True)', json_logger_lines())


def loguru() -> Workload:
    """Loguru serialising to standard output."""
    from loguru import logger

    logger.remove()
    logger.add(sys.stdout, serialize=True, level="INFO")
    logger.configure(extra={"service": "orders", **IDS})
    return Statement(f'log.info("order accepted", {FIELDS})', {"log": logger})


def powertools() -> Workload:
    """Powertools for AWS Lambda's logger with appended keys."""
    from aws_lambda_powertools import Logger

    log = Logger(service="orders", level="INFO")
    log.append_keys(**IDS)
    return Statement(f'log.info("order accepted", {FIELDS})', {"log": log})


def stdlib_disabled() -> Workload:
    """A level that is off, through stdlib logging."""
    return Statement(
        'log.debug("looked")', {"log": _through(logging.Formatter("%(message)s"))}
    )


def ours(settings: Mapping[str, object] = {}) -> Workload:
    """Svcready's own logger."""
    import svcready
    from benchmarks.subjects.ours import InRequest

    log = svcready.get_logger("orders")
    statement = f'log.info("order accepted", {FIELDS})'
    return InRequest(statement, {"log": log}, sampled=1.0, settings=settings)


def ours_long(settings: Mapping[str, object] = {}) -> Workload:
    """Svcready's own logger, a message of 1 KiB."""
    import svcready
    from benchmarks.subjects.ours import InRequest

    names = {"log": svcready.get_logger("orders"), "text": LONG_TEXT}
    statement = 'log.info("%s", text)'
    return InRequest(statement, names, sampled=1.0, settings=settings)


def ours_stdlib() -> Workload:
    """An unchanged stdlib logger after `init()`."""
    from benchmarks.subjects.ours import InRequest

    log = logging.getLogger("orders")
    statement = f'log.info("order accepted", {EXTRA})'
    return InRequest(statement, {"log": log}, sampled=1.0)


def ours_exception() -> Workload:
    """Svcready's own logger, one exception."""
    import svcready
    from benchmarks.subjects.ours import InRequest

    names = {"log": svcready.get_logger("orders"), "error": _caught()}
    statement = 'log.error("order failed", exc_info=error)'
    return InRequest(statement, names, sampled=1.0)


def ours_disabled() -> Workload:
    """Svcready's own logger, a level that is off."""
    import svcready
    from benchmarks.subjects.ours import InRequest

    log = svcready.get_logger("orders")
    return InRequest('log.debug("looked")', {"log": log}, sampled=1.0)


def _through(formatter: logging.Formatter) -> logging.Logger:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)

    def add_ids(record: logging.LogRecord) -> bool:
        record.__dict__.update(IDS)
        return True

    handler.addFilter(add_ids)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    return logging.getLogger("orders")


def _failing(statement: str, log: object) -> Workload:
    named = statement.replace("exc_info=True", "exc_info=error")
    return Statement(named, {"log": log, "error": _caught()})


def _caught() -> BaseException:
    try:
        fail()
    except ConnectionError as error:
        return error

    raise AssertionError
