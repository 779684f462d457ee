"""Time-outs of plain functions in threads, and all of them from threads and forks."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import svcready
from svcready._core import fork
from svcready.errors import AttemptTimeout, BulkheadFull, DeadlineExceeded
from svcready.resilience import (
    deadline,
    get_timeout,
    policy,
    remaining,
    retry,
    timeout,
)
from svcready.resilience._pillar import apply
from svcready.resilience._timing import _threads as threads
from svcready.testing import FakeClock
from tests.resilience.peers import run_on

WAIT_S = 10.0
"""For what is bound to happen at once; a test that waits so long fails."""


def counts_of(name: str) -> dict[str, int]:
    """Return what the time-out called *name* has counted, zeros left out."""
    counts = get_timeout(name).core.counts()
    return {what: total for what, total in counts.items() if total}


def until_none_is_abandoned(name: str) -> None:
    """Wait for the threads that *name* has given up."""
    over = threading.Event()
    for _ in range(1000):
        if not get_timeout(name).abandoned:
            return

        over.wait(0.01)

    pytest.fail("an abandoned thread has ended, and nobody noticed")


def test_a_thread_is_waited_for_in_time_only() -> None:
    """The caller goes on; the thread is counted as abandoned until it ends."""
    over = threading.Event()

    @svcready.timeout("payments", 0.05, threads=True)
    def hang() -> None:
        over.wait(WAIT_S)

    with pytest.raises(AttemptTimeout, match="payments"):
        hang()

    assert get_timeout("payments").abandoned == 1
    assert counts_of("payments") == {"abandoned": 1}
    over.set()
    until_none_is_abandoned("payments")


def test_answers_errors_and_context_get_through() -> None:
    """The function sees its caller's context and time; exits get out as they are."""
    user = contextvars.ContextVar("user", default="nobody")
    bounded = timeout("payments", 5, threads=2)

    @bounded
    def who() -> tuple[str, bool, str]:
        left = remaining()
        return user.get(), 4 < left <= 5, threading.current_thread().name

    @bounded
    def leave(error: BaseException) -> None:
        raise error

    user.set("ada")
    assert who() == ("ada", True, "svcready-timeout-payments")
    with pytest.raises(ConnectionError):
        leave(ConnectionError())

    with pytest.raises(SystemExit):
        leave(SystemExit(1))

    assert counts_of("payments") == {"success": 1, "failure": 1, "cancelled": 1}


def test_threads_are_bounded_and_used_again() -> None:
    """Where all are taken the call is refused at once, and one that ends is free."""
    over, begun = threading.Event(), threading.Event()
    bounded = timeout("payments", 0.05, threads=1)

    def hang() -> None:
        begun.set()
        over.wait(WAIT_S)

    with pytest.raises(AttemptTimeout):
        bounded.call(hang)

    with pytest.raises(BulkheadFull, match="payments: threads"):
        bounded.call(hang)

    over.set()
    until_none_is_abandoned("payments")
    idents = {bounded.call(threading.get_ident) for _ in range(50)}
    assert len(idents) == 1
    assert counts_of("payments") == {"abandoned": 1, "rejected": 1, "success": 50}


def test_an_operator_changes_how_many_threads_there_are() -> None:
    """More let callers in at once; of fewer, those at work finish what they do."""
    over, begun = threading.Event(), threading.Semaphore(0)

    @svcready.timeout("payments", WAIT_S, threads=1)
    def hang() -> str:
        begun.release()
        over.wait(WAIT_S)
        return "done"

    with ThreadPoolExecutor(3) as callers:
        calls = [callers.submit(hang)]
        assert begun.acquire(timeout=WAIT_S)
        with pytest.raises(BulkheadFull):
            hang()

        assert apply("payments", {"timeout_threads": 2}) == ()
        calls.append(callers.submit(hang))
        assert begun.acquire(timeout=WAIT_S)
        apply("payments", {"timeout_threads": 1})
        with pytest.raises(BulkheadFull):
            hang()

        over.set()
        assert [call.result(WAIT_S) for call in calls] == ["done", "done"]

    assert hang() == "done"


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that nobody uses has no threads, and starts new ones."""
    monkeypatch.setattr(threads, "_IDLE_S", 0.01)
    bounded = timeout("payments", 5, threads=1)
    first = bounded.call(threading.current_thread)
    first.join(WAIT_S)
    assert not first.is_alive()
    second = bounded.call(threading.current_thread)
    assert second is not first
    second.join(WAIT_S)


def test_what_a_thread_answered_is_let_go() -> None:
    """An idle thread holds on to nobody's arguments and answers."""

    class Answer:
        """Something that can be watched."""

    bounded = timeout("payments", 5, threads=1)
    gone = weakref.ref(bounded.call(Answer))
    bounded.call(int)
    gc.collect()
    assert gone() is None


def test_a_deadline_ends_the_wait_for_a_thread() -> None:
    """The caller's shorter deadline is told apart from the attempt's own time."""
    over = threading.Event()
    bounded = timeout("payments", 5, threads=True)
    with pytest.raises(DeadlineExceeded):
        deadline("page", 0.05).call(bounded.call, over.wait, WAIT_S)

    over.set()
    until_none_is_abandoned("payments")


def test_observing_and_off_use_no_thread() -> None:
    """Where nothing is enforced the function runs where it is called."""
    bounded = timeout("payments", 5, threads=True)
    for mode in ("observe", "off"):
        apply("payments", {"timeout_mode": mode})
        assert bounded.call(threading.get_ident) == threading.get_ident()


