"""A service on FastAPI whose event loop can be blocked for as long as a test wants."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from fastapi import FastAPI

import svcready

GATE = Path(os.environ.get("GATE", "/nonexistent"))
app = FastAPI()
runtime = svcready.init(service="gated", app=app)


@app.get("/who")
async def who() -> dict[str, int]:
    await asyncio.sleep(0.01)
    return {"pid": os.getpid()}


def hold_the_loop() -> None:
    while not GATE.exists():
        time.sleep(0.01)


@app.get("/gated")
async def gated() -> dict[str, int]:
    hold_the_loop()
    return {"pid": os.getpid()}
