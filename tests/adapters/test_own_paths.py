"""Which paths an application defines itself, found however late and deep."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router

from svcready.adapters._starlette_routes import OwnPaths


async def answer(request: object = None) -> PlainTextResponse:
    """Answer."""
    return PlainTextResponse("mine")


def test_a_route_that_comes_later() -> None:
    """Added after the first question, or put in the place of another."""
    app = Starlette()
    own = OwnPaths(app)
    assert not own("/metrics")

    app.routes.append(Route("/metrics", answer))
    assert own("/metrics")

    app.routes[-1] = Route("/other", answer)
    assert not own("/metrics")

    app.router.routes = [Route("/metrics", answer)]
    assert own("/metrics")


@pytest.mark.parametrize("deep", [False, True])
def test_a_route_that_comes_later_to_a_mounted_application(deep: bool) -> None:
    """The top's own number of routes stays the same."""
    below = Starlette()
    inner = Starlette(routes=[Mount("/b", below)]) if deep else below
    own = OwnPaths(Starlette(routes=[Mount("/a", inner)]))
    path = "/a/b/metrics" if deep else "/a/metrics"
    assert not own(path)

    below.routes.append(Route("/metrics", answer))
    assert own(path)
    assert not own("/metrics")


def test_a_route_that_comes_later_to_a_host() -> None:
    """A host has no path of its own."""
    router = Router()
    own = OwnPaths(Starlette(routes=[Host("ops.example", router)]))
    assert not own("/metrics")

    router.routes.append(Route("/metrics", answer))
    assert own("/metrics")


def test_a_route_that_comes_later_to_an_included_router() -> None:
    """Where FastAPI serves it at all; prefixes count, nested ones too."""
    inner = APIRouter(prefix="/health")
    outer = APIRouter(prefix="/v1")
    outer.include_router(inner)
    app = FastAPI(openapi_url=None)
    app.include_router(outer)
    own = OwnPaths(app)
    assert not own("/v1/health/liveness")

    inner.add_api_route("/liveness", answer, response_model=None)
    served = "/v1/health/liveness" in {
        getattr(context, "path", None)
        for route in app.routes
        for context in getattr(route, "effective_route_contexts", list)()
    }
    assert own("/v1/health/liveness") is served
