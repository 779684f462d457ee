"""Load shedding in front of applications: what is refused, counted, and left out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

import svcready
from svcready.resilience._shed._shedder import SheddingState
from svcready.resilience._shed._shedding import http_shedder
from svcready.testing import FakeClock, Harness, running
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope

Running = Callable[..., AbstractContextManager[Harness]]
SMALL = {
    "http.shedding": "enforce",
    "http.shedding_initial_limit": 5,
    "http.shedding_max_limit": 5,
}


@pytest.fixture
def run(clock: FakeClock) -> Running:
    """Start a runtime with such settings."""
    return lambda **more: running(
        service="orders", settings={**SMALL, **more}, clock=clock
    )


def state(harness: Harness) -> SheddingState:
    """Return how load shedding stands."""
    assert harness.runtime.resilience is not None
    found = harness.runtime.resilience.shedding()
    assert found is not None
    return found


class Held:
    """An application whose requests end when the test says."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer once the gate is open."""
        self.calls += 1
        await self.gate.wait()
        start = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b"ok"})


async def hold(app: Any, many: int, path: str = "/") -> list[asyncio.Task[Any]]:
    """Begin so many requests."""
    tasks = [asyncio.create_task(ask_asgi(app, http_scope(path))) for _ in range(many)]
    await asyncio.sleep(0)
    return tasks


def test_over_the_limit_503(run: Running) -> None:
    """A refused request gets the problem and Retry-After, and calls no application."""

    async def main() -> None:
        inner = Held()
        app = svcready.wrap(inner)
        tasks = await hold(app, 5)
        refused = [await task for task in tasks if task.done()]
        assert len(refused) == 1  # default fills nine tenths
        assert inner.calls == 4
        (reply,) = refused
        assert reply.status == 503
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["retry-after"] in {"1", "2", "3"}
        assert reply.headers["cache-control"] == "no-store"
        problem = json.loads(reply.body)
        assert problem["type"].endswith("#temporary-reduced-capacity")
        assert problem["status"] == 503
        inner.gate.set()
        assert [(await task).status for task in tasks].count(200) == 4
        assert (await ask_asgi(app, http_scope())).status == 200

    with run() as harness:
        asyncio.run(main())
        assert state(harness).in_flight == 0
        statuses = sorted(line["http"]["status"] for line in harness.access_lines)  # type: ignore[index]
        assert statuses == [200] * 5 + [503]


def test_observing_serves_all_and_tells(run: Running) -> None:
    """In observe mode nobody is refused; counter, log line and report say who would."""

    async def main() -> None:
        inner = Held()
        tasks = await hold(svcready.wrap(inner), 9)
        inner.gate.set()
        assert {(await task).status for task in tasks} == {200}

    with run(**{"http.shedding": "observe"}) as harness:
        asyncio.run(main())
        calls = {"component": "load_shedding", "name": "default"}
        counter = "svcready_resilience_calls_total"
        assert harness.sample(counter, **calls, outcome="observed") == 5
        assert harness.sample(counter, **calls, outcome="success") == 4
        assert any(line.get("event") == "load_shedding.began" for line in harness.lines)


def test_the_line_tells_how_much_a_class_may_fill(run: Running) -> None:
    """Refused at 3 in flight with a limit of 5, for 70 % of that are the class's."""

    async def main() -> None:
        inner = Held()
        app = svcready.wrap(inner)
        tasks = await hold(app, 4)
        inner.gate.set()
        assert [(await task).status for task in tasks] == [200] * 3 + [503]

    with run(**{"http.priorities": "* /* sheddable; * / sheddable"}) as harness:
        asyncio.run(main())
        (line,) = (x for x in harness.lines if x.get("event") == "load_shedding.began")
        assert line["message"] == (
            "http sheds load: 3 requests are in flight, and class sheddable may fill 3 "
            "of the limit of 5"
        )


def test_off_is_nothing(run: Running) -> None:
    """Switched off, the plan asks nobody, and no family of it is exposed."""
    with run(**{"http.shedding": "off"}) as harness:
        assert harness.runtime.resilience is not None
        assert harness.runtime.resilience.inbound() is None
        gauge = "svcready_resilience_limit"
        assert harness.sample(gauge, component="load_shedding", name="http") is None


def test_the_operators_paths_always_answer(run: Running) -> None:
    """With every place taken, probes and metrics answer, and take no place."""

    async def main() -> None:
        inner = Held()
        app = svcready.wrap(inner)
        tasks = await hold(app, 9)
        for path in ("/health/liveness", "/health/readiness", "/metrics"):
            assert (await ask_asgi(app, http_scope(path))).status == 200

        inner.gate.set()
        await asyncio.gather(*tasks)

    with run() as harness:
        asyncio.run(main())
        assert state(harness).in_flight == 0


