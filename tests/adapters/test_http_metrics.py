from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import flask
import httpx
import pytest
from fastapi import FastAPI, Request, Response

import svcready
from svcready.metrics._instruments._register import forget_all
from svcready.metrics._model import Distribution, Number
from svcready.metrics.sources._otel._provider import PROVIDER
from tests.adapters.support import Scope, ask_asgi, ask_wsgi, http_scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from svcready.testing import Harness

DURATION = "http.server.request.duration"
ACTIVE = "http.server.active_requests"
REQUEST_SIZE = "http.server.request.body.size"
RESPONSE_SIZE = "http.server.response.body.size"
START = {"type": "http.response.start", "status": 200, "headers": []}


@pytest.fixture(autouse=True)
def _fresh_register() -> Iterator[None]:
    """Totals are the process' and outlive a runtime; here they begin at nothing."""
    forget_all()
    PROVIDER.forget()  # what its API has declared goes before ours of the same name
    yield
    forget_all()


def read(harness: Harness, name: str) -> dict[tuple[str, ...], tuple[int, float]]:
    """Return count and sum by method, route, status and error."""
    assert harness.runtime.metrics is not None
    family = harness.runtime.metrics.snapshot().find(name)
    assert family is not None
    found: dict[tuple[str, ...], tuple[int, float]] = {}
    for point in family.points:
        assert isinstance(point, Distribution)
        labels: Mapping[str, str] = dict(zip(family.labels, point.labels, strict=True))
        key = (
            labels["http_request_method"],
            labels["http_route"],
            labels["http_response_status_code"],
            labels["error_type"],
        )
        found[key] = (point.observations, point.sum)

    return found


def ask(app: FastAPI, *requests: tuple[str, str, bytes | None]) -> list[int]:
    """Return the statuses of requests by method, path and body."""

    async def all_of_them() -> list[int]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            replies = [
                await http.request(m, p, content=body) for m, p, body in requests
            ]

        return [reply.status_code for reply in replies]

    return asyncio.run(all_of_them())


def make_fastapi() -> FastAPI:
    """Make an application that takes and gives bodies."""
    app = FastAPI()

    @app.post("/orders/{order_id}", status_code=201)
    async def create(order_id: int, request: Request) -> Response:
        return Response(await request.body() * 2, status_code=201)

    @app.get("/fail")
    async def fail() -> None:
        raise LookupError

    return app


def test_bodies_are_measured_by_what_was_declared_and_what_was_sent(
    harness: Harness,
) -> None:
    """Request bodies where a length came with them, response bodies always."""
    app = make_fastapi()
    harness.runtime.attach(app)
    ask(
        app,
        ("POST", "/orders/1", b"x" * 300),
        ("POST", "/orders/2", b"x" * 20),
        ("GET", "/fail", None),
    )

    created = ("POST", "/orders/{order_id}", "201", "")
    failed = ("GET", "/fail", "500", "LookupError")
    assert read(harness, REQUEST_SIZE) == {created: (2, 320)}
    responses = read(harness, RESPONSE_SIZE)
    assert responses == {
        created: (2, 640),
        failed: (1, len(b"Internal Server Error")),
    }
    assert read(harness, DURATION).keys() == responses.keys()


def test_sizes_have_bytes_as_unit_and_buckets_for_bodies(harness: Harness) -> None:
    """The unit and Prometheus' name are the conventions'; the bounds reach 16 MiB."""
    assert harness.runtime.metrics is not None
    harness.runtime.metrics.http.response_sizes("GET", "/", 200).observe(5)
    family = harness.runtime.metrics.snapshot().find(RESPONSE_SIZE)
    assert family is not None
    (point,) = family.points

    assert family.unit == "By"
    assert family.exposition == "http_server_response_body_size_bytes"
    assert isinstance(point, Distribution)
    assert point.bounds[0] == 256
    assert point.bounds[-1] == 16 * 1024 * 1024


