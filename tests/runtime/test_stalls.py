"""Stalled processes: a loop that does not turn, and requests that do not move."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import TYPE_CHECKING

import pytest

from svcready._runtime._open_requests import OpenRequests
from svcready._runtime._stalls._awake import Awake
from svcready._runtime._stalls._stalls import Stalls
from svcready.config._sections.health import HealthSettings
from svcready.testing import FakeClock, running
from tests.servers.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclasses.dataclass(eq=False)
class Request:
    """A request in flight."""

    started_s: float = 0.0
    method: str = "GET"
    request_id: str = ""
    go_away: Callable[[], None] | None = None
    sent: int = 0
    status: int = 0


class Rig:
    """What judges, on a clock that a test moves, and what it told."""

    def __init__(self, loop_s: float = 30.0, request_s: float = 300.0) -> None:
        self.clock = FakeClock()
        self.requests = OpenRequests(self.clock.monotonic)
        self.told: list[tuple[str, str, float]] = []
        self.stacks: list[str] = []
        settings = HealthSettings(loop_stall_s=loop_s, request_stall_s=request_s)
        self.stalls = Stalls(settings, self.requests, self.clock.monotonic, self._tell)

    def _tell(self, what: str, change: str, age_s: float, stack: str) -> None:
        self.told.append((what, change, age_s))
        self.stacks.append(stack)

    def pass_time(self, seconds: int) -> None:
        """Let time pass, looking each second."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.stalls.look()


class Loop:
    """An event loop on a thread of its own, which a test can block."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.goes_on = threading.Event()
        self._is_blocked = threading.Event()

    def block(self) -> None:
        """Block the loop until the test goes on."""
        self.loop.call_soon_threadsafe(self.block_here)
        assert self._is_blocked.wait(30)

    def block_here(self) -> None:
        """Do so, on its thread."""
        self._is_blocked.set()
        self.goes_on.wait(30)

    def end(self) -> None:
        """Let it end."""
        self.goes_on.set()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(30)


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop that turns."""
    made = Loop()
    yield made
    made.end()
    made.loop.close()


def beats(rig: Rig, loop: Loop) -> None:
    """Wait until the loop has noted that it turns, at the time that it is now."""
    (pulse,) = rig.stalls._pulses.running()
    pulse.beat_s = -1.0
    loop.loop.call_soon_threadsafe(pulse.beat)
    eventually(lambda: pulse.beat_s == rig.clock.monotonic(), "a beat")
    eventually(lambda: pulse.thread is not None, "its thread")


def test_a_loop_that_does_not_turn_is_told_with_its_stack(loop: Loop) -> None:
    """After the limit, once; and once when it turns again."""
    rig = Rig()
    rig.stalls.watch(loop.loop)
    beats(rig, loop)
    loop.block()
    rig.pass_time(29)
    assert rig.stalls.loop_fault() == ""

    rig.pass_time(6)
    assert rig.stalls.loop_fault() == "it has not turned for 35 s"
    assert rig.told == [("event loop", "stalls", 30.0)]
    assert "in block_here" in rig.stacks[0]
    assert rig.stalls.stalled() == {"event loop": True, "requests": False}

    loop.goes_on.set()
    beats(rig, loop)
    rig.pass_time(1)
    assert rig.stalls.loop_fault() == ""
    assert rig.told[1:] == [("event loop", "recovers", 36.0)]


def test_a_loop_that_has_ended_cannot_stall(loop: Loop) -> None:
    """A server that stops, and a test's loop between two runs, are no fault."""
    rig = Rig()
    rig.stalls.watch(loop.loop)
    beats(rig, loop)
    loop.end()
    rig.pass_time(100)

    assert rig.stalls.loop_fault() == ""
    assert rig.told == []


def test_a_process_that_was_stopped_is_given_the_whole_time(loop: Loop) -> None:
    """After an hour in which nobody looked, the loop has thirty seconds to turn."""
    rig = Rig()
    rig.stalls.watch(loop.loop)
    beats(rig, loop)
    loop.block()
    rig.clock.advance(3600)
    assert rig.stalls.loop_fault() == ""
    rig.pass_time(29)
    assert rig.stalls.loop_fault() == ""
    rig.pass_time(1)
    assert rig.stalls.loop_fault() == "it has not turned for 30 s"


def test_probes_alone_don_t_excuse_a_loop(loop: Loop) -> None:
    """If nobody looks but a probe every ten seconds, a stall is seen all the same."""
    rig = Rig()
    rig.stalls.watch(loop.loop)
    beats(rig, loop)
    loop.block()
    faults = []
    for _ in range(4):
        rig.clock.advance(10)
        faults.append(rig.stalls.loop_fault())

    told = [f"it has not turned for {seconds} s" for seconds in (30, 40)]
    assert faults == ["", "", *told]


