"""A service on Flask that can be kept busy for as long as a test wants."""

from __future__ import annotations

import os
import time
from pathlib import Path

from flask import Flask

import svcready

GATE = Path(os.environ.get("GATE", "/nonexistent"))
app = Flask(__name__)
runtime = svcready.init(service="gated", app=app)


@app.get("/who")
def who() -> dict[str, int]:
    time.sleep(0.01)
    return {"pid": os.getpid()}


@app.get("/gated")
def gated() -> dict[str, int]:
    while not GATE.exists():
        time.sleep(0.01)

    return {"pid": os.getpid()}
