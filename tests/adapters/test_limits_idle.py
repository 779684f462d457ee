"""Limits that hold for nothing are told of when the service is ready."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import flask
import pytest
from fastapi import APIRouter, FastAPI

import svcready
from svcready.adapters import fastapi as fastapi_adapter
from svcready.admin import build_surface
from svcready.errors import ConfigurationError
from svcready.resilience._limiting import _limits_shown, _spelling
from tests.adapters.limits import Running, nothing_declared
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    """Every test declares into empty registers."""
    with nothing_declared():
        yield


def make_fastapi() -> tuple[Any, Callable[[], object]]:
    """Return an application and what sends it its first request."""
    app = FastAPI()
    return app, lambda: asyncio.run(ask_asgi(app, http_scope("/nothing")))


def make_flask() -> tuple[Any, Callable[[], object]]:
    """Return the same of Flask."""
    app = flask.Flask("orders")
    return app, lambda: ask_wsgi(app.wsgi_app, "/nothing")


Make = Callable[[], tuple[Any, Callable[[], object]]]
both = pytest.mark.parametrize(
    "make", [make_fastapi, make_flask], ids=["fastapi", "flask"]
)


ABOVE = """
@svcready.limit("1/m", name="orders")
@app.get("/orders")
def create():
    return "ok"
"""
OPAQUE = """
def bare(function):
    return lambda: function()

@bare
@svcready.limit("1/m", name="orders")
@app.get("/orders")
def create():
    return "ok"
"""
VIEWS = """
class Views:
    @staticmethod
    @svcready.limit("1/m", name="orders")
    @app.get("/orders")
    def create():
        return "ok"
"""
COPY = """
@app.get("/orders")
def create():
    return "ok"

nightly = svcready.limit("1/m", by="all", name="nightly")(create)
"""
ONCE = """
@app.get("/orders")
def create():
    return "ok"

svcready.limit("1/m", by="all", name="nightly")(create)()
"""
CACHED = """
import functools

@functools.cache
@app.get("/orders")
def create():
    return "ok"

nightly = svcready.limit("1/m", by="all", name="nightly")(create)
"""


def written(monkeypatch: pytest.MonkeyPatch, source: str, app: object) -> None:
    """Have a module of an application that was imported."""
    module = ModuleType("shop_written")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    vars(module).update(app=app, svcready=svcready)
    exec(source, vars(module))
    gc.collect()  # what nobody keeps is gone


@both
@pytest.mark.parametrize(
    ("source", "named"), [(ABOVE, "create"), (VIEWS, "Views.create")]
)
def test_a_limit_above_the_decorator_of_a_route_is_told(
    run: Running, make: Make, source: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the function, the route and the right order; strictly so."""
    with run(**{"core.strict": True}) as harness:
        app, _ = make()
        harness.runtime.attach(app)
        written(monkeypatch, source, app)
        with pytest.raises(ConfigurationError, match="limit orders"):
            harness.runtime.ready()

        (problem,) = harness.runtime.problems()
        assert problem == (
            f"limit orders on {named} does not hold for the route "
            "/orders: it is written above the route's decorator, which has the "
            "function without it; put @svcready.limit(...) below"
        )
        assert harness.logged("svcready is on, with problems")


