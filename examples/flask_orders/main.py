"""An orders service on Flask; svcready is its one call of `init`."""

from __future__ import annotations

import httpx
from flask import Flask, abort, request
from flask.typing import ResponseReturnValue

import database
import svcready
from payments import charge

log = svcready.get_logger(__name__)
orders_created = svcready.counter("orders_created", "Orders accepted")
orders_paid = svcready.counter(
    "orders_paid", "Attempts to pay an order", labels=("outcome",)
)

app = Flask(__name__)
svcready.init(service="orders", version="1.0.0", app=app)
database.create_tables()


@svcready.health.check("database", critical=True)
def database_answers() -> None:
    """Ask the database for nothing; readiness fails while that fails."""
    database.ping()


@app.post("/orders")
def create() -> ResponseReturnValue:
    """Accept an order."""
    sent = request.get_json()
    item, amount = sent.get("item"), sent.get("amount")
    if not isinstance(item, str) or not isinstance(amount, int) or amount <= 0:
        return {"detail": "item is a text, amount a positive number of cents"}, 422

    order = database.add(item, amount)
    orders_created.inc()
    log.info("order accepted", order_id=order["id"], amount=amount)
    return order, 201


@app.get("/orders")
def read_all() -> ResponseReturnValue:
    """Return the newest orders."""
    return database.newest()


@app.get("/orders/<int:order_id>")
def read(order_id: int) -> ResponseReturnValue:
    """Return one order."""
    return database.get(order_id) or abort(404)


@app.post("/orders/<int:order_id>/pay")
def pay(order_id: int) -> ResponseReturnValue:
    """Pay an order, once."""
    order = database.get(order_id) or abort(404)
    if order["status"] == "paid":
        return order

    try:
        receipt = charge(order_id, int(str(order["amount"])))
    except svcready.errors.CircuitOpen as refusal:
        orders_paid.labels("refused").inc()
        wait = {"Retry-After": str(round(refusal.retry_after or 1) or 1)}
        return {"detail": "payments are down"}, 503, wait
    except httpx.HTTPError as error:
        orders_paid.labels("failed").inc()
        log.warning("payment failed", order_id=order_id, reason=type(error).__name__)
        return {"detail": "payment failed"}, 502

    orders_paid.labels("paid").inc()
    database.mark_paid(order_id, receipt)
    log.info("order paid", order_id=order_id, receipt=receipt)
    return {**order, "status": "paid", "receipt": receipt}