def test_rules_by_variable(run: Running) -> None:
    """Routes have the class that the variable says, on a bare application by path."""
    rules = "GET /orders/{id} critical; * /search sheddable; GET /poll exempt"

    async def main() -> None:
        inner = Held()
        app = svcready.wrap(inner)
        tasks = await hold(app, 9, "/search")
        assert inner.calls == 3
        tasks += await hold(app, 9, "/orders")
        assert inner.calls == 4
        tasks += await hold(app, 9, "/orders/17")
        assert inner.calls == 5
        tasks += await hold(app, 20, "/poll")
        assert inner.calls == 25
        inner.gate.set()
        await asyncio.gather(*tasks)

    with run(**{"http.priorities": rules}) as harness:
        asyncio.run(main())
        assert state(harness).in_flight == 0


def chunks(
    *bodies: bytes, headers: Iterable[tuple[bytes, bytes]] = ()
) -> Callable[..., Awaitable[None]]:
    """Return an application that sends so many pieces, and a last empty one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": [*headers]}
        await send(start)
        for body in bodies:
            await send({"type": "http.response.body", "body": body, "more_body": True})

        await send({"type": "http.response.body", "body": b""})

    return app


EVENTS = ((b"content-type", b"text/event-stream; charset=utf-8"),)


@pytest.mark.parametrize(
    ("app", "counts"),
    [
        (chunks(b"whole"), True),  # what Starlette's BaseHTTPMiddleware makes of it
        (chunks(b"two", b"pieces"), False),
        (chunks(b"data: 1\n\n", headers=EVENTS), False),
    ],
)
def test_streams_say_nothing_of_the_load(
    run: Running, clock: FakeClock, app: Any, counts: bool
) -> None:
    """A response in pieces enters no window, a whole one does."""
    wrapped = svcready.wrap(app)

    async def main() -> None:
        for _ in range(12):
            clock.advance(0.5)
            await ask_asgi(wrapped, http_scope())

    with run() as harness:
        asyncio.run(main())
        assert (state(harness).baseline_s is not None) is counts
        assert state(harness).in_flight == 0


def test_open_streams_take_no_place(run: Running) -> None:
    """A stream gives its place back when it shows to be one, however long it lasts."""

    async def main() -> None:
        gate = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            start = {"type": "http.response.start", "status": 200, "headers": EVENTS}
            await send({**start, "headers": [*EVENTS]})
            await gate.wait()
            await send({"type": "http.response.body", "body": b""})

        wrapped = svcready.wrap(app)
        tasks = []
        for _ in range(50):
            tasks += await hold(wrapped, 1)

        assert state(harness).in_flight == 0
        gate.set()
        assert {(await task).status for task in tasks} == {200}

    with run() as harness:
        asyncio.run(main())
        assert state(harness).in_flight == 0


def test_a_cancelled_request_leaves(run: Running, clock: FakeClock) -> None:
    """Cancelled in the middle: the place is free, and no latency was taken."""

    async def main() -> None:
        app = svcready.wrap(Held())
        for _ in range(10):
            (task,) = await hold(app, 1)
            clock.advance(1.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with run() as harness:
        asyncio.run(main())
        assert state(harness).in_flight == 0
        assert state(harness).baseline_s is None


def test_errors_count(run: Running, clock: FakeClock) -> None:
    """A request that ends by an error leaves, and its latency counts."""

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        clock.advance(0.5)
        raise ValueError

    async def main() -> None:
        app = svcready.wrap(failing)
        for _ in range(10):
            with pytest.raises(ValueError):  # noqa: PT011 - the application's own
                await ask_asgi(app, http_scope())

    with run() as harness:
        asyncio.run(main())
        assert state(harness).in_flight == 0
        assert state(harness).baseline_s == pytest.approx(0.5)


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("fails", [False, True])
def test_background_tasks_take_no_place(
    status: int, fails: bool, run: Running, clock: FakeClock
) -> None:
    """The place is free once the response has left, whatever goes on or fails after."""
    gate = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": status, "headers": []}
        await send(start)
        clock.advance(0.1)
        await send({"type": "http.response.body", "body": b"sorry"})
        clock.advance(50.0)
        await gate.wait()
        if fails:
            raise RuntimeError

    async def main(harness: Harness) -> None:
        tasks = await hold(svcready.wrap(app), 3)
        assert state(harness).in_flight == 0
        gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert state(harness).in_flight == 0

    with run() as harness:
        asyncio.run(main(harness))
        assert http_shedder()._sum_s == pytest.approx(0.3)
        assert len(harness.access_lines) == 3


def test_wsgi(run: Running, clock: FakeClock) -> None:
    """Before WSGI: the fifth at a time is refused, bodies in pieces don't count."""
    inside: list[Any] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        if environ["PATH_INFO"] == "/deeper":
            inside.append(ask_wsgi(wrapped, "/deeper").status)

        clock.advance(0.1)
        yield b"ok"

    wrapped: Any = svcready.wrap(app)
    with run() as harness:
        ask_wsgi(wrapped, "/deeper")
        assert inside == [503, 200, 200, 200]
        for _ in range(12):
            assert ask_wsgi(wrapped, "/").body == b"ok"

        assert state(harness).in_flight == 0
        assert state(harness).baseline_s is not None


