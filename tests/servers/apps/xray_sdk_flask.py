"""The application for Flask; svcready is its last two lines."""

from __future__ import annotations

from aws_xray_sdk.core import xray_recorder
from aws_xray_sdk.ext.flask.middleware import XRayMiddleware
from flask import Flask

from tests.servers.apps.xray_sdk_common import find_price, pay, ship

app = Flask(__name__)
XRayMiddleware(app, xray_recorder)


@app.get("/orders/<item>")
def order(item: str) -> dict[str, object]:
    xray_recorder.current_segment().set_user("u-1")
    return {"price": find_price(item), "paid": pay(), "parts": ship(item)}


import svcready  # noqa: E402

svcready.init(service="orders", app=app)