def test_a_wsgi_application_is_measured_the_same(harness: Harness) -> None:
    """Flask's bodies, as its server was given them."""
    app = flask.Flask("shop")

    @app.post("/orders")
    def create() -> tuple[bytes, int]:
        return flask.request.get_data() * 3, 201

    harness.runtime.attach(app)
    app.test_client().post("/orders", data=b"x" * 7).close()

    created = ("POST", "/orders", "201", "")
    assert read(harness, REQUEST_SIZE) == {created: (1, 7)}
    assert read(harness, RESPONSE_SIZE) == {created: (1, 21)}


def test_a_response_of_nothing_has_a_size(harness: Harness) -> None:
    """An empty body was sent as well as any other."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("204 No Content", [])
        return []

    ask_wsgi(svcready.wrap(app))

    assert list(read(harness, RESPONSE_SIZE).values()) == [(1, 0)]


def test_what_the_server_sends_has_no_size_that_is_known(harness: Harness) -> None:
    """A file that the server reads, and a page that it makes, are left out."""

    async def file(scope: Scope, receive: Any, send: Any) -> None:
        await send(dict(START))
        await send({"type": "http.response.pathsend", "path": "/tmp/big"})

    async def fail(scope: Scope, receive: Any, send: Any) -> None:
        raise LookupError

    asyncio.run(ask_asgi(svcready.wrap(file), http_scope()))
    with pytest.raises(LookupError):
        asyncio.run(ask_asgi(svcready.wrap(fail), http_scope()))

    assert len(read(harness, DURATION)) == 2
    # The series is made with the duration's, to be kept with it.
    assert {count for count, _ in read(harness, RESPONSE_SIZE).values()} == {0}
    line = harness.access_lines[0]
    assert isinstance(line["http"], dict)
    assert "response_bytes" not in line["http"]


@pytest.mark.parametrize("declared", [b"x", b"-1", b"9" * 40, "²".encode()])
def test_a_length_that_is_none_is_not_measured(
    harness: Harness, declared: bytes
) -> None:
    """A client can't spoil the sums by what it claims."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(dict(START))
        await send({"type": "http.response.body"})

    headers = [(b"content-length", declared)]
    asyncio.run(ask_asgi(svcready.wrap(app), http_scope(headers=headers)))

    assert read(harness, REQUEST_SIZE) == {}


def test_probes_and_scrapes_are_in_no_http_metric(harness: Harness) -> None:
    """What operators ask for is answered before anything is measured."""
    app = make_fastapi()
    harness.runtime.attach(app)
    probes = ("/health/liveness", "/health/readiness", "/health/startup", "/metrics")
    assert 404 not in ask(app, *[("GET", path, None) for path in probes])

    assert harness.runtime.metrics is not None
    snapshot = harness.runtime.metrics.snapshot()
    ours = [f for f in snapshot.families if f.origin == "svcready"]
    http = [f for f in ours if f.name.startswith("http.server.")]
    assert {f.name for f in http} == {DURATION, ACTIVE, REQUEST_SIZE, RESPONSE_SIZE}
    assert [family.points for family in http] == [()] * 4


def test_paths_that_no_route_matches_are_one_series(harness: Harness) -> None:
    """Scanners can't make series of what they ask for, in any of the metrics."""
    app = make_fastapi()
    harness.runtime.attach(app)
    ask(app, *[("POST", f"/wp-admin/{n}", b"x" * 10) for n in range(20)])

    unmatched = ("POST", "__unmatched__", "404", "")
    assert read(harness, REQUEST_SIZE) == {unmatched: (20, 200)}
    assert read(harness, DURATION).keys() == {unmatched}
    assert read(harness, RESPONSE_SIZE).keys() == {unmatched}


def test_active_requests_go_up_and_come_down(harness: Harness) -> None:
    """It is a sum over processes that falls again, whatever becomes of the request."""
    metrics = harness.runtime.metrics
    assert metrics is not None
    seen = []

    def active() -> dict[tuple[str, ...], float]:
        family = metrics.snapshot().find(ACTIVE)
        assert family is not None
        assert (family.kind, family.workers) == ("updowncounter", "sum")
        points = [point for point in family.points if isinstance(point, Number)]
        return {point.labels: point.value for point in points}

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        seen.append(active())
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(ask_asgi(svcready.wrap(app), http_scope(method="PUT")))

    assert [*seen, active()] == [{("PUT", "http"): 1}, {("PUT", "http"): 0}]
