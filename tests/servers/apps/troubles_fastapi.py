"""A service on FastAPI that has troubles of each kind."""

from __future__ import annotations

from fastapi import FastAPI

import svcready
from tests.servers.apps import troubles

app = FastAPI()
svcready.init(service="orders", app=app)
troubles.set_up()


@app.get("/orders")
async def orders() -> None:
    troubles.order()


@app.get("/boom")
async def boom() -> None:
    troubles.boom()


@app.get("/warn")
async def warn() -> None:
    troubles.warn()


@app.get("/thread")
async def thread() -> None:
    troubles.thread()


@app.get("/task")
async def task() -> None:
    await troubles.task()


@app.get("/unraisable")
async def unraisable() -> None:
    troubles.unraisable()


@app.get("/others")
def others() -> None:
    troubles.others()


if __name__ == "__main__":
    import sys

    import uvicorn

    uvicorn.run(app, port=int(sys.argv[1]))
