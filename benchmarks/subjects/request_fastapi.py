"""One FastAPI route: bare, under svcready, under the peer stack and under logfire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

from benchmarks.drivers import AsgiRequests

if TYPE_CHECKING:
    from collections.abc import Callable


def make_app() -> FastAPI:
    """Return the application that everyone instruments."""
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> dict[str, int]:
        return {"id": item_id}

    return app


def bare() -> AsgiRequests:
    """Nothing but the framework."""
    return AsgiRequests(make_app())


def ours(sampled: float) -> AsgiRequests:
    """One call of `svcready.init`."""
    from benchmarks.subjects.ours import start

    app = make_app()
    flush = start(app, sampled)
    return AsgiRequests(app, flush=flush)


def our_probe() -> AsgiRequests:
    """The liveness endpoint, which the adapter answers."""
    from benchmarks.subjects.ours import start

    app = make_app()
    flush = start(app)
    return AsgiRequests(app, path="/health/liveness", flush=flush)


def route_probe() -> AsgiRequests:
    """A liveness endpoint as an ordinary route of a bare application."""
    app = make_app()

    @app.get("/health/liveness")
    async def liveness() -> dict[str, str]:
        return {"status": "pass"}

    return AsgiRequests(app, path="/health/liveness")


def peer_stack(sampled: float) -> AsgiRequests:
    """Each peer with its defaults and a pure ASGI access line."""
    from benchmarks.subjects.access_line import AccessLine

    app = make_app()
    app.add_middleware(AccessLine)
    return AsgiRequests(app, flush=instrument(app, sampled))


def peer_stack_usual(sampled: float) -> AsgiRequests:
    """The same with the access line that tutorials show."""
    from benchmarks.subjects.access_line import usual_access_line

    app = make_app()
    app.middleware("http")(usual_access_line())
    return AsgiRequests(app, flush=instrument(app, sampled))


def peer_stack_tuned(sampled: float) -> AsgiRequests:
    """No send and receive spans, one latency histogram, ids taken unchecked."""
    from asgi_correlation_id import CorrelationIdMiddleware
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from prometheus_fastapi_instrumentator import Instrumentator, metrics

    from benchmarks.subjects.access_line import AccessLine
    from benchmarks.subjects.peer_stack import start_logging, start_tracing

    start_logging()
    app = make_app()
    app.add_middleware(AccessLine)
    app.add_middleware(CorrelationIdMiddleware, validator=None, transformer=None)
    Instrumentator().add(metrics.latency()).instrument(app).expose(app)
    flush = start_tracing(sampled)
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
    return AsgiRequests(app, flush=flush)


def instrument(app: FastAPI, sampled: float) -> Callable[[], object]:
    """Add JSON logs, correlation ids, metrics and tracing with their defaults."""
    from asgi_correlation_id import CorrelationIdMiddleware
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from prometheus_fastapi_instrumentator import Instrumentator

    from benchmarks.subjects.peer_stack import start_logging, start_tracing

    start_logging()
    app.add_middleware(CorrelationIdMiddleware)
    Instrumentator().instrument(app).expose(app)
    flush = start_tracing(sampled)
    FastAPIInstrumentor.instrument_app(app)
    return flush


def logfire(sampled: float) -> AsgiRequests:
    """Logfire sending to an own collector, without a console or a log line."""
    from benchmarks.subjects.logfire_setup import start_logfire

    app = make_app()
    return AsgiRequests(app, flush=start_logfire(app, sampled))
