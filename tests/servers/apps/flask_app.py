"""The service under test on Flask."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
from flask import Blueprint, Flask, Response

import svcready
from tests.servers.apps.common import (
    CHUNK,
    CHUNK_PAUSE_S,
    CHUNKS,
    PEER_URL,
    instrument_clients,
    log,
    log_in_threads,
    trace_call,
    who,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

app = Flask(__name__)
for _ in range(3):  # once is all it takes; more must change nothing
    svcready.init(service="orders", version="1.2.3", app=app)

instrument_clients()


@app.get("/who")
def who_answers() -> dict[str, object]:
    return who()


@app.get("/orders/<int:order_id>")
def order(order_id: int) -> dict[str, int]:
    log.info("order read", order_id=order_id)
    time.sleep(0.02)
    log.info("order found", order_id=order_id)
    return {"order": order_id}


@app.get("/boom/<mark>")
def boom(mark: str) -> str:
    log.debug("about to fail with %s", mark)
    raise RuntimeError(mark)


@app.get("/late/<mark>")
def late(mark: str) -> Response:
    def body() -> Iterator[bytes]:
        yield CHUNK
        raise RuntimeError(mark)

    return Response(body())


@app.get("/downstream")
def downstream() -> dict[str, int]:
    with httpx.Client(trust_env=False) as client:
        response = client.get(f"{PEER_URL}/peer", extensions={"trace": trace_call})

    return {"status": response.status_code}


@app.get("/stream")
def stream() -> Response:
    def body() -> Iterator[bytes]:
        for _ in range(CHUNKS):
            time.sleep(CHUNK_PAUSE_S)
            yield CHUNK

        log.info("streamed")

    return Response(body())


@app.get("/endless")
def endless() -> Response:
    def body() -> Iterator[bytes]:
        while True:
            time.sleep(0.005)
            yield CHUNK

    return Response(body())


@app.get("/threads")
def threads() -> dict[str, bool]:
    log_in_threads()
    return {"done": True}


@app.get("/empty")
def empty() -> tuple[str, int]:
    return "", 204


@app.get("/unchanged")
def unchanged() -> tuple[str, int]:
    return "", 304


@app.get("/plain")
def plain() -> str:
    return "plain"


inner = Blueprint("inner", __name__, url_prefix="/v1")


@inner.get("/things/<int:thing_id>")
def thing(thing_id: int) -> dict[str, int]:
    return {"thing": thing_id}


outer = Blueprint("outer", __name__, url_prefix="/api")
outer.register_blueprint(inner)
app.register_blueprint(outer)

sub = Blueprint("sub", __name__, url_prefix="/sub/<tenant>")


@sub.get("/items/<int:item_id>")
def item(tenant: str, item_id: int) -> dict[str, object]:
    return {"item": item_id, "tenant": tenant}


app.register_blueprint(sub)
