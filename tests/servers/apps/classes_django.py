"""A service on Django with a route of each class, and one that holds its thread."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path
from django.views import View

import svcready

if TYPE_CHECKING:
    from django.http import HttpRequest

GATE = Path(os.environ["GATE"])


def plain(_: HttpRequest) -> JsonResponse:
    return JsonResponse({})


@svcready.priority("critical")
def critical(_: HttpRequest, number: int) -> JsonResponse:
    return JsonResponse({"number": number})


@svcready.priority("sheddable")
class Search(View):
    """Serves by a class."""

    def get(self, _: HttpRequest) -> JsonResponse:
        """Answer."""
        return JsonResponse({})


def wait() -> None:
    while not GATE.exists():
        time.sleep(0.01)


@svcready.priority("critical")
def held(_: HttpRequest) -> JsonResponse:
    wait()
    return JsonResponse({})


@svcready.priority("critical")
async def held_async(_: HttpRequest) -> JsonResponse:
    await asyncio.to_thread(wait)
    return JsonResponse({})


on_asgi = "DJANGO_ON_ASGI" in os.environ
urlpatterns = [
    path("plain", plain),
    path("orders/<int:number>", critical),
    path("search", Search.as_view()),
    path("held", held_async if on_asgi else held),
]
application = get_asgi_application() if on_asgi else get_wsgi_application()
