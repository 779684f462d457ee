"""The drain of one runtime, on a clock that the tests move."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import svcready
from svcready._runtime import Runtime
from svcready._runtime._ending._servers import describe_conflicts
from svcready._runtime._ending._signals import TermHandler
from svcready.health import draining, ending, until_ending
from svcready.testing import FakeClock, Harness, running
from tests.adapters.support import ask_asgi, http_scope
from tests.conftest import Faults

START = {"type": "http.response.start", "status": 200, "headers": []}
NO_OTHERS: Mapping[str, str] = {}
PRODUCTION = {"SVCREADY_SERVICE_ENVIRONMENT": "production"}


class Flight:
    """A request, or a websocket, in flight."""

    def __init__(self, runtime: Runtime, *, websocket: bool = False) -> None:
        self.started_s = 0.0
        self.request_id = self.method = ""
        self.status = self.sent = 0
        self.sent_away = False
        self._websocket = websocket
        runtime.open_requests.add(self)

    @property
    def go_away(self) -> Any:
        """As the adapters have it."""
        return self._send_away if self._websocket else None

    def _send_away(self) -> None:
        self.sent_away = True


class Restarting:
    """A server that is started again at every save."""

    reloads = True
    kills_after_s: float | None = None
    waits_s: float | None = None
    blocks = False

    def limit(self, seconds: float) -> None:
        """Do nothing."""

    def close_connections(self) -> None:
        """Do nothing."""

    def keep_connections(self) -> None:
        """Do nothing."""


class Killing(Restarting):
    """A server whose master kills it, and that notes what it is told."""

    reloads = False
    kills_after_s: float | None = 12.0

    def __init__(self) -> None:
        self.limits: list[float] = []

    def limit(self, seconds: float) -> None:
        """Take note."""
        self.limits.append(seconds)


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer."""
    await send(dict(START))
    await send({"type": "http.response.body", "body": b"hello"})


@contextmanager
def serving(
    clock: FakeClock, environ: Mapping[str, str] = NO_OTHERS, *, probed: bool = True
) -> Iterator[tuple[Harness, Any]]:
    """Run a service that has an application, and was probed."""
    with running(environ={**PRODUCTION, **environ}, clock=clock) as harness:
        app = svcready.wrap(hello)
        asyncio.run(ask_asgi(app, http_scope()))
        if probed:
            asyncio.run(ask_asgi(app, http_scope("/health/readiness")))

        yield harness, app


def probe(app: Any, name: str) -> int:
    """Return what a probe answers."""
    return asyncio.run(ask_asgi(app, http_scope(f"/health/{name}"))).status


def test_it_goes_on_for_the_delay_and_then_waits_for_those_in_flight() -> None:
    """
    Readiness fails at once, liveness does not; after the delay requests in flight are
    waited for, and the server is let go when the last of them has ended.
    """
    clock = FakeClock()
    with serving(clock) as (harness, app):
        runtime = harness.runtime
        assert probe(app, "readiness") == 200
        flight = Flight(runtime)
        began_s = clock.monotonic()
        seen: list[tuple[float, bool, bool]] = []

        def sleep(seconds: float) -> None:
            clock.advance(seconds)
            seen.append((clock.monotonic() - began_s, draining(), ending()))
            if clock.monotonic() - began_s > 7.0:
                runtime.open_requests.discard(flight)

        clock.sleep = sleep  # type: ignore[method-assign]
        assert runtime.drain.holds()
        assert runtime.drain.run("SIGTERM")

        assert (probe(app, "readiness"), probe(app, "liveness")) == (503, 200)
        assert 7.0 < clock.monotonic() - began_s < 7.1
        assert all(on_its_way for _, on_its_way, _ in seen)
        last_word_s = min(at_s for at_s, _, is_ending in seen if is_ending)
        assert 5.0 < last_word_s < 5.1
        (line,) = harness.logged("draining")
        assert line["context"] == {
            "why": "SIGTERM",
            "delay_s": 5.0,
            "timeout_s": 15.0,
            "flush_s": 5.0,
            "in_flight": 1,
        }
        assert runtime.drain.cut == {}