@both
@pytest.mark.parametrize("source", [COPY, ONCE, CACHED], ids=["kept", "gone", "cached"])
def test_a_limited_copy_of_a_routes_function_is_no_problem(
    run: Running, make: Make, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has its own; the function's name does not stand for it."""
    with run(**{"core.strict": True}) as harness:
        app, begin = make()
        harness.runtime.attach(app)
        written(monkeypatch, source, app)
        begin()
        assert harness.runtime.problems() == ()


@both
@pytest.mark.parametrize("source", [OPAQUE, f"{ABOVE}\ndel create"])
def test_what_may_be_a_copy_lets_a_strict_service_start(
    run: Running, make: Make, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the function's name tells nothing, the message says no more than may be."""
    with run(**{"core.strict": True}) as harness:
        app, begin = make()
        harness.runtime.attach(app)
        written(monkeypatch, source, app)
        begin()
        (problem,) = harness.runtime.problems()
        assert problem == (
            "limit orders on create may not hold for the route /orders, which has the "
            "function without it: if it is written above the route's decorator, put "
            "@svcready.limit(...) below"
        )
        assert harness.logged("svcready is on, with problems")


@both
def test_what_is_limited_at_its_route_is_no_problem(run: Running, make: Make) -> None:
    """Below it, with other decorators around, or on one of two routes."""

    def traced(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper() -> Any:
            return function()

        return wrapper

    with run("/free 9/m; GET /f* 9/m; HEAD /free 9/m; OPTIONS /free 9/m; * 9/m") as h:
        app, begin = make()
        h.runtime.attach(app)

        @app.get("/orders")  # type: ignore[untyped-decorator]
        @traced
        @svcready.limit("1/m", name="orders")
        @svcready.limit("1/h", by="all", name="everybody")
        def create() -> str:
            return "ok"

        def shared() -> str:
            return "ok"

        app.get("/free")(shared)
        limited = svcready.limit("1/m", name="shared")(shared)
        route: Any = app.get("/limited", **_named(app, "limited"))
        route(limited)
        begin()
        assert h.runtime.problems() == ()


def _named(app: object, name: str) -> dict[str, Any]:
    return {"endpoint": name} if isinstance(app, flask.Flask) else {"name": name}


@both
def test_a_rule_for_no_route_is_told(run: Running, make: Make) -> None:
    """With the nearest route, or that it takes another method."""
    rules = "POST /order 5/s as typo; DELETE /orders 5/s as other; POST /orders 5/s"
    with run(rules) as harness:
        app, begin = make()
        harness.runtime.attach(app)
        app.post("/orders")(lambda: "ok")
        assert harness.runtime.problems() == ()  # there may come more routes
        begin()
        typo, other = harness.runtime.problems()
        assert typo == (
            "limit typo is for POST /order, and there is no such route: it holds for "
            "nothing; the nearest is /orders"
        )
        assert other == (
            "limit other is for DELETE /orders, and no route there takes that method: "
            "it holds for nothing"
        )


@both
def test_a_priority_for_no_route_is_told(run: Running, make: Make) -> None:
    """As a limit is, with shedding on or off: both are rules for routes."""
    rules = "POST /order critical; DELETE /orders sheddable; HEAD /orders critical; "
    rules += "GET /orders exempt; * /orders default"
    with run(**{"http.priorities": rules}) as harness:
        app, begin = make()
        harness.runtime.attach(app)
        app.get("/orders")(lambda: "ok")
        begin()
        typo, other = harness.runtime.problems()
        assert typo == (
            "priority critical is for POST /order, and there is no such route: it "
            "holds for nothing; the nearest is /orders"
        )
        assert other == (
            "priority sheddable is for DELETE /orders, and no route there takes that "
            "method: it holds for nothing"
        )


@pytest.mark.parametrize(
    ("rules", "hint"),
    [
        ("/o/{oid} 9/s", "; it is spelt {} here"),
        ("GET /o/:oid/ 9/s", "; it is spelt {} here"),
        ("/o/<oid> 9/s as o", "; it is spelt {} here"),
        ("/oo/<oid> 9/s", "; the nearest is {}"),
        ("/customers/{name}/invoices 9/s", ""),
    ],
)
@both
def test_another_spelling_of_a_route_is_no_other_route(
    run: Running, make: Make, rules: str, hint: str
) -> None:
    """Flask and FastAPI write parameters otherwise; far from all, none is named."""
    is_flask = make is make_flask
    template = "/o/<int:oid>" if is_flask else "/o/{o_id}"
    priorities = rules.rpartition(" 9/s")[0]
    priorities = f"{priorities if ' ' in priorities else f'* {priorities}'} critical"
    with run(rules, **{"http.priorities": priorities}) as harness:
        app, begin = make()
        harness.runtime.attach(app)
        app.get("/other/{x}" if not is_flask else "/other/<x>")(lambda x: x)
        app.get(template, **_named(app, "one"))(lambda **_: "ok")
        app.post("/oo", **_named(app, "two"))(lambda: "ok")
        begin()
        told = harness.runtime.problems()
        assert len(told) == 2
        for problem in told:
            said = "and there is no such route: it holds for nothing"
            assert problem.endswith(said + hint.format(template))


def test_of_templates_that_mean_the_same_one_has_the_method(run: Running) -> None:
    """Where several have parameters of other names the hint is the one to write."""
    with run("POST /o/:id 9/s; PUT /o/:id 9/s") as harness:
        app = FastAPI()
        app.get("/o/{a}")(lambda a: a)
        app.post("/o/{b}")(lambda b: b)
        harness.runtime.attach(app)
        harness.runtime.ready()
        posted, put = harness.runtime.problems()
        assert posted.endswith("; it is spelt /o/{b} here")
        assert put.endswith("; it is spelt /o/{a} here")


@both
def test_a_limit_above_a_route_is_told_though_nobody_keeps_it(
    run: Running, make: Make
) -> None:
    """As in a function that makes applications; above another limit, too; may be."""

    def build(app: Any) -> None:
        @svcready.limit("1/m", name="outer")
        @svcready.limit("1/m", name="inner")
        @app.get("/orders")  # type: ignore[untyped-decorator]
        def create() -> str:
            return "ok"

    with run(**{"core.strict": True}) as harness:
        app, begin = make()
        harness.runtime.attach(app)
        build(app)
        begin()
        problems = harness.runtime.problems()
        assert sorted(problem.split()[1] for problem in problems) == ["inner", "outer"]
        assert all("may not hold" in problem for problem in problems)


@both
@pytest.mark.parametrize("path", ["/metrics", "/admin/health", "/health/liveness"])
def test_a_rule_for_an_operators_path_says_whose_it_is(
    run: Running, make: Make, path: str
) -> None:
    """What svcready answers is no route, and never limited; below a prefix, too."""
    said = "that is one of svcready's own paths, which are under no such rule: it "
    for prefix in ("", "/ops"):
        with run(f"GET {prefix}{path} 9/s", **{"http.path_prefix": prefix}) as harness:
            app, begin = make()
            harness.runtime.attach(app)
            app.get("/orders")(lambda: "ok")
            begin()
            (problem,) = harness.runtime.problems()
            assert problem.endswith(f", and {said}holds for nothing")


def test_routers_and_several_applications_have_routes(run: Running) -> None:
    """A rule may be for a route of any of them."""
    with run("/inner/{name} 5/s; /flask 5/s; /sub/* 5/s") as harness:
        app, begin = make_fastapi()
        router = APIRouter(prefix="/inner")
        router.get("/{name}")(lambda name: name)
        app.include_router(router)
        sub = FastAPI()
        sub.get("/in")(lambda: "ok")
        app.mount("/sub", sub)
        other, _ = make_flask()
        other.get("/flask")(lambda: "ok")
        harness.runtime.attach(app)
        harness.runtime.attach(other)
        begin()
        assert harness.runtime.problems() == ()


def test_nothing_is_said_where_routes_are_not_known(run: Running) -> None:
    """A bare callable declares none, and a worker has none."""

    def bare(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"ok"]

    with run("POST /order 5/s") as harness:
        wrapped = svcready.wrap(bare)
        ask_wsgi(wrapped)
        assert harness.runtime.problems() == ()

    with run("POST /order 5/s") as harness:
        harness.runtime.work()
        assert harness.runtime.problems() == ()


def test_strict_mode_refuses_to_start(run: Running) -> None:
    """As with everything that is wrong."""
    with run("POST /order 5/s", **{"core.strict": True}) as harness:
        app = FastAPI()
        harness.runtime.attach(app)
        with pytest.raises(ConfigurationError, match="POST /order"):
            harness.runtime.ready()


def counted(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str
) -> list[None]:
    """Count how often a function is called, through that module."""
    calls: list[None] = []
    function = getattr(module, name)

    def count(*args: Any, **more: Any) -> Any:
        calls.append(None)
        return function(*args, **more)

    monkeypatch.setattr(module, name, count)
    return calls


def test_what_is_shown_of_limits_is_work_for_each_route_once(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not for each limit: routes are listed once, and each is looked at once."""
    with run() as harness:
        app = FastAPI(openapi_url=None)
        for index in range(50):
            limited = svcready.limit("9/s", name=f"reads-{index}")(lambda: "ok")
            app.get(f"/reads/{index}")(limited)

        harness.runtime.attach(app)
        listed = counted(monkeypatch, fastapi_adapter, "list_routes")
        looked = counted(monkeypatch, _limits_shown, "limits_of")
        policies, _ = harness.runtime.resilience.show("reads-")

    shown = {each["name"]: each["parts"]["limit"]["for"] for each in policies}
    assert shown == {f"reads-{index}": [f"GET /reads/{index}"] for index in range(50)}
    assert (len(listed), len(looked)) == (1, 50)


def test_what_rules_are_for_is_found_once(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Templates are read once for all rules; what is shown is what was found."""
    rules = "; ".join(f"GET /raeds/{index} 9/s as reads-{index}" for index in range(50))
    with run(rules) as harness:
        app = FastAPI(openapi_url=None)
        for index in range(60):
            app.get(f"/reads/{index}")(lambda: "ok")

        harness.runtime.attach(app)
        read = counted(monkeypatch, _spelling, "_plain")
        harness.runtime.ready()
        assert len(harness.runtime.problems()) == 50
        assert len(read) == 60 + 50
        policies, _ = harness.runtime.resilience.show()
        assert len(read) == 60 + 50

    parts = [each["parts"]["limit"] for each in policies]
    assert len(parts) == 50
    assert all("; the nearest is /reads/" in part["idle"] for part in parts)


def test_policies_are_shown_off_the_event_loop(run: Running) -> None:
    """However many routes there are, requests go on meanwhile."""
    with run(**{"admin.tokens": ["t" * 32]}) as harness:
        assert "/admin/policies" in build_surface(harness.runtime).slow
