"""A service on Django that limits its callers: URLs and both applications."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from asgiref.sync import iscoroutinefunction
from django.conf.urls.i18n import i18n_patterns
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.utils.decorators import sync_and_async_middleware

import svcready
from svcready.errors import AttemptTimeout, CircuitOpen, LoadShed
from tests.servers.apps.limited import is_wrong

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from django.http import HttpRequest


def move(request: HttpRequest) -> None:
    request.path_info = request.path_info.removeprefix("/v2")


@sync_and_async_middleware
def authenticates(get_response: Callable[[HttpRequest], Any]) -> Callable[..., Any]:
    async def answer_async(request: HttpRequest) -> Any:
        move(request)
        if is_wrong(request.headers.get("x-token")):
            return HttpResponse(status=401)

        return await get_response(request)

    def answer(request: HttpRequest) -> Any:
        move(request)
        if is_wrong(request.headers.get("x-token")):
            return HttpResponse(status=401)

        return get_response(request)

    return answer_async if iscoroutinefunction(get_response) else answer


def shared(_: HttpRequest, number: int) -> JsonResponse:
    return JsonResponse({"number": number})


@svcready.limit("2/hour", by="address", name="decorated")
def decorated(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"pressure": svcready.pressure()})


@svcready.limit("2/hour", by="address", name="decorated")
async def decorated_async(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"pressure": svcready.pressure()})


def read(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"bytes": len(request.body)})


def shed(_: HttpRequest) -> JsonResponse:
    raise LoadShed("shed", "full", retry_after=7)


async def shed_async(request: HttpRequest) -> JsonResponse:
    return shed(request)


def refused(_: HttpRequest) -> JsonResponse:
    raise CircuitOpen("payments", "open", 7)


async def late(_: HttpRequest) -> JsonResponse:
    raise AttemptTimeout("payments took too long")


@svcready.limit("1/hour", by="later", name="awaited")
def awaited(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"awaited": True})


ON_ASGI = "DJANGO_ON_ASGI" in os.environ
urlpatterns = [
    path("shared/<int:number>", shared),
    path("awaited", awaited),
    path("read", read),
    path("decorated", decorated_async if ON_ASGI else decorated),
    *i18n_patterns(path("local/<int:number>", shared), prefix_default_language=False),
    path("shed", shed_async if ON_ASGI else shed),
    path("refused", refused),
    path("late", late),
]
application = get_asgi_application() if ON_ASGI else get_wsgi_application()
