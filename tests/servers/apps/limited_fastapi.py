"""A service on FastAPI that limits its callers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

import svcready
from tests.servers.apps.limited import is_wrong

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


def authenticates(app: ASGIApp) -> ASGIApp:
    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_wrong(Headers(scope=scope).get("x-token")):
            await PlainTextResponse("", 401)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return middleware


app = FastAPI()
app.add_middleware(authenticates)
svcready.init(service="limited", app=app)


@app.get("/shared/{number}")
def shared(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/decorated")
@svcready.limit("2/hour", by="address", name="decorated")
async def decorated() -> dict[str, float]:
    return {"pressure": svcready.pressure()}


@app.get("/awaited")
@svcready.limit("1/hour", by="later", name="awaited")
def awaited() -> dict[str, bool]:
    return {"awaited": True}
