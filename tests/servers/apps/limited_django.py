"""A service on Django that limits its callers: URLs and both applications."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

import svcready
from svcready.errors import LoadShed
from tests.servers.apps import limited  # noqa: F401 - declares the resolver

if TYPE_CHECKING:
    from django.http import HttpRequest


def shared(_: HttpRequest, number: int) -> JsonResponse:
    return JsonResponse({"number": number})


@svcready.limit("2/hour", by="address", name="decorated")
def decorated(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"pressure": svcready.pressure()})


@svcready.limit("2/hour", by="address", name="decorated")
async def decorated_async(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"pressure": svcready.pressure()})


def shed(_: HttpRequest) -> JsonResponse:
    raise LoadShed("shed", "full", retry_after=7)


async def shed_async(request: HttpRequest) -> JsonResponse:
    return shed(request)


ON_ASGI = "DJANGO_ON_ASGI" in os.environ
urlpatterns = [
    path("shared/<int:number>", shared),
    path("decorated", decorated_async if ON_ASGI else decorated),
    path("shed", shed_async if ON_ASGI else shed),
]
application = get_asgi_application() if ON_ASGI else get_wsgi_application()
