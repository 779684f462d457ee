"""Asynchronous checks: on which loop they run, and what ends them."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest

from svcready import health
from svcready.config._sections.health import HealthSettings
from svcready.health._running._pool import spawn_daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.health.rig import Rig

REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")


class LoopThread:
    """An application's event loop, on a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def settle(self) -> None:
        """Wait until the loop has done what is ready now, tasks included."""

        async def turn() -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(turn(), self.loop).result(10)

    def stop(self) -> None:
        """End the loop without closing it."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(10)

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()

        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """End and close the loop, tasks included."""
        if self.loop.is_closed():
            return

        self.stop()
        self.loop.run_until_complete(self._cancel_all())
        self.loop.close()


@pytest.fixture
def application() -> Iterator[LoopThread]:
    """The loop that an application runs on."""
    thread = LoopThread()
    yield thread
    thread.close()


def settled(rig: Rig, application: LoopThread) -> None:
    """Let the loop go on, then take in what ended."""
    application.settle()
    rig.step()


def only_private(target: Callable[[], None], name: str) -> bool:
    """Start the thread of a private loop, but not the runner's."""
    return True if name == "svcready-health" else spawn_daemon(target, name)


def finished(rig: Rig, name: str) -> bool:
    """Step until the run in progress is over; false if there is none."""
    state = rig.pillar.runner.states[name]
    for _ in range(1_000_000):
        if state.run is None:
            return True

        rig.pillar.runner.step()

    return False


def test_runs_on_the_learnt_loop(
    make_rig: Callable[..., Rig], application: LoopThread
) -> None:
    """An async check runs on the application's loop, in no request's context."""
    seen = []

    @health.check("db")
    async def database() -> None:
        await asyncio.sleep(0)
        seen.append((asyncio.get_running_loop(), REQUEST.get()))

    rig = make_rig()
    token = REQUEST.set("a request")
    rig.pillar.learn_loop(application.loop)
    REQUEST.reset(token)
    rig.start()
    settled(rig, application)

    assert seen == [(application.loop, "none")]
    assert rig.status("db").status == "pass"
    assert "notes" not in rig.pillar.report()


def test_waits_for_the_loop(
    make_rig: Callable[..., Rig], application: LoopThread
) -> None:
    """Until a loop is known the first result is pending; then it comes at once."""

    @health.check("db", critical=True)
    async def database() -> None:
        pass

    rig = make_rig().start()
    rig.advance(4.9)
    assert rig.answers() == (200, 503, 503)

    rig.pillar.learn_loop(application.loop)
    rig.step()
    settled(rig, application)
    assert rig.answers() == (200, 200, 200)


def test_private_loop_after_the_wait(
    make_rig: Callable[..., Rig], application: LoopThread
) -> None:
    """Without a loop within 5 s a private one is used, noted, and left for a later."""
    seen = []

    @health.check("db")
    async def database() -> None:
        seen.append(asyncio.get_running_loop())

    rig = make_rig(spawn=only_private).start()
    rig.advance(5)
    assert finished(rig, "db")
    assert "private event loop" in str(rig.pillar.report()["notes"])

    rig.pillar.learn_loop(application.loop)
    rig.advance(10)
    settled(rig, application)
    assert len(seen) == 2
    assert seen[0] is not application.loop
    assert seen[1] is application.loop
    assert "notes" not in rig.pillar.report()


@pytest.mark.parametrize("by", ["check", "settings"])
def test_private_loop_by_word(
    make_rig: Callable[..., Rig], application: LoopThread, by: str
) -> None:
    """A check, or all of them, can be kept off the application's loop."""
    seen = []

    @health.check("db", loop="private" if by == "check" else "auto")
    async def database() -> None:
        seen.append(asyncio.get_running_loop())

    loop = "private" if by == "settings" else "auto"
    rig = make_rig(spawn=only_private, settings=HealthSettings(loop=loop))
    rig.pillar.learn_loop(application.loop)
    rig.start()
    assert finished(rig, "db")

    assert seen[0] is not application.loop
    assert rig.status("db").status == "pass"


def test_first_living_loop_stays(
    make_rig: Callable[..., Rig], application: LoopThread
) -> None:
    """A second loop is not taken while the first lives, but after it closed."""
    seen = []

    @health.check("db")
    async def database() -> None:
        seen.append(asyncio.get_running_loop())

    other = LoopThread()
    rig = make_rig()
    rig.pillar.learn_loop(application.loop)
    rig.pillar.learn_loop(other.loop)
    rig.start()
    settled(rig, application)
    application.close()
    rig.pillar.learn_loop(other.loop)
    rig.advance(10)
    settled(rig, other)
    other.close()

    assert [loop is other.loop for loop in seen] == [False, True]


