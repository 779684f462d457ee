"""The background thread and its jobs, by a clock that tests move."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from svcready._core.worker import Worker
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from tests.conftest import Faults


def test_a_job_runs_each_interval() -> None:
    """First after one interval or `first_s`, then from the end of each run."""
    clock = FakeClock()
    worker = Worker("w", clock=clock)
    runs: list[float] = []

    def job() -> None:
        runs.append(clock.monotonic())
        clock.advance(1.0)

    start = clock.monotonic()
    worker.every(10.0, job, name="j", first_s=2.0)
    waits = [worker.run_due()]
    clock.advance(2.0)
    waits.append(worker.run_due())
    clock.advance(9.0)
    waits.append(worker.run_due())
    clock.advance(1.0)
    waits.append(worker.run_due())

    assert [run - start for run in runs] == [2.0, 13.0]
    assert waits == [2.0, 10.0, 1.0, 10.0]


def test_jitter_spreads_the_waits() -> None:
    """By its part of the interval, to both sides, from the given randomness."""
    clock = FakeClock()
    asked = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    worker = Worker("w", clock=clock, uniform=uniform)
    worker.every(10.0, lambda: None, name="j", jitter=0.1)
    clock.advance(10.0)

    assert worker.run_due() == 11.0
    assert asked == [(-1.0, 1.0)]


def test_a_failing_job_stops_neither_itself_nor_the_others(faults: Faults) -> None:
    """Its fault is reported under its name, and it is planned again."""
    clock = FakeClock()
    worker = Worker("w", clock=clock)
    runs: list[str] = []

    def broken() -> None:
        runs.append("broken")
        raise OSError

    worker.every(1.0, broken, name="b")
    worker.every(1.0, lambda: runs.append("fine"), name="f")
    for _ in range(2):
        clock.advance(1.0)
        worker.run_due()

    assert runs == ["broken", "fine"] * 2
    assert isinstance(faults.claim("worker.b"), OSError)
    assert isinstance(faults.claim("worker.b"), OSError)


def test_a_cancelled_job_never_runs_again() -> None:
    """Nor is anything waited for when no other job is left."""
    clock = FakeClock()
    worker = Worker("w", clock=clock)
    runs: list[int] = []
    job = worker.every(1.0, lambda: runs.append(1), name="j")
    clock.advance(1.0)
    worker.run_due()
    job.cancel()
    clock.advance(5.0)

    assert worker.run_due() is None
    assert runs == [1]


def test_nothing_runs_before_wake() -> None:
    """Making a worker and giving it jobs starts no thread."""
    before = threading.active_count()
    worker = Worker("w")
    worker.every(0.0, lambda: None, name="j")

    assert threading.active_count() == before
    assert worker.stop(0.0)


def test_the_thread_runs_jobs_and_stops() -> None:
    """One daemon thread however often it is woken; none after stop."""
    worker = Worker("the-worker")
    ran = threading.Event()
    worker.every(0.001, ran.set, name="j")
    for _ in range(5):
        worker.wake()

    assert ran.wait(10)
    named = [each for each in threading.enumerate() if each.name == "the-worker"]
    assert [thread.daemon for thread in named] == [True]
    assert worker.stop(10)
    assert not named[0].is_alive()
    worker.wake()
    assert not [each for each in threading.enumerate() if each.name == "the-worker"]


def test_a_job_added_later_is_not_waited_past() -> None:
    """The sleeping thread is told of a job that is due sooner."""
    worker = Worker("w")
    ran = threading.Event()
    worker.every(3600.0, lambda: None, name="rare")
    worker.wake()
    worker.every(0.001, ran.set, name="soon")

    assert ran.wait(10)
    assert worker.stop(10)


def test_stop_does_not_wait_for_ever() -> None:
    """A job that hangs is left behind, and stop says so."""
    worker = Worker("w")
    started, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        go_on.wait(10)

    worker.every(0.0, hang, name="j")
    worker.wake()

    assert started.wait(10)
    assert not worker.stop(0.01)
    go_on.set()
    assert worker.stop(10)


def test_a_job_may_stop_its_own_worker() -> None:
    """It does not wait for itself."""
    worker = Worker("w")
    stopped = threading.Event()

    def job() -> None:
        if worker.stop(10):
            stopped.set()

    worker.every(0.0, job, name="j")
    worker.wake()

    assert stopped.wait(10)


def test_without_a_thread_is_no_crash(
    faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has no room for a thread: reported, not raised."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    worker = Worker("w")
    worker.wake()

    assert isinstance(faults.claim("worker"), RuntimeError)
    assert worker.stop(0.0)


def test_a_job_runs_soon_on_the_thread_alone() -> None:
    """Whatever the clock says; without a thread nothing happens, and that is told."""
    clock = FakeClock()
    worker = Worker("w", clock=clock)
    ran, go_on = threading.Event(), threading.Event()
    runs: list[str] = []

    def work() -> None:
        runs.append(threading.current_thread().name)
        ran.set()
        go_on.wait(10)

    job = worker.every(3600.0, work, name="j")
    assert not worker.soon(job)

    worker.wake()
    assert worker.soon(job)
    assert ran.wait(10)
    ran.clear()
    assert worker.soon(job)  # while it runs: once more, and not lost
    assert worker.soon(job)
    go_on.set()
    assert ran.wait(10)
    assert worker.stop(10)
    assert runs == ["w", "w"]
    assert not worker.soon(job)
