"""A service on Django that has troubles of each kind: URLs and both applications."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from tests.servers.apps import troubles

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.urls import URLPattern


def view(name: str, call: Callable[[], object]) -> URLPattern:
    def answer(_: HttpRequest) -> HttpResponse:
        call()
        return HttpResponse("done")

    return path(name, answer)


urlpatterns = [
    view("orders", troubles.order),
    view("boom", troubles.boom),
    view("warn", troubles.warn),
    view("thread", troubles.thread),
    view("task", lambda: asyncio.run(troubles.task())),
    view("unraisable", troubles.unraisable),
    view("others", troubles.others),
]
troubles.set_up()
on_asgi = "DJANGO_ON_ASGI" in os.environ
application = get_asgi_application() if on_asgi else get_wsgi_application()
