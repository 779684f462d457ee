"""One Django route over WSGI: bare, under svcready and under the peer stack."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import JsonResponse
from django.urls import path

from benchmarks.drivers import WsgiRequests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.http import HttpRequest, HttpResponse


def item(_request: HttpRequest, item_id: int) -> JsonResponse:
    """Answer one item."""
    return JsonResponse({"id": item_id})


urlpatterns = [path("items/<int:item_id>", item)]


def configure(
    apps: Sequence[str] = (), middleware: Sequence[str] = (), **more: object
) -> None:
    """Be the settings module of the application that everyone instruments."""
    settings.configure(
        SECRET_KEY="for benchmarks",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        LOGGING_CONFIG=None,
        INSTALLED_APPS=list(apps),
        MIDDLEWARE=list(middleware),
        **more,
    )


def make_app() -> WSGIHandler:
    """Do what `get_wsgi_application` does."""
    django.setup()
    return WSGIHandler()


def bare() -> WsgiRequests:
    """Nothing but the framework."""
    configure()
    return WsgiRequests(make_app())


def ours(sampled: float) -> WsgiRequests:
    """The three lines that Django takes."""
    from benchmarks.subjects.ours import start

    flush = start(sampled=sampled)
    configure(
        apps=["svcready.adapters.django"],
        middleware=["svcready.adapters.django.Middleware"],
    )
    return WsgiRequests(make_app(), flush=flush)


def peer_stack(sampled: float) -> WsgiRequests:
    """Each peer with its defaults; django-guid for ids; one line by a middleware."""
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    from benchmarks.subjects.peer_stack import start_logging, start_tracing

    configure(
        apps=["django_prometheus", "django_guid"],
        middleware=[
            "django_prometheus.middleware.PrometheusBeforeMiddleware",
            "django_guid.middleware.guid_middleware",
            f"{__name__}.access_line",
            "django_prometheus.middleware.PrometheusAfterMiddleware",
        ],
        DJANGO_GUID={"RETURN_HEADER": True, "UUID_LENGTH": 32},
    )
    start_logging()
    flush = start_tracing(sampled)
    DjangoInstrumentor().instrument()
    return WsgiRequests(make_app(), flush=flush)


def access_line(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Make the middleware that writes the peer stack's line."""
    from django_guid import get_guid

    from benchmarks.subjects.peer_stack import trace_fields

    log = logging.getLogger("access")

    def log_request(request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = get_response(request)
        match = request.resolver_match
        log.info(
            "request",
            extra={
                "method": request.method,
                "route": match.route if match else "",
                "status": response.status_code,
                "duration_ms": (time.perf_counter() - started) * 1e3,
                "request_id": get_guid(),
                **trace_fields(),
            },
        )
        return response

    return log_request
