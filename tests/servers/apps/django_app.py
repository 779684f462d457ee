"""The service under test on Django: settings, URLs and both applications in a file."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import httpx
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path

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
    from collections.abc import AsyncIterator, Iterator

    from django.http import HttpRequest

ON_ASGI = "DJANGO_ON_ASGI" in os.environ


def who_answers(_: HttpRequest) -> JsonResponse:
    return JsonResponse(who())


def order(_: HttpRequest, order_id: int) -> JsonResponse:
    log.info("order read", order_id=order_id)
    time.sleep(0.02)
    log.info("order found", order_id=order_id)
    return JsonResponse({"order": order_id})


async def order_async(_: HttpRequest, order_id: int) -> JsonResponse:
    log.info("order read", order_id=order_id)
    await asyncio.sleep(0.02)
    await asyncio.to_thread(log.info, "order found", order_id=order_id)
    return JsonResponse({"order": order_id})


def boom(_: HttpRequest, mark: str) -> JsonResponse:
    log.debug("about to fail with %s", mark)
    raise RuntimeError(mark)


def late(_: HttpRequest, mark: str) -> StreamingHttpResponse:
    def body() -> Iterator[bytes]:
        yield CHUNK
        raise RuntimeError(mark)

    async def body_async() -> AsyncIterator[bytes]:
        yield CHUNK
        raise RuntimeError(mark)

    return StreamingHttpResponse(body_async() if ON_ASGI else body())


def downstream(_: HttpRequest) -> JsonResponse:
    with httpx.Client(trust_env=False) as client:
        response = client.get(f"{PEER_URL}/peer", extensions={"trace": trace_call})

    return JsonResponse({"status": response.status_code})


def stream(_: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[bytes]:
        for _ in range(CHUNKS):
            time.sleep(CHUNK_PAUSE_S)
            yield CHUNK

        log.info("streamed")

    async def body_async() -> AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            await asyncio.sleep(CHUNK_PAUSE_S)
            yield CHUNK

        log.info("streamed")

    return StreamingHttpResponse(body_async() if ON_ASGI else body())


def endless(_: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[bytes]:
        while True:
            time.sleep(0.005)
            yield CHUNK

    async def body_async() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.005)
            yield CHUNK

    return StreamingHttpResponse(body_async() if ON_ASGI else body())


def threads(_: HttpRequest) -> JsonResponse:
    log_in_threads()
    return JsonResponse({"done": True})


def empty(_: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


def unchanged(_: HttpRequest) -> HttpResponse:
    return HttpResponse(status=304)


def plain(_: HttpRequest) -> HttpResponse:
    return HttpResponse(b"plain")


def thing(_: HttpRequest, **parts: object) -> JsonResponse:
    return JsonResponse({name: str(value) for name, value in parts.items()})


v1 = [path("things/<int:thing_id>", thing)]
api = [path("v1/", include((v1, "v1")))]
items = [path("items/<int:item_id>", thing)]

urlpatterns = [
    path("who", who_answers),
    path("orders/<int:order_id>", order_async if ON_ASGI else order),
    path("blocking/<int:order_id>", order),
    path("boom/<str:mark>", boom),
    path("late/<str:mark>", late),
    path("downstream", downstream),
    path("stream", stream),
    path("endless", endless),
    path("threads", threads),
    path("empty", empty),
    path("unchanged", unchanged),
    path("plain", plain),
    path("api/", include((api, "api"))),
    path("sub/<str:tenant>/", include((items, "items"))),
]
application = get_asgi_application() if ON_ASGI else get_wsgi_application()
instrument_clients()
