"""An orders service on FastAPI and SQLAlchemy; svcready is its one call of `init`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import httpx
from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, PositiveInt
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

import svcready
from database import Order, create_tables, engine, session
from payments import charge, client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = svcready.get_logger(__name__)
orders_created = svcready.counter("orders_created", "Orders accepted")
orders_paid = svcready.counter(
    "orders_paid", "Attempts to pay an order", labels=("outcome",)
)

Session = Annotated[AsyncSession, Depends(session)]


class NewOrder(BaseModel):
    """What a customer sends."""

    item: str
    amount: PositiveInt
    """In cents."""


class OrderView(BaseModel):
    """What a customer gets back."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    item: str
    amount: int
    status: str
    receipt: str | None


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open and close what the service needs."""
    await create_tables()
    yield
    await client.aclose()
    await engine.dispose()


app = FastAPI(title="orders", lifespan=lifespan)
svcready.init(service="orders", version="1.0.0", app=app)
svcready.health.add_engine(engine, name="database", critical=True)


@app.post("/orders", status_code=201)
async def create(new: NewOrder, session: Session) -> OrderView:
    """Accept an order."""
    order = Order(item=new.item, amount=new.amount)
    session.add(order)
    await session.commit()
    orders_created.inc()
    log.info("order accepted", order_id=order.id, amount=order.amount)
    return OrderView.model_validate(order)


@app.get("/orders")
async def read_all(session: Session) -> list[OrderView]:
    """Return the newest orders."""
    found = await session.scalars(select(Order).order_by(Order.id.desc()).limit(100))
    return [OrderView.model_validate(order) for order in found]


@app.get("/orders/{order_id}")
async def read(order_id: int, session: Session) -> OrderView:
    """Return one order."""
    return OrderView.model_validate(await find(session, order_id))


@app.post("/orders/{order_id}/pay")
async def pay(order_id: int, session: Session) -> OrderView:
    """Pay an order, once."""
    order = await find(session, order_id)
    if order.status != "paid":
        order.receipt = await receipt_for(order)
        order.status = "paid"
        await session.commit()
        log.info("order paid", order_id=order.id, receipt=order.receipt)

    return OrderView.model_validate(order)


async def find(session: AsyncSession, order_id: int) -> Order:
    """Return the order, or answer 404."""
    order = await session.get(Order, order_id)
    if order is None:
        raise HTTPException(404, "no such order")

    return order


async def receipt_for(order: Order) -> str:
    """Charge the order, or answer 502 or 503."""
    try:
        receipt = await charge(order.id, order.amount)
    except svcready.errors.CircuitOpen as refusal:
        orders_paid.labels("refused").inc()
        wait = {"Retry-After": str(round(refusal.retry_after or 1) or 1)}
        raise HTTPException(503, "payments are down", wait) from refusal
    except httpx.HTTPError as error:
        orders_paid.labels("failed").inc()
        log.warning("payment failed", order_id=order.id, reason=type(error).__name__)
        raise HTTPException(502, "payment failed") from error

    orders_paid.labels("paid").inc()
    return receipt
