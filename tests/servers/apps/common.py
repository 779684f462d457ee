"""What the services under test have in common, whatever their framework."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import svcready

PEER_URL = os.environ.get("PEER_URL", "http://127.0.0.1:9")
CHUNKS = 4
CHUNK = b"x" * 1000
CHUNK_PAUSE_S = 0.03

log = svcready.get_logger("service")
pages = svcready.counter("test_imports", "Times that the service was imported")
pages.inc()
pool = ThreadPoolExecutor(1, "service-pool")


def instrument_clients() -> None:
    """
    Have httpx traced.

    The import is here because OpenTelemetry raises in it, if OTEL_PROPAGATORS is
    wrong and `init()` has not been called yet.
    """
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    HTTPXClientInstrumentor().instrument()


def who() -> dict[str, object]:
    """Say which process this is; slowly, so that the next one asks another."""
    time.sleep(0.01)
    log.debug("asked who", pid=os.getpid())
    return {"pid": os.getpid()}


def log_in_threads() -> None:
    """Log in each kind of thread that a handler may start."""
    copied = contextvars.copy_context()
    thread = threading.Thread(target=copied.run, args=(log.info, "in copied thread"))
    thread.start()
    thread.join()
    copied = contextvars.copy_context()
    pool.submit(copied.run, log.info, "in copied pool").result()
    pool.submit(log.info, "in bare pool").result()


def trace_call(name: str, info: object) -> None:
    """Log while the instrumented client's own span is the current one."""
    del info
    if name == "http11.send_request_headers.started":
        log.info("inside the client")


async def trace_call_async(name: str, info: object) -> None:
    """Log while the instrumented client's own span is the current one."""
    trace_call(name, info)