def test_what_is_in_flight_when_the_time_is_over_is_counted() -> None:
    """Requests and websockets are counted apart; websockets are told to go."""
    clock = FakeClock()
    with serving(clock) as (harness, _):
        runtime = harness.runtime
        request, socket = Flight(runtime), Flight(runtime, websocket=True)
        server = Killing()
        runtime.drain.serve_in(server)
        began_s = clock.monotonic()

        assert runtime.drain.holds()
        assert runtime.drain.run("SIGTERM")

        # The master kills after 12, of which 5 go to the delay and 5 to the flush.
        assert 7.0 <= clock.monotonic() - began_s < 7.1
        assert (request.sent_away, socket.sent_away) == (False, True)
        assert runtime.drain.cut == {"requests": 1, "websockets": 1}
        assert server.limits == [0.5]
        (line,) = harness.logged(
            "the time is over for what is in flight; the server is stopped"
        )
        assert line["level"] == "WARN"


class Breaking(Killing):
    """A server of another version, whose settings cannot be changed."""

    def limit(self, seconds: float) -> None:
        """Fail."""
        raise AttributeError(seconds)


def test_a_server_that_cannot_be_limited_is_let_go(faults: Faults) -> None:
    """A fault of ours at the end of the drain is no reason to serve for ever."""
    with serving(FakeClock()) as (harness, _):
        drain = harness.runtime.drain
        drain.serve_in(Breaking())
        assert drain.holds()

        assert drain.run("SIGTERM")

    assert isinstance(faults.claim("runtime.drain"), AttributeError)


@pytest.mark.parametrize(
    ("environ", "probed", "reloads"),
    [
        ({"SVCREADY_SERVICE_ENVIRONMENT": "development"}, True, False),
        ({}, False, False),
        ({}, True, True),
    ],
    ids=["development", "no probe", "reloader"],
)
def test_there_is_no_delay(
    environ: dict[str, str], probed: bool, reloads: bool
) -> None:
    """
    In development, under a reloader, and where nobody ever probed, a server without
    requests in flight is let go at once.
    """
    with serving(FakeClock(), environ, probed=probed) as (harness, _):
        if reloads:
            harness.runtime.drain.serve_in(Restarting())

        assert harness.runtime.drain.plan.delay_s == 0.0
        assert not harness.runtime.drain.holds()


def test_what_another_worker_was_asked_counts_when_the_server_is_told() -> None:
    """A probe that the group knows of gives the delay, before this process polls."""
    with serving(FakeClock(), probed=False) as (harness, _):
        runtime = harness.runtime
        assert runtime.drain.plan.delay_s == 0.0
        runtime.group.follow("lifecycle.probed", lambda _: None)  # not yet polled
        runtime.group.post("lifecycle.probed", value=True)

        assert runtime.drain.holds()
        assert runtime.drain.plan.delay_s == 5.0


def test_the_first_probe_is_told_to_the_group_at_once() -> None:
    """No later than the next step of the background thread, and once."""
    with serving(FakeClock(), probed=False) as (harness, app):
        asked: list[bool] = []
        harness.runtime.ops.hurry = lambda: asked.append(True)
        for _ in range(3):
            probe(app, "readiness")

        assert asked == [True]


def test_a_process_that_serves_nothing_has_no_delay() -> None:
    """A worker without a web application ends as it always did."""
    with running(environ=PRODUCTION) as harness:
        harness.runtime.ready()
        harness.runtime.drain.probed = True

        assert not harness.runtime.drain.holds()


def test_the_delay_that_has_passed_counts() -> None:
    """After a drain of 4 of 5 seconds, as by a hook, SIGTERM waits 1 more."""
    clock = FakeClock()
    with serving(clock, probed=False) as (harness, _):
        runtime = harness.runtime
        svcready.drain()
        clock.advance(4.0)
        began_s = clock.monotonic()

        assert runtime.drain.holds()
        assert runtime.drain.run("SIGTERM")

        assert clock.monotonic() - began_s == pytest.approx(1.0)
        assert harness.logged("draining")[-1]["context"]["why"] == (  # type: ignore[index]
            "SIGTERM, after svcready.drain()"
        )


