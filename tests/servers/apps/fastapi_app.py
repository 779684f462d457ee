"""The service under test on FastAPI."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING

import httpx
from fastapi import APIRouter, BackgroundTasks, FastAPI, Response, WebSocket
from fastapi.responses import StreamingResponse

import svcready
from tests.servers.apps.common import (
    CHUNK,
    CHUNK_PAUSE_S,
    CHUNKS,
    PEER_URL,
    instrument_clients,
    log,
    log_in_threads,
    trace_call_async,
    who,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = FastAPI()
for _ in range(3):  # once is all it takes; more must change nothing
    svcready.init(service="orders", version="1.2.3", app=app)

instrument_clients()


@app.get("/who")
async def who_answers() -> dict[str, object]:
    return who()


@app.get("/orders/{order_id}")
async def order(order_id: int) -> dict[str, int]:
    log.info("order read", order_id=order_id)
    await asyncio.sleep(0.02)
    await asyncio.to_thread(log.info, "order found", order_id=order_id)
    return {"order": order_id}


@app.get("/blocking/{order_id}")
def blocking(order_id: int) -> dict[str, int]:
    log.info("order read", order_id=order_id)
    return {"order": order_id}


@app.get("/boom/{mark}")
async def boom(mark: str) -> None:
    log.debug("about to fail with %s", mark)
    raise RuntimeError(mark)


@app.get("/late/{mark}")
async def late(mark: str) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        yield CHUNK
        raise RuntimeError(mark)

    return StreamingResponse(body())


@app.get("/downstream")
async def downstream() -> dict[str, int]:
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(
            f"{PEER_URL}/peer", extensions={"trace": trace_call_async}
        )
    return {"status": response.status_code}


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            await asyncio.sleep(CHUNK_PAUSE_S)
            yield CHUNK

        log.info("streamed")

    return StreamingResponse(body())


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.005)
            yield CHUNK

    return StreamingResponse(body())


@app.get("/background")
async def background(tasks: BackgroundTasks) -> dict[str, bool]:
    async def later() -> None:
        await asyncio.sleep(0.1)
        log.info("in the background")

    tasks.add_task(later)
    return {"accepted": True}


@app.get("/threads")
async def threads() -> dict[str, bool]:
    await asyncio.to_thread(log.info, "in to_thread")
    loop = asyncio.get_running_loop()
    copied = contextvars.copy_context()
    await loop.run_in_executor(None, copied.run, log.info, "in executor")
    await asyncio.to_thread(log_in_threads)
    return {"done": True}


@app.get("/empty", status_code=204)
async def empty() -> Response:
    return Response(status_code=204)


@app.get("/unchanged")
async def unchanged() -> Response:
    return Response(status_code=304)


@app.api_route("/plain", methods=["GET", "HEAD"])
async def plain() -> Response:
    return Response(b"plain")


@app.websocket("/ws/{room}")
async def ws(websocket: WebSocket, room: str) -> None:
    await websocket.accept()
    text = await websocket.receive_text()
    log.info("said in a room", room=room)
    await websocket.send_text(text)
    await websocket.close()


inner = APIRouter(prefix="/v1")


@inner.get("/things/{thing_id}")
async def thing(thing_id: int) -> dict[str, int]:
    return {"thing": thing_id}


outer = APIRouter(prefix="/api")
outer.include_router(inner)
app.include_router(outer)

sub = FastAPI()


@sub.get("/items/{item_id}")
async def item(item_id: int) -> dict[str, int]:
    return {"item": item_id}


app.mount("/sub/{tenant}", sub)
