"""A request that works: three inner spans, five lines, two metrics, breaker, retry."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from fastapi import FastAPI

from benchmarks.drivers import AsgiRequests

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Handler = Callable[[int], Awaitable[dict[str, int]]]


def serve(handler: Handler) -> FastAPI:
    """Return an application whose one route is the handler."""
    app = FastAPI()
    app.get("/items/{item_id}")(handler)
    return app


def bare() -> AsgiRequests:
    """The same call, with nothing that observes or guards it."""

    async def charge(amount: int) -> int:
        return amount

    async def handler(item_id: int) -> dict[str, int]:
        return {"id": await charge(item_id)}

    return AsgiRequests(serve(handler))


def ours(sampled: float) -> AsgiRequests:
    """Everything from svcready."""
    import svcready
    from benchmarks.subjects.ours import start

    log = svcready.get_logger("orders")
    accepted = svcready.counter("orders_accepted", "Orders", labels=("kind",))
    sizes = svcready.histogram("order_size", "Items", labels=("kind",))
    retail, retail_size = accepted.labels("retail"), sizes.labels("retail")

    @svcready.retry("payments", on=ConnectionError)
    @svcready.circuit_breaker("payments")
    async def charge(amount: int) -> int:
        return amount

    async def handler(item_id: int) -> dict[str, int]:
        log.info("order received", order_id=item_id, kind="retail")
        with svcready.span("validate"):
            log.info("order valid", order_id=item_id, items=3)

        with svcready.span("price"):
            log.info("order priced", order_id=item_id, total=42)

        with svcready.span("charge"):
            paid = await charge(item_id)
            log.info("order charged", order_id=item_id, total=42)

        retail.inc()
        retail_size.observe(3)
        log.info("order accepted", order_id=item_id, kind="retail")
        return {"id": paid}

    app = serve(handler)
    flush = start(app, sampled)
    return AsgiRequests(app, flush=flush)


def peer_stack(sampled: float) -> AsgiRequests:
    """The peer stack with OTel spans, python-json-logger lines and stamina."""
    from opentelemetry import trace

    from benchmarks.subjects.access_line import AccessLine
    from benchmarks.subjects.request_fastapi import instrument

    tracer = trace.get_tracer("orders")
    logger = logging.getLogger("orders")

    def log(message: str, **fields: object) -> None:
        logger.info(message, extra=fields)

    app = serve(_peers_handler(tracer.start_as_current_span, log))
    app.add_middleware(AccessLine)
    flush = instrument(app, sampled)
    # Ids come onto each line by a filter, as both projects' documentation has it.
    logging.getLogger().handlers[0].addFilter(_add_ids)
    return AsgiRequests(app, flush=flush)


def logfire(sampled: float) -> AsgiRequests:
    """Logfire's spans and lines; metrics and policies as in the peer stack."""
    import logfire

    from benchmarks.subjects.logfire_setup import start_logfire

    app = serve(_peers_handler(logfire.span, logfire.info))
    return AsgiRequests(app, flush=start_logfire(app, sampled))


def _peers_handler(
    span: Callable[[str], AbstractContextManager[object]], log: Callable[..., None]
) -> Handler:
    import stamina
    from circuitbreaker import circuit
    from prometheus_client import Counter, Histogram

    accepted = Counter("orders_accepted", "Orders", ("kind",)).labels("retail")
    sizes = Histogram("order_size", "Items", ("kind",)).labels("retail")

    @stamina.retry(on=ConnectionError)
    @circuit(name="payments")
    async def charge(amount: int) -> int:
        return amount

    async def handler(item_id: int) -> dict[str, int]:
        log("order received", order_id=item_id, kind="retail")
        with span("validate"):
            log("order valid", order_id=item_id, items=3)

        with span("price"):
            log("order priced", order_id=item_id, total=42)

        with span("charge"):
            paid = await charge(item_id)
            log("order charged", order_id=item_id, total=42)

        accepted.inc()
        sizes.observe(3)
        log("order accepted", order_id=item_id, kind="retail")
        return {"id": paid}

    return handler


def _add_ids(record: logging.LogRecord) -> bool:
    from asgi_correlation_id import correlation_id

    from benchmarks.subjects.peer_stack import trace_fields

    if not hasattr(record, "trace_id"):
        record.__dict__.update(trace_fields(), request_id=correlation_id.get())

    return True