def test_a_service_can_be_taken_back() -> None:
    """`resume` undoes `drain`, and not a server's end."""
    with serving(FakeClock()) as (harness, app):
        svcready.drain()
        assert (probe(app, "readiness"), draining(), ending()) == (503, True, False)

        assert svcready.resume()

        assert (probe(app, "readiness"), draining()) == (200, False)
        assert not svcready.resume()
        assert harness.runtime.drain.holds()
        harness.runtime.drain.run("SIGTERM")
        assert not svcready.resume()
        assert probe(app, "readiness") == 503


def test_a_drain_while_it_starts_ends_no_start() -> None:
    """Taken back, the service goes on starting; only its server says that it is up."""
    with running(clock=FakeClock()) as harness:
        health = harness.runtime.health
        assert health is not None
        for _ in range(2):
            svcready.drain()
            assert health.probe("startup").status == 503
            svcready.resume()
            assert health.lifecycle.state == "starting"
            assert health.probe("readiness").status == 503
            assert health.probe("startup").status == 503

        svcready.drain()
        harness.runtime.ready()
        assert health.probe("readiness").status == 503
        svcready.resume()

        assert health.probe("readiness").status == 200
        assert health.probe("startup").status == 200


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_responses_ask_to_close_the_connection(version: str) -> None:
    """Each HTTP/1 response of a drain says so, a probe's too; HTTP/2 forbids it."""
    with serving(FakeClock()) as (_, app):
        for drains in (False, True):
            if drains:
                svcready.drain()

            for path in ("/any", "/health/readiness"):
                scope = {**http_scope(path), "http_version": version}
                reply = asyncio.run(ask_asgi(app, scope))
                said = reply.headers.get("connection")
                assert said == ("close" if drains and version == "1.1" else None)


