"""A service on Flask that limits its callers."""

from __future__ import annotations

from flask import Flask

import svcready
from tests.servers.apps import limited  # noqa: F401 - declares the resolver

app = Flask(__name__)
svcready.init(service="limited", app=app)


@app.get("/shared/<int:number>")
def shared(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/decorated")
@svcready.limit("2/hour", by="address", name="decorated")
def decorated() -> dict[str, float]:
    return {"pressure": svcready.pressure()}
