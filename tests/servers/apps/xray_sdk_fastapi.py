"""The application for FastAPI; svcready is its last two lines."""

from __future__ import annotations

import asyncio

from aws_xray_sdk.core import xray_recorder
from fastapi import FastAPI

from tests.servers.apps.xray_sdk_common import find_price, pay, ship

app = FastAPI()


@xray_recorder.capture_async("look up")  # type: ignore[untyped-decorator]
async def look_up(item: str) -> int:
    await asyncio.sleep(0)
    async with xray_recorder.in_subsegment_async("find"):
        price: int = find_price(item)
        return price


@app.get("/orders/{item}")
async def order(item: str) -> dict[str, object]:
    xray_recorder.current_segment().set_user("u-1")
    prices = await asyncio.gather(look_up(item), look_up(item))
    return {"price": prices[0], "paid": pay(), "parts": ship(item)}


import svcready  # noqa: E402

svcready.init(service="orders", app=app)