def test_who_is_interrupted_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal's handler that raises in the caller leaves the thread to itself."""
    over = threading.Event()
    bounded = timeout("payments", 5, threads=True)
    waits = threads.Job.wait

    def interrupted(job: threads.Job, timeout_s: float) -> bool:
        if timeout_s:
            raise KeyboardInterrupt

        return waits(job, timeout_s)

    monkeypatch.setattr(threads.Job, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bounded.call(over.wait, WAIT_S)

    assert get_timeout("payments").abandoned == 1
    assert counts_of("payments") == {"cancelled": 1}
    over.set()
    until_none_is_abandoned("payments")


def test_awaitables_from_threads_are_bounded() -> None:
    """What a function in a thread returns is awaited on the caller's loop."""
    bounded = timeout("payments", 0.05, threads=True)

    async def main() -> None:
        with pytest.raises(AttemptTimeout):
            await bounded.call(lambda: asyncio.sleep(WAIT_S))

    asyncio.run(main())


def test_four_threads_and_two_loops_share_one() -> None:
    """From everywhere at once each call ends as it must, and each is counted."""
    payments = policy("payments", deadline=60, timeout=30, retry=OSError)
    short = timeout("short", 0.01)
    seen: list[int] = []
    together = threading.Barrier(6)

    @payments
    def plain(order: int) -> int:
        return order

    @payments
    async def coroutine(order: int) -> int:
        await asyncio.sleep(0)
        return order

    def call_plainly() -> None:
        together.wait()
        seen.append(sum(plain(order) == order for order in range(500)))

    async def call_and_await() -> None:
        together.wait()
        found = await asyncio.gather(*map(coroutine, range(500)))
        seen.append(len(found))
        with pytest.raises(AttemptTimeout):
            await short.call(asyncio.sleep, WAIT_S)

    workers = [threading.Thread(target=call_plainly) for _ in range(4)]
    workers += [
        threading.Thread(target=lambda: asyncio.run(call_and_await())) for _ in range(2)
    ]
    for worker in workers:
        worker.start()

    for worker in workers:
        worker.join(WAIT_S)

    assert sum(seen) == 3000
    assert counts_of("payments") == {"success": 3000}
    assert counts_of("short") == {"timed_out": 2}


def test_without_an_interpreter_lock_calls_count_too(clock: FakeClock) -> None:
    """Where successes may not count unlocked they are counted under the lock."""
    bounded = timeout("payments", 2)
    bounded.core.calm = False
    run_on(clock)
    assert bounded.call(int, "7") == 7
    assert counts_of("payments") == {"success": 1}


def test_a_forked_child_counts_and_starts_threads_anew() -> None:
    """Counts are told by the parent; the pool's threads exist in the parent only."""
    fork.install()
    bounded = timeout("payments", 5, threads=1)
    assert bounded.call(int) == 0
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = counts_of("payments")
            said = f"{before} {bounded.call(int)} {counts_of('payments')}"
            os.write(writing, said.encode())
        finally:
            os._exit(0)

    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as source:
        assert source.read() == "{} 0 {'success': 1}"


def test_a_fork_within_a_thread_ends_the_thread() -> None:
    """In a child that a call forks, the call's thread belongs to no pool."""
    fork.install()
    bounded = timeout("payments", 5, threads=1)
    reading, writing = os.pipe()

    def divide() -> int:
        child = os.fork()
        if child == 0:
            try:
                os.write(writing, str(bounded.call(lambda: 3)).encode())
            finally:
                os._exit(0)

        os.waitpid(child, 0)
        return child

    assert bounded.call(divide)
    os.close(writing)
    with os.fdopen(reading) as source:
        assert source.read() == "3"


def test_a_system_without_threads_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started the call is refused, and the place is free."""
    monkeypatch.setattr(threads, "start_daemon", lambda *_: None)
    bounded = timeout("payments", 5, threads=1)
    with pytest.raises(BulkheadFull):
        bounded.call(int)

    monkeypatch.undo()
    assert bounded.call(int) == 0


def test_a_retry_runs_each_attempt_in_its_thread() -> None:
    """A plain function that hangs once is called again while the first still runs."""
    over, calls = threading.Event(), Counter[str]()

    @retry("payments", on=TimeoutError, wait_base=0.001, wait_max=0.001)
    @timeout("payments", 0.05, threads=True)
    def pay() -> str:
        calls["pay"] += 1
        if calls["pay"] == 1:
            over.wait(WAIT_S)

        return "paid"

    assert pay() == "paid"
    over.set()
    until_none_is_abandoned("payments")


def test_what_was_given_up_before_it_began_never_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that comes up late makes no call that nobody waits for any more."""
    late: list[Callable[[], object]] = []

    def start(run: Callable[[], object], *_: str) -> bool:
        late.append(run)
        return True

    monkeypatch.setattr(threads, "start_daemon", start)
    monkeypatch.setattr(threads, "_IDLE_S", 0.0)
    made: list[int] = []
    bounded = timeout("payments", "10ms", threads=1)
    with pytest.raises(AttemptTimeout):
        bounded.call(made.append, 1)

    assert bounded.core.abandoned == 1
    late.pop()()
    assert made == []
    assert bounded.core.abandoned == 0
