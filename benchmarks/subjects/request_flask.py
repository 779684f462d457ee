"""One Flask route: bare, under svcready and under the peer stack."""

from __future__ import annotations

import logging
import time
import uuid
from typing import TYPE_CHECKING

from flask import Flask, g, request

from benchmarks.drivers import WsgiRequests

if TYPE_CHECKING:
    from flask import Response


def make_app() -> Flask:
    """Return the application that everyone instruments."""
    app = Flask("orders")

    @app.get("/items/<int:item_id>")
    def item(item_id: int) -> dict[str, int]:
        return {"id": item_id}

    return app


def bare() -> WsgiRequests:
    """Nothing but the framework."""
    return WsgiRequests(make_app())


def ours(sampled: float) -> WsgiRequests:
    """One call of `svcready.init`."""
    from benchmarks.subjects.ours import start

    app = make_app()
    flush = start(app, sampled)
    return WsgiRequests(app, flush=flush)


def peer_stack(sampled: float) -> WsgiRequests:
    """
    Each peer with its defaults; ids and the access line by a pair of hooks.

    The published request-id extension for Flask does not import under Flask 3, so the
    id is what everyone writes instead, which is also the cheapest.
    """
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from prometheus_flask_exporter import PrometheusMetrics

    from benchmarks.subjects.peer_stack import (
        start_logging,
        start_tracing,
        trace_fields,
    )

    app = make_app()
    start_logging()
    log = logging.getLogger("access")
    flush = start_tracing(sampled)
    FlaskInstrumentor().instrument_app(app)
    PrometheusMetrics(app)

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        g.request_id = request.headers.get("X-Request-ID") or uuid.uuid4().hex

    @app.after_request
    def finish(response: Response) -> Response:
        rule = request.url_rule
        log.info(
            "request",
            extra={
                "method": request.method,
                "route": rule.rule if rule else "",
                "status": response.status_code,
                "duration_ms": (time.perf_counter() - g.started) * 1e3,
                "request_id": g.request_id,
                **trace_fields(),
            },
        )
        response.headers["X-Request-ID"] = g.request_id
        return response

    return WsgiRequests(app, flush=flush)
