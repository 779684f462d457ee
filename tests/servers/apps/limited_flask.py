"""A service on Flask that limits its callers."""

from __future__ import annotations

from flask import Flask, request

import svcready
from tests.servers.apps.limited import is_wrong

app = Flask(__name__)
svcready.init(service="limited", app=app)


@app.before_request
def authenticate() -> tuple[str, int] | None:
    return ("", 401) if is_wrong(request.headers.get("x-token")) else None


@app.get("/shared/<int:number>")
def shared(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/decorated")
@svcready.limit("2/hour", by="address", name="decorated")
def decorated() -> dict[str, float]:
    return {"pressure": svcready.pressure()}


@app.post("/read")
def read() -> dict[str, int]:
    return {"bytes": len(request.get_data())}
