"""A service on FastAPI that limits its callers."""

from __future__ import annotations

from fastapi import FastAPI

import svcready
from tests.servers.apps import limited  # noqa: F401 - declares the resolver

app = FastAPI()
svcready.init(service="limited", app=app)


@app.get("/shared/{number}")
def shared(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/decorated")
@svcready.limit("2/hour", by="address", name="decorated")
async def decorated() -> dict[str, float]:
    return {"pressure": svcready.pressure()}
