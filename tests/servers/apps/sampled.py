"""The service whose workers share what is sampled."""

from __future__ import annotations

import os
import time

from flask import Flask

import svcready

app = Flask(__name__)
runtime = svcready.init(service="sampled", app=app)


@app.get("/who")
def who() -> dict[str, int]:
    time.sleep(0.01)
    return {"pid": os.getpid()}


@app.get("/sampling")
def sampling() -> dict[str, object]:
    return {"sampling": runtime.tracing.describe()["sampling"]}


@app.get("/hit")
def hit() -> dict[str, int]:
    return {"pid": os.getpid()}
