"""Everything that can go wrong in a service and has something to say, once each."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import warnings

import structlog
from loguru import logger as loguru_logger

import svcready
from svcready.logging import loguru_sink, structlog_processor

log = svcready.get_logger("service")

SAID = {
    "/orders": ["order read"],
    "/boom": ["unhandled exception: RuntimeError"],
    "/warn": ["it is old"],
    "/thread": ["uncaught exception in thread courier"],
    "/task": ["Task exception was never retrieved"],
    "/unraisable": ["exception ignored"],
    "/others": ["by structlog", "by loguru", "by stdlib"],
}
"""What each path has the process say, beside the access line."""


def set_up() -> None:
    """Join the other libraries' loggers, as the documentation shows."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog_processor]
    )
    loguru_logger.configure(handlers=[{"sink": loguru_sink, "level": 0}])


def order() -> None:
    """Do as a service should."""
    log.info("order read", order_id=1)


def boom() -> None:
    """Fail in the request."""
    raise RuntimeError("in the request")


def warn() -> None:
    """Warn, which by Python's rules is said once, however often this is called."""
    for _ in range(2):
        warnings.warn("it is old", RuntimeWarning, stacklevel=1)


def thread() -> None:
    """Let a thread die."""

    def fail() -> None:
        raise LookupError("in a thread")

    courier = threading.Thread(target=fail, name="courier")
    courier.start()
    courier.join()


async def task() -> None:
    """Let a task die whose exception nobody asks for."""

    async def fail() -> None:
        raise LookupError("in a task")

    lost = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del lost
    gc.collect()


def unraisable() -> None:
    """Fail where nobody can be told."""

    class Held:
        def __del__(self) -> None:
            raise LookupError("in a destructor")

    Held()
    gc.collect()


def others() -> None:
    """Log by other libraries."""
    structlog.get_logger().info("by structlog", order_id=1)
    loguru_logger.bind(order_id=1).info("by loguru")
    logging.getLogger("library").warning("by %s", "stdlib")
