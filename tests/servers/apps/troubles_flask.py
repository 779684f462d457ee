"""A service on Flask that has troubles of each kind."""

from __future__ import annotations

import asyncio

from flask import Flask

import svcready
from tests.servers.apps import troubles

app = Flask(__name__)
svcready.init(service="orders", app=app)
troubles.set_up()

CALLS = {
    "/orders": troubles.order,
    "/boom": troubles.boom,
    "/warn": troubles.warn,
    "/thread": troubles.thread,
    "/task": lambda: asyncio.run(troubles.task()),
    "/unraisable": troubles.unraisable,
    "/others": troubles.others,
}


@app.get("/<name>")
def call(name: str) -> str:
    CALLS[f"/{name}"]()
    return "done"