def test_a_loop_is_not_watched_if_that_is_off(loop: Loop) -> None:
    """SVCREADY_HEALTH_LOOP_STALL_S=0 puts nothing on the loop."""
    rig = Rig(loop_s=0.0)
    rig.stalls.watch(loop.loop)

    assert rig.stalls._pulses.running() == ()


def test_requests_that_do_not_move_are_told() -> None:
    """None has begun, ended or sent anything for the limit, though one is open."""
    rig = Rig()
    request = Request()
    rig.pass_time(1000)  # idle: nothing is open
    rig.requests.add(request)
    rig.pass_time(299)
    assert rig.stalls.request_fault() == ""
    rig.pass_time(2)
    assert rig.stalls.request_fault() == "none has moved for 300 s"
    assert rig.told == [("requests", "stalls", 300.0)]

    rig.requests.discard(request)
    rig.requests.ended = True
    rig.pass_time(1)
    assert rig.stalls.request_fault() == ""
    assert [change for _, change, _ in rig.told] == ["stalls", "recovers"]


@pytest.mark.parametrize("moves", ["ends", "begins", "sends", "answers"])
def test_a_request_that_moves_shows_that_others_are_served(moves: str) -> None:
    """One that hangs is not the worker's death while anything else goes on."""
    rig = Rig()
    stuck, other = Request(), Request()
    rig.requests.add(stuck)
    rig.requests.add(other)
    for second in range(1000):
        if moves == "ends" and not second % 200:
            rig.requests.ended = True  # it was too short to be seen
        elif moves == "begins" and not second % 200:
            rig.requests.add(Request())
        elif moves == "sends" and not second % 200:
            other.sent += 1
        elif moves == "answers" and not second % 200:
            other.status = 200 + second // 200

        rig.pass_time(1)

    assert rig.told == []


def test_a_thread_that_is_free_could_serve() -> None:
    """Where the server says how many threads it has, all must be taken."""
    rig = Rig()
    rig.stalls.threads = 2
    rig.requests.add(Request())
    rig.pass_time(1000)
    assert rig.told == []

    rig.requests.add(Request())
    rig.pass_time(302)
    assert [what for what, _, _ in rig.told] == ["requests"]


def test_what_moved_since_the_last_look_counts() -> None:
    """A probe between two looks sees a request that has just begun, or ended."""
    rig = Rig()
    rig.stalls.threads = 2
    rig.requests.add(Request())
    rig.pass_time(1000)
    fresh = Request(started_s=rig.clock.monotonic())
    rig.requests.add(fresh)
    assert rig.stalls.request_fault() == ""

    rig.requests.discard(fresh)
    rig.requests.ended = True
    rig.requests.add(Request())
    assert rig.stalls.request_fault() == ""
    rig.pass_time(301)
    assert rig.stalls.request_fault() == "none has moved for 300 s"


def test_a_loop_s_requests_may_wait_for_hours(loop: Loop) -> None:
    """Streams and websockets are open for long: a loop is judged by its turning."""
    rig = Rig(loop_s=100_000.0)
    rig.stalls.watch(loop.loop)
    beats(rig, loop)
    rig.requests.add(Request())
    rig.pass_time(1000)

    assert rig.told == []


def test_a_gap_is_a_stop_and_steps_are_none() -> None:
    """What is longer than the gap starts the time anew."""
    clock = FakeClock()
    awake = Awake(clock.monotonic, 15.0)
    began_s = clock.monotonic()
    for _ in range(10):
        clock.advance(15)
        assert awake.since() == began_s

    clock.advance(15.1)
    assert awake.since() == clock.monotonic()


def test_development_judges_nobody() -> None:
    """A debugger stops everything for as long as somebody thinks."""
    with running(environ={"SVCREADY_SERVICE_ENVIRONMENT": "development"}) as harness:
        health = harness.runtime.settings.health

    assert (health.loop_stall_s, health.request_stall_s) == (0.0, 0.0)


def test_liveness_and_the_metric_tell(loop: Loop) -> None:
    """The main port's liveness fails as well, and a gauge shows which of the two."""
    clock = FakeClock()
    with running(clock=clock) as harness:
        harness.runtime.begun(loop.loop)
        health = harness.runtime.health
        assert health is not None
        stalls = harness.runtime.stalls
        (pulse,) = stalls._pulses.running()
        eventually(lambda: pulse.thread is not None, "it turns")
        loop.block()
        assert health.probe("liveness").status == 200
        for _ in range(32):
            clock.advance(1)
            stalls.look()

        assert health.probe("liveness").status == 503
        assert harness.sample("svcready_health_stalled", what="event loop") == 1
        assert harness.sample("svcready_health_stalled", what="requests") == 0
        (line,) = [x for x in harness.lines if x.get("event") == "health.stalled"]
        assert line["level"] == "ERROR"
        assert "SVCREADY_HEALTH_LOOP_STALL_S" in str(line["context"])