def test_a_response_keeps_what_the_application_says_of_its_connection() -> None:
    """No header is sent twice."""

    async def own(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": [(b"connection", b"upgrade")]})
        await send({"type": "http.response.body"})

    with serving(FakeClock()):
        svcready.drain()
        reply = asyncio.run(ask_asgi(svcready.wrap(own), http_scope()))

    names = [name for name, _ in reply.messages[0]["headers"]]
    assert names.count(b"connection") == 1


def start_later(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what the first thread is to run; all others run at once."""
    first: list[Any] = []

    def start(run: Any, _: object) -> None:
        if first:
            run()
        else:
            first.append(run)

    monkeypatch.setattr("_thread.start_new_thread", start)
    return first


def test_a_second_signal_is_obeyed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second calls the server's own handler, and nothing is waited for."""
    started = start_later(monkeypatch)
    clock = FakeClock()
    with serving(clock) as (harness, _):
        runtime = harness.runtime
        calls: list[int] = []
        again: list[TermHandler] = []
        handler = TermHandler(
            lambda number, _: calls.append(number),
            lambda: (runtime,),
            lambda: None,
            again.append,
        )
        began_s = clock.monotonic()

        handler(signal.SIGTERM, None)
        assert (calls, len(started)) == ([], 1)
        handler(signal.SIGTERM, None)
        assert calls == [signal.SIGTERM]
        (run,) = started
        run()

        assert again == []
        assert clock.monotonic() == began_s


def test_a_second_signal_hurries_a_server_that_waits_itself() -> None:
    """Hypercorn's worker, which its master ends, obeys what it is told itself."""
    clock = FakeClock()
    with serving(clock) as (harness, _):
        drain = harness.runtime.drain
        handler = TermHandler(signal.SIG_DFL, lambda: (harness.runtime,), lambda: None)
        assert drain.holds()
        drain.is_led = True
        began_s = clock.monotonic()

        handler(signal.SIGTERM, None)

        assert not drain.run("shutdown of hypercorn")
        assert clock.monotonic() == began_s


def test_a_worker_takes_what_its_master_says_after_others_for_one_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only a signal that comes too late to be the master's ends the delay."""
    start_later(monkeypatch)
    monkeypatch.setattr("svcready._runtime._ending._drain.parent_of", lambda: (1, "1"))
    clock = FakeClock()
    with serving(clock) as (harness, _):
        calls: list[int] = []
        handler = TermHandler(
            lambda number, _: calls.append(number),
            lambda: (harness.runtime,),
            lambda: None,
        )

        handler(signal.SIGTERM, None)
        clock.advance(2.9)
        handler(signal.SIGTERM, None)
        assert calls == []

        clock.advance(0.2)
        handler(signal.SIGTERM, None)
        assert calls == [signal.SIGTERM]


def test_who_is_told_in_two_ways_drains_once() -> None:
    """A second run waits for the first, and the log tells of one drain."""
    clock = FakeClock()
    with serving(clock) as (harness, _):
        drain = harness.runtime.drain
        assert drain.holds()
        began_s = clock.monotonic()

        first = threading.Thread(target=drain.run, args=("SIGTERM",))
        first.start()
        drain.run("shutdown of hypercorn")
        first.join()

        assert drain.released
        assert clock.monotonic() >= began_s + 5.0
        events = [line.get("event") for line in harness.lines]
        assert events.count("svcready.draining") == 1


def test_the_signal_is_raised_again_when_the_server_may_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was held back reaches the server's handler, once."""
    started = start_later(monkeypatch)
    with serving(FakeClock()) as (harness, _):
        calls: list[int] = []
        handler = TermHandler(
            lambda number, _: calls.append(number),
            lambda: (harness.runtime,),
            lambda: None,
            lambda itself: itself(signal.SIGTERM, None),
        )

        handler(signal.SIGTERM, None)
        (run,) = started
        run()

        assert calls == [signal.SIGTERM]


def test_a_server_that_stops_by_itself_ends_the_wait() -> None:
    """At Ctrl-C, say: nobody raises a signal in a process that is ending."""
    with serving(FakeClock()) as (harness, _):
        assert harness.runtime.drain.holds()
        harness.runtime.stopping()

        assert not harness.runtime.drain.run("SIGTERM")


def test_a_file_has_the_service_drain_while_it_is_there(tmp_path: Path) -> None:
    """Its presence is noticed within the second, and so is its absence."""
    file = tmp_path / "out of rotation"
    named = {"SVCREADY_LIFECYCLE_DRAIN_FILE": str(file)}
    with serving(FakeClock(), named) as (harness, app):
        orders = harness.runtime.drain_orders
        orders.tick()
        assert probe(app, "readiness") == 200

        file.touch()
        orders.tick()
        assert probe(app, "readiness") == 503
        assert harness.runtime.drain.why == f"file {file}"

        file.unlink()
        orders.tick()
        assert probe(app, "readiness") == 200


def test_streams_are_told_on_their_own_loop() -> None:
    """`until_ending` returns when the delay is over, in each task that waits."""

    async def streams(runtime: Runtime) -> list[bool]:
        waiting = [asyncio.create_task(until_ending()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        await asyncio.to_thread(runtime.drain.run, "SIGTERM")
        await asyncio.wait_for(asyncio.gather(*waiting), 5)
        return [ending(), draining()]

    with serving(FakeClock()) as (harness, _):
        assert harness.runtime.drain.holds()
        assert asyncio.run(streams(harness.runtime)) == [True, True]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ()),
        ({"timeout_s": 25.0}, ("5", "25", "= 35 s", "after 30 s")),
        ({"kills_after_s": 20.0}, ("= 25 s", "20 s after", "10 s instead")),
        ({"server_waits_s": 3.0}, ("--timeout-graceful-shutdown 3", "15")),
        ({"server_waits_s": 20.0}, ()),
    ],
)
def test_contradictions_are_told_with_the_arithmetic(
    changed: dict[str, float], words: tuple[str, ...]
) -> None:
    """The parts of the end are compared with who kills when."""
    values: dict[str, Any] = {
        "delay_s": 5.0,
        "timeout_s": 15.0,
        "flush_s": 5.0,
        "grace_s": 30.0,
        "kills_after_s": None,
        **changed,
    }

    said = describe_conflicts(**values)

    assert len(said) == bool(words)
    assert all(word in said[0] for word in words)


def test_the_start_line_tells_of_contradictions() -> None:
    """A plan that does not fit is a notice, and no reason to refuse a start."""
    strict = {"SVCREADY_LIFECYCLE_GRACE_S": "10", "SVCREADY_CORE_STRICT": "true"}
    with serving(FakeClock(), strict) as (harness, _):
        (notice,) = harness.runtime.notices

    assert "= 25 s" in notice
    assert "SVCREADY_LIFECYCLE_GRACE_S" in notice
