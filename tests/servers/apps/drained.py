"""A service whose end is watched: slow answers, a stream, a websocket."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from flask import Flask

import svcready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = svcready.get_logger("service")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Take a while to start, if that is asked for."""
    await asyncio.sleep(float(os.environ.get("START_TAKES_S", "0")))
    yield


app = FastAPI(lifespan=lifespan)
flask_app = Flask(__name__)
if "ON_FLASK" in os.environ:
    svcready.init(service="drained", app=flask_app)
else:
    svcready.init(service="drained", app=app)


@app.get("/plain")
async def plain() -> dict[str, int]:
    return {"pid": os.getpid()}


@app.get("/slow/{seconds}")
async def slow(seconds: float) -> dict[str, float]:
    await asyncio.sleep(seconds)
    return {"slept": seconds}


@app.get("/events")
async def events() -> StreamingResponse:
    """Send an event now and then, and a last word when it is time to leave."""

    async def body() -> AsyncIterator[bytes]:
        over = asyncio.ensure_future(svcready.health.until_ending())
        while not svcready.health.ending():
            yield b"data: tick\n\n"
            await asyncio.wait([over], timeout=0.05)

        yield b"data: bye\n\n"

    return StreamingResponse(body(), media_type="text/event-stream")


@app.websocket("/ws")
async def ws(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect as left:
        log.info("websocket ended", code=left.code)


@app.post("/drain")
async def drain() -> None:
    svcready.drain("1s")


@app.post("/resume")
async def resume() -> bool:
    return svcready.resume()


@flask_app.get("/plain")
def flask_plain() -> dict[str, int]:
    return {"pid": os.getpid()}


@flask_app.get("/slow/<float:seconds>")
def flask_slow(seconds: float) -> dict[str, float]:
    time.sleep(seconds)
    return {"slept": seconds}