def test_lambda_in_disguise(
    make_rig: Callable[..., Rig], application: LoopThread
) -> None:
    """A plain function that returns a coroutine goes to the loop, unwarned."""
    seen = []

    async def database(mark: int) -> None:
        seen.append((mark, asyncio.get_running_loop()))

    health.check("db")(lambda: database(1))
    rig = make_rig()
    rig.pillar.learn_loop(application.loop)
    rig.start()
    rig.step()
    settled(rig, application)

    assert seen == [(1, application.loop)]
    assert rig.status("db").status == "pass"


@pytest.mark.parametrize(
    ("error", "output"),
    [
        (asyncio.CancelledError(), "CancelledError"),
        (asyncio.CancelledError("by me"), "CancelledError: by me"),
        (TimeoutError(), "TimeoutError"),
        (ConnectionError("no"), "ConnectionError: no"),
    ],
)
def test_errors(
    make_rig: Callable[..., Rig],
    application: LoopThread,
    error: BaseException,
    output: str,
) -> None:
    """What a check raises is its result, even a cancellation of its own."""

    @health.check("db")
    async def database() -> None:
        raise error

    rig = make_rig()
    rig.pillar.learn_loop(application.loop)
    rig.start()
    settled(rig, application)

    got = rig.status("db")
    assert (got.status, got.output) == ("fail", output)
    rig.advance(10)
    settled(rig, application)
    assert rig.status("db").failures == 2


def test_timeout_cancels(make_rig: Callable[..., Rig], application: LoopThread) -> None:
    """A run that is not back in time is cancelled, and the next one has its turn."""
    ends = []

    @health.check("db")
    async def database() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    rig = make_rig()
    rig.pillar.learn_loop(application.loop)
    rig.start()
    application.settle()
    rig.advance(2)
    assert rig.status("db").output == "not back within 2 s"
    settled(rig, application)
    assert ends == ["cancelled"]
    assert not rig.status("db").stuck

    rig.advance(8)
    application.settle()
    assert len(asyncio.all_tasks(application.loop)) == 1
    rig.advance(2)
    settled(rig, application)
    assert rig.status("db").failures == 2


def test_swallowed_cancellation_costs_one_task(
    make_rig: Callable[..., Rig], application: LoopThread
) -> None:
    """A run that does not let itself be cancelled stays alone, and stays failed."""
    forever = asyncio.Event()
    calls = []

    @health.check("db", critical=True)
    async def database() -> None:
        calls.append(1)
        while not forever.is_set():
            try:
                await forever.wait()
            except asyncio.CancelledError:
                pass

    rig = make_rig()
    rig.pillar.learn_loop(application.loop)
    rig.start()
    application.settle()
    for _ in range(60):
        rig.advance(10)
        settled(rig, application)
        assert len(asyncio.all_tasks(application.loop)) <= 1

    assert calls == [1]
    assert not asyncio.all_tasks(application.loop)  # whose end would wait for it
    assert rig.status("db").stuck
    assert rig.answers() == (200, 503, 200)
    application.loop.call_soon_threadsafe(forever.set)
    settled(rig, application)
    assert not rig.status("db").stuck
    assert rig.status("db").status == "fail"


def test_cancelled_by_others(
    make_rig: Callable[..., Rig], application: LoopThread
) -> None:
    """A run that a stopping application cancels says nothing of what it looks at."""

    @health.check("db")
    async def database() -> None:
        await asyncio.Event().wait()

    rig = make_rig()
    rig.pillar.learn_loop(application.loop)
    rig.start()
    application.settle()
    for task in asyncio.all_tasks(application.loop):
        application.loop.call_soon_threadsafe(task.cancel)

    settled(rig, application)
    assert rig.status("db").status == "pending"
    assert rig.runs == []


def test_busy_loop_is_not_blamed_on_the_check(
    make_rig: Callable[..., Rig], application: LoopThread
) -> None:
    """While the loop is too busy to begin a run, the last result stands, then ages."""

    @health.check("db", critical=True)
    async def database() -> None:
        pass

    rig = make_rig()
    rig.pillar.learn_loop(application.loop)
    rig.start()
    settled(rig, application)
    let_go = threading.Event()
    application.loop.call_soon_threadsafe(let_go.wait, 60)
    rig.advance(20)
    assert (rig.status("db").status, rig.status("db").failures) == ("pass", 0)
    rig.advance(20)
    assert (rig.status("db").status, rig.status("db").stale) == ("warn", True)

    let_go.set()
    settled(rig, application)
    assert rig.status("db").status == "pass"


