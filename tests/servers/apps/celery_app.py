"""The Celery application under test, with a broker in its own process."""

from __future__ import annotations

import warnings

from celery import Celery
from celery.signals import worker_ready
from celery.utils.log import get_task_logger

import svcready

svcready.init(service="orders")
log = svcready.get_logger("service")
app = Celery("orders", broker="memory://", backend="cache+memory://")
app.conf.broker_connection_retry_on_startup = True


@app.task  # type: ignore[untyped-decorator]
def work() -> None:
    log.info("by ours")
    get_task_logger(__name__).info("by a task logger")
    print("by print")
    warnings.warn("it is old", RuntimeWarning, stacklevel=1)


@app.task  # type: ignore[untyped-decorator]
def fail() -> None:
    raise LookupError("in a task")


@worker_ready.connect  # type: ignore[untyped-decorator]
def begin(**_: object) -> None:
    work.delay()
    fail.delay()
