"""Priorities in the wrong place: what is hidden from routes is reported, no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from fastapi import APIRouter, FastAPI

import svcready
from svcready.resilience._limiting._limit import LIMITS
from svcready.testing import running

View = Callable[..., str]
Make = Callable[[], tuple[Any, Callable[[str], Callable[[View], View]]]]


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    """Every test leaves nothing declared."""
    yield
    LIMITS.bind(None)
    LIMITS.clear()


def bare(function: View) -> View:
    """Wrap a function without saying so."""

    def wrapper() -> str:
        return function()

    return wrapper


def make_fastapi() -> tuple[Any, Callable[[str], Any]]:
    """Make an application, and what declares a route of it."""
    app = FastAPI()
    router = APIRouter(prefix="/inner")
    app.include_router(router)
    return app, app.get


def make_flask() -> tuple[Any, Callable[[str], Any]]:
    """Make the same in Flask."""
    app = flask.Flask("shop")
    return app, app.get


both = pytest.mark.parametrize("make", [make_fastapi, make_flask])


@both
def test_a_priority_above_a_limit_above_the_route_is_reported(make: Make) -> None:
    """The route has what the limit wraps; what may be a copy stops no strict start."""
    app, get = make()

    @svcready.priority("critical")
    @svcready.limit("5/s", name="reads")
    @get("/orders")
    def orders() -> str:
        return "served"

    del orders  # as in a function that makes applications
    strictly = {"http.shedding": "enforce", "core.strict": True}
    with running(settings=strictly) as harness:
        harness.runtime.attach(app)
        harness.runtime.ready()
        (told,) = (p for p in harness.runtime.problems() if p.startswith("priority"))
        assert told.startswith("priority 'critical' of tests.adapters.test_lost_")
        assert "orders may have no effect" in told
        assert "directly below the decorator that makes the route" in told


@both
def test_a_priority_below_what_hides_it_is_reported(make: Make) -> None:
    """A decorator without `functools.wraps` takes the mark away."""
    app, get = make()

    @get("/orders")
    @bare
    @svcready.priority("sheddable")
    def orders() -> str:
        return "served"

    with running() as harness:
        harness.runtime.attach(app)
        harness.runtime.ready()
        (told,) = harness.runtime.problems()
        assert "priority 'sheddable'" in told


@both
def test_what_routes_see_is_not_reported(make: Make) -> None:
    """Above and below the framework's, under wrappers that say so, and as a helper."""
    app, get = make()

    @svcready.priority("critical")
    @get("/above")
    def above() -> str:
        return "served"

    @get("/limited")
    @svcready.limit("5/s", name="reads")
    @svcready.priority("critical")
    def limited() -> str:
        return "served"

    @get("/helped")
    def helped() -> str:
        return above()

    with running() as harness:
        harness.runtime.attach(app)
        harness.runtime.ready()
        assert harness.runtime.problems() == ()


def reports() -> str:
    """Serve, and be called by a worker as well."""
    return "served"


@both
def test_a_priority_of_a_copy_is_not_reported(make: Make) -> None:
    """The function's name still stands for what the route has."""
    app, get = make()
    get("/reports")(reports)
    limited = svcready.limit("5/s", by="all", name="nightly")(reports)
    copy = svcready.priority("sheddable")(limited)
    with running(settings={"core.strict": True}) as harness:
        harness.runtime.attach(app)
        harness.runtime.ready()
        assert harness.runtime.problems() == ()

    assert copy is limited