def test_stopped_loop_is_left(
    make_rig: Callable[..., Rig], application: LoopThread
) -> None:
    """When the application's loop runs no more, checks go on on a private one."""
    seen = []

    @health.check("db")
    async def database() -> None:
        seen.append(asyncio.get_running_loop())

    rig = make_rig(spawn=only_private)
    rig.pillar.learn_loop(application.loop)
    rig.start()
    settled(rig, application)
    application.stop()
    rig.advance(10)
    rig.advance(2)
    assert finished(rig, "db")

    assert len(seen) == 2
    assert seen[1] is not application.loop


def test_loop_that_stops_within_a_run(
    make_rig: Callable[..., Rig], application: LoopThread
) -> None:
    """A run that its loop left unfinished is given up, not waited for."""
    seen = []

    @health.check("db")
    async def database() -> None:
        seen.append(asyncio.get_running_loop())
        if len(seen) == 1:
            await asyncio.Event().wait()

    rig = make_rig(spawn=only_private)
    rig.pillar.learn_loop(application.loop)
    rig.start()
    application.settle()
    application.stop()
    rig.advance(2)
    rig.advance(8)
    assert finished(rig, "db")

    assert len(seen) == 2
    assert not rig.status("db").stuck


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_exit_on_a_private_loop(
    make_rig: Callable[..., Rig], error: BaseException
) -> None:
    """A check that exits on a loop of ours has failed, and no more."""
    seen = []

    @health.check("db", loop="private")
    async def database() -> None:
        seen.append(asyncio.get_running_loop())
        if len(seen) == 1:
            raise error

    rig = make_rig(spawn=only_private).start()
    assert finished(rig, "db")
    assert type(error).__name__ in rig.status("db").output

    rig.advance(10)
    assert finished(rig, "db")
    assert seen[1] is seen[0]


def test_exit_on_the_application_s_loop(make_rig: Callable[..., Rig]) -> None:
    """An exit that a signal raised within a check still ends the application."""

    @health.check("db")
    async def database() -> None:
        raise SystemExit(3)

    loop = asyncio.new_event_loop()
    rig = make_rig()
    rig.pillar.learn_loop(loop)
    rig.start()
    with pytest.raises(SystemExit):
        loop.run_forever()

    loop.close()
    rig.step()
    assert rig.status("db").output == "SystemExit: 3"


def test_sometimes_async(make_rig: Callable[..., Rig], application: LoopThread) -> None:
    """A function that returns something to await only now and then is run rightly."""
    answers = [False, True]

    async def database() -> bool:
        return True

    health.check("db")(lambda: answers.pop() and database())
    rig = make_rig()
    rig.pillar.learn_loop(application.loop)
    rig.start()
    rig.step()
    settled(rig, application)

    assert rig.status("db").output == "returned False"


def test_no_thread_for_a_private_loop(make_rig: Callable[..., Rig]) -> None:
    """Where no thread can be started the check waits, tried again each second."""

    @health.check("db", loop="private")
    async def database() -> None:
        pass

    rig = make_rig(spawn=lambda _target, name: name == "svcready-health").start()

    rig.advance(5)

    assert rig.pillar.runner.step() == 1.0
    assert rig.status("db").status == "pending"


def test_close_cancels_what_runs(make_rig: Callable[..., Rig]) -> None:
    """Closing cancels the checks in progress and ends the private loop cleanly."""
    began = threading.Event()
    ended = threading.Event()
    loops = []

    @health.check("db", loop="private")
    async def database() -> None:
        loops.append(asyncio.get_running_loop())
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    threads: list[threading.Thread] = []

    def spawn(target: Callable[[], None], name: str) -> bool:
        if name != "svcready-health":
            threads.append(threading.Thread(target=target, daemon=True))
            threads[-1].start()

        return True

    rig = make_rig(spawn=spawn).start()
    assert began.wait(10)
    rig.close()
    threads[0].join(10)

    assert ended.is_set()
    assert loops[0].is_closed()


def test_loops_are_left_to_the_parent(
    make_rig: Callable[..., Rig], application: LoopThread
) -> None:
    """After a fork neither the application's loop nor the private one is used."""
    seen = []

    @health.check("a")
    async def shared() -> None:
        seen.append(asyncio.get_running_loop())

    @health.check("b", loop="private")
    async def private() -> None:
        seen.append(asyncio.get_running_loop())

    rig = make_rig(spawn=only_private)
    rig.pillar.learn_loop(application.loop)
    rig.start()
    settled(rig, application)
    assert finished(rig, "b")
    before = set(seen)
    seen.clear()
    rig.pillar._after_fork()
    assert {status.status for status in rig.pillar.results()} == {"pending"}

    rig.pillar.wake()
    rig.step()
    rig.advance(5)
    assert finished(rig, "a")
    assert finished(rig, "b")
    assert len(seen) == 2
    assert not before & set(seen)
    for loop in before - {application.loop}:  # the parent's part
        loop.call_soon_threadsafe(loop.stop)
