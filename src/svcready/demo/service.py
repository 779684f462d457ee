"""
The orders service of `svcready demo`: an example to copy from.

A FastAPI service that keeps orders in SQLite and has another service charge for them.
`svcready.init()` in `create_app` is all that production asks of it; the rest of what
names `svcready` here is what an author adds to say more.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import asynccontextmanager, closing
from functools import cache
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from opentelemetry.propagate import inject
from pydantic import BaseModel, Field

import svcready
from svcready.errors import CircuitOpen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import Request

_SCHEMA = "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, body TEXT NOT NULL)"
_PAYMENTS_TIMEOUT_S = 0.25
_DATABASE_TIMEOUT_S = 0.1

log = svcready.get_logger(__name__)
accepted = svcready.counter("orders_accepted", "Orders accepted.", labels=("kind",))
charging = svcready.timer("payment_time", "Time to charge for an order, retries too.")
router = APIRouter()


class NewOrder(BaseModel):
    """What a customer asks for."""

    item: str = Field(min_length=1, max_length=80)
    kind: str = Field("retail", pattern="retail|wholesale")
    quantity: int = Field(ge=0, le=1000)
    total: float = Field(ge=0)


class Order(NewOrder):
    """An order that was paid for."""

    id: str
    receipt: str


class Store:
    """
    Keeps orders in a SQLite file.

    Args:
        path: The file; it is made if it is not there.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with self._connect() as connection:
            connection.execute(_SCHEMA)

    def save(self, order: Order) -> None:
        """Keep an order."""
        with self._connect() as connection, connection:
            row = (order.id, order.model_dump_json())
            connection.execute("INSERT INTO orders VALUES (?, ?)", row)

    def get(self, order_id: str) -> Order | None:
        """Return an order, or None if there is none of that id."""
        with self._connect() as connection:
            query = "SELECT body FROM orders WHERE id = ?"
            row = connection.execute(query, (order_id,)).fetchone()

        return None if row is None else Order.model_validate_json(row[0])

    def latest(self, count: int) -> list[Order]:
        """Return the orders that came last."""
        with self._connect() as connection:
            query = "SELECT body FROM orders ORDER BY rowid DESC LIMIT ?"
            rows = connection.execute(query, (count,)).fetchall()

        return [Order.model_validate_json(row[0]) for row in rows]

    def _connect(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._path, timeout=_DATABASE_TIMEOUT_S))


@cache
def store() -> Store:
    """Return the one store."""
    return Store(os.environ["ORDERS_DATABASE"])


@cache
def payments() -> httpx.AsyncClient:
    """Return the one client of the payments service."""
    base_url = os.environ["PAYMENTS_URL"]
    return httpx.AsyncClient(base_url=base_url, timeout=_PAYMENTS_TIMEOUT_S)


@svcready.health.check("database", critical=True)
def database_is_reachable() -> None:
    """Read from the database: without it no request can be answered."""
    store().latest(1)


@svcready.health.check("payments")
async def payments_answer() -> None:
    """Ask the payments service, whose absence leaves every other route working."""
    (await payments().get("/status")).raise_for_status()


@charging
@svcready.retry("payments", on=httpx.HTTPError)
@svcready.circuit_breaker("payments")
async def charge(order_id: str, total: float) -> str:
    """Have the payments service charge for an order, and return the receipt."""
    with svcready.span("charge"):
        svcready.annotate(order_id=order_id, total=total)
        headers = {"Idempotency-Key": order_id}
        inject(headers)  # the trace goes on in the other service
        body = {"order": order_id, "total": total}
        response = await payments().post("/charges", json=body, headers=headers)
        response.raise_for_status()
        return str(response.json()["receipt"])


@router.post("/orders", status_code=201)
async def create(new: NewOrder) -> Order:
    """Charge for an order and keep it."""
    order_id = uuid4().hex[:12]
    log.info("order received", order_id=order_id, item=new.item, total=new.total)
    try:
        receipt = await charge(order_id, new.total)
    except (CircuitOpen, httpx.HTTPError) as error:
        why = type(error).__name__
        log.warning("order refused, not paid", order_id=order_id, why=why)
        retry_after = {"Retry-After": "1"}
        raise HTTPException(503, "payments are down", retry_after) from error

    order = Order(**new.model_dump(), id=order_id, receipt=receipt)
    with svcready.span("save order"):
        await run_in_threadpool(store().save, order)

    accepted.labels(order.kind).inc()
    log.info("order accepted", order_id=order_id, receipt=receipt)
    return order


@router.get("/orders")
def list_latest(count: int = 10) -> list[Order]:
    """List the orders that came last."""
    return store().latest(count)


@router.get("/orders/{order_id}")
def get(order_id: str) -> Order:
    """Return one order."""
    order = store().get(order_id)
    if order is None:
        raise HTTPException(404, "no such order")

    return order


@router.get("/orders/{order_id}/invoice")
def invoice(order_id: str) -> dict[str, str | float]:
    """Return what one piece of an order costs; fails for none, as bugs do."""
    order = get(order_id)
    return {"item": order.item, "each": order.total / order.quantity}


async def database_failed(_: Request, error: Exception) -> JSONResponse:
    """Answer a request whose database did not."""
    log.error("database failed", why=str(error))
    return JSONResponse({"detail": "the database is down"}, 503)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open what requests need, and close it again."""
    store()
    async with payments():
        yield


def create_app() -> FastAPI:
    """Make the application, ready for production."""
    app = FastAPI(title="orders", lifespan=lifespan)
    svcready.init(service="orders", version="1.4.2", app=app)
    app.include_router(router)
    app.add_exception_handler(sqlite3.OperationalError, database_failed)
    logging.getLogger("httpx").setLevel("WARNING")  # it has a line for every request
    return app
