"""A service on FastAPI that serves five at a time, 50 ms each: a hundred a second."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI

import svcready

AT_A_TIME = 5
TAKES_S = 0.05
app = FastAPI()
svcready.init(service="overloaded", app=app)
places = asyncio.Semaphore(AT_A_TIME)


async def work() -> dict[str, bool]:
    async with places:
        await asyncio.sleep(TAKES_S)

    return {"done": True}


@app.post("/orders/{number}")
@svcready.priority("critical")
async def order(number: int) -> dict[str, bool]:
    del number
    return await work()


@app.get("/items/{number}")
async def item(number: int) -> dict[str, bool]:
    del number
    return await work()


@svcready.priority("sheddable")
@app.get("/search")
async def search() -> dict[str, bool]:
    return await work()