def test_a_wsgi_stream(run: Running, clock: FakeClock) -> None:
    """Pieces over WSGI give the place back and enter no window."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        yield b"two"
        seen.append(state(harness).in_flight)
        clock.advance(1.0)

    seen: list[int] = []
    wrapped: Any = svcready.wrap(app)
    with run() as harness:
        for _ in range(12):
            ask_wsgi(wrapped, "/")

        assert seen == [0] * 12
        assert state(harness).baseline_s is None


def test_a_reload_keeps_who_is_in(run: Running) -> None:
    """Another runtime counts on: whoever was in flight leaves the one that counts."""

    async def main() -> None:
        inner = Held()
        app = svcready.wrap(inner)
        tasks = await hold(app, 3)
        harness.runtime.apply_reloaded()
        tasks += await hold(app, 3)
        assert inner.calls == 4
        inner.gate.set()
        await asyncio.gather(*tasks)

    with run() as harness:
        asyncio.run(main())
        assert state(harness).in_flight == 0


def test_a_contradiction_is_reported(run: Running) -> None:
    """A least limit above the greatest is a problem of the configuration."""
    with run(**{"http.shedding_min_limit": 9}) as harness:
        assert any("SHEDDING_MIN_LIMIT is 9" in p for p in harness.runtime.problems())


def test_the_health_report(run: Running) -> None:
    """The deep report shows mode, limit and in flight; shedding is a warning."""

    async def main() -> None:
        inner = Held()
        tasks = await hold(svcready.wrap(inner), 5)
        assert harness.runtime.health is not None
        told = harness.runtime.health.report(details=True)["info"]["load_shedding"]  # type: ignore[index]
        expected = {"mode": "enforce", "shedding": True, "limit": 5, "in_flight": 4}
        assert told == {"status": "warn", **expected}
        inner.gate.set()
        await asyncio.gather(*tasks)

    with run() as harness:
        asyncio.run(main())


async def stall() -> dict[str, object]:
    """Never say anything."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def read_whole(scope: Any, receive: Any, send: Any) -> None:
    """Read the request, then answer it."""
    while (await receive()).get("more_body"):
        pass

    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("slow", ["sender", "reader"])
def test_who_is_slow_takes_nobodys_place(slow: str, run: Running) -> None:
    """Clients that send or read a byte a minute are no load, however many there are."""

    async def main() -> None:
        app = svcready.wrap(read_whole)
        whole = {"type": "http.request", "body": b"x", "more_body": False}

        async def receive() -> dict[str, object]:
            return await stall() if slow == "sender" else whole

        async def send(message: dict[str, object]) -> None:
            if slow == "reader" and message["type"] == "http.response.body":
                await stall()

        slow_ones = [
            asyncio.create_task(app(http_scope(), receive, send)) for _ in range(30)
        ]
        for _ in range(5):
            await asyncio.sleep(0)

        assert (await ask_asgi(app, http_scope())).status == 200
        for task in slow_ones:
            task.cancel()

        await asyncio.gather(*slow_ones, return_exceptions=True)

    with run() as harness:
        asyncio.run(main())
        assert state(harness).in_flight == 0


def test_waiting_for_a_client_is_no_latency(run: Running, clock: FakeClock) -> None:
    """What a slow client adds is not blamed on the service."""

    async def main() -> None:
        app = svcready.wrap(read_whole)

        async def wait() -> None:
            await asyncio.sleep(0)
            clock.advance(60.0)

        async def receive() -> dict[str, object]:
            await wait()
            return {"type": "http.request", "body": b"x", "more_body": False}

        async def send(_: dict[str, object]) -> None:
            await wait()

        for _ in range(30):
            await app(http_scope(), receive, send)

    with run() as harness:
        asyncio.run(main())
        assert (state(harness).baseline_s or 0.0) < 1.0


@pytest.mark.parametrize("body", [None, [None]])
def test_what_is_no_body_gives_its_place_back(body: object, run: Running) -> None:
    """An application that returns nonsense over WSGI is an error, and no leak."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return body

    with run() as harness:
        wrapped = svcready.wrap(app)
        for _ in range(8):
            with pytest.raises(TypeError):
                ask_wsgi(wrapped)

        assert state(harness).in_flight == 0
