"""A bare WSGI application that is wrapped after `init()`, which knew nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import svcready

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment


def application(
    environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Answer everything alike."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]


svcready.init(service="wrapped")
app = svcready.wrap(application)
