"""A FastAPI service whose traces go to X-Ray; its settings come by variables."""

from __future__ import annotations

import threading

from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.trace import SpanKind

import svcready

app = FastAPI()
svcready.init(service="orders", version="1.4.2", app=app)
_go_on = threading.Event()


@app.get("/orders/{order_id}")
def read_order(order_id: int) -> dict[str, int]:
    with svcready.span("look up"):
        svcready.annotate(order_id=order_id)
        svcready.metadata("shop", {"basket": {"items": 3}})
        attributes = {
            "db.system.name": "postgresql",
            "db.namespace": "shop",
            "db.query.text": "SELECT * FROM orders WHERE id = $1",
            "server.address": "db.local",
        }
        tracer = trace.get_tracer("driver")
        with tracer.start_as_current_span(
            "SELECT orders", kind=SpanKind.CLIENT, attributes=attributes
        ):
            return {"id": order_id}


@app.get("/fails")
def fail() -> None:
    try:
        raise LookupError("no stock")
    except LookupError as error:
        raise RuntimeError("cannot be sent") from error


@app.get("/slow")
def wait() -> None:
    _go_on.wait(30)
    _go_on.clear()


@app.get("/go-on")
def go_on() -> None:
    _go_on.set()
