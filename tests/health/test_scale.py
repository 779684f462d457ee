"""Many checks, and many times: what probes cost, and that nothing grows."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import threading
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from svcready import health
from svcready.health import _board
from svcready.health._running._pool import DaemonPool
from tests.health.rig import HeldPool, Rig
from tests.health.subject import Subject, check
from tests.health.test_async import LoopThread, settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

THOUSAND = 1000


@pytest.fixture
def application() -> Iterator[LoopThread]:
    """The loop that an application runs on."""
    thread = LoopThread()
    yield thread
    thread.close()


class TestThousandChecks:
    """A thousand checks."""

    def test_a_probe_costs_what_it_costs_without(
        self, make_rig: Callable[..., Rig]
    ) -> None:
        """A probe makes two calls, one of the clock, however many checks there are."""
        for number in range(THOUSAND):
            check(name=f"c{number}", critical=True)

        rig = make_rig().start()
        rig.step()
        assert {status.status for status in rig.pillar.results()} == {"pass"}
        calls: list[str] = []
        sys.setprofile(
            lambda _frame, event, _: calls.append(event) if "call" in event else None
        )
        try:
            for name in ("liveness", "readiness", "startup"):
                rig.pillar.probe(name)
        finally:
            sys.setprofile(None)

        assert len(calls) - 1 <= 2 * 3  # the end of profiling is a call

    def test_answers_are_made_for_many_results_at_once(
        self, make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A thousand results that come one by one cost a tenth of the time at most."""
        for number in range(THOUSAND):
            check(name=f"c{number}", critical=True, timeout=60)

        pool = HeldPool()
        rig = make_rig(lambda: pool).start()
        made: list[float] = []
        render = _board.render

        def slow(*args: object, **kwargs: object) -> object:
            rig.clock.advance(0.001)
            made.append(rig.clock.monotonic())
            return render(*args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(_board, "render", slow)
        began_s = rig.clock.monotonic()
        while pool.jobs:
            pool.finish()
            rig.clock.advance(0.001)
            rig.step()

        took_s = rig.clock.monotonic() - began_s
        assert len(made) * 0.001 <= 0.1 * took_s + 0.002
        waits = [after - before for before, after in itertools.pairwise(made)]
        assert max(waits) < 0.02  # and they are not put off for long either
        rig.clock.advance(0.1)
        rig.step()
        assert rig.answers() == (200, 200, 200)
        assert len(rig.changes) == THOUSAND

    def test_threads(self, make_rig: Callable[..., Rig]) -> None:
        """They share the eight threads that there are."""
        at_once: list[int] = []
        inside: list[int] = []
        done = threading.Semaphore(0)

        def look() -> None:
            inside.append(1)
            at_once.append(len(inside))
            inside.pop()
            done.release()

        for number in range(THOUSAND):
            health.check(f"c{number}")(look)

        pools: list[DaemonPool] = []

        def make_pool() -> DaemonPool:
            pools.append(DaemonPool(8))
            return pools[-1]

        rig = make_rig(make_pool).start()
        for _ in range(THOUSAND):
            while not done.acquire(blocking=False):
                rig.pillar.runner.step()

        assert len(at_once) == THOUSAND
        assert max(at_once) <= 8
        assert pools[0]._threads <= 8


def weight(of: Callable[[], None]) -> int:
    """Return how many bytes more are in use after *of* than before."""
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    of()
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before


class TestThousandCycles:
    """A thousand times down and up."""

    def test_sync(self, make_rig: Callable[..., Rig]) -> None:
        """Checks that fail, hang and recover leave no thread and no byte behind."""
        failing = check(name="fails", critical=True)
        check(name="hangs", critical=True, timeout=2)
        pool = HeldPool(cap=8)
        rig = make_rig(lambda: pool).start()
        self.run_all(pool, rig)

        def cycle(number: int) -> None:
            down = bool(number // 4 % 2)  # long enough to fail, and to recover
            failing.answer = OSError("down") if down else None
            rig.advance(10)
            ends = []
            while pool.jobs:
                name = pool.jobs[0][0].__self__.state.check.name  # type: ignore[attr-defined]
                if name == "hangs" and down:
                    ends.append(pool.begin())
                    break

                pool.finish()
                rig.step()

            rig.advance(2)  # its time is up
            assert len(pool.jobs) <= 1
            for end in ends:
                end()

            rig.step()
            self.run_all(pool, rig)
            seen.update((c.name, c.after) for c in rig.changes)
            del rig.changes[:], rig.runs[:]

        seen: set[tuple[str, str]] = set()
        self.measure(cycle)
        assert seen >= {(n, to) for n in ("fails", "hangs") for to in ("fail", "pass")}
        assert not rig.status("hangs").stuck

    def test_hanging_for_a_thousand_intervals(
        self, make_rig: Callable[..., Rig]
    ) -> None:
        """One that never comes back keeps its one thread, and nothing grows."""
        check(name="hangs", critical=True)
        check(name="fine")
        pool = HeldPool(cap=8)
        rig = make_rig(lambda: pool).start()
        held = [job for job in pool.jobs if self.name_of(job) == "hangs"]
        pool.jobs = [job for job in pool.jobs if job not in held]
        held[0][0].__self__.began_s = rig.clock.monotonic()  # type: ignore[attr-defined]
        self.run_all(pool, rig)

        def cycle(_: int) -> None:
            rig.advance(10)
            self.run_all(pool, rig)
            del rig.changes[:], rig.runs[:]

        self.measure(cycle)
        assert rig.status("hangs").stuck
        assert rig.status("fine").status == "pass"
        assert rig.answers() == (200, 503, 200)

    def test_async(self, make_rig: Callable[..., Rig], application: LoopThread) -> None:
        """The same on an event loop: no task is left behind."""
        subject = Subject()

        async def look() -> object:
            if subject.answer == "hang":
                await asyncio.Event().wait()

            if isinstance(subject.answer, Exception):
                raise subject.answer

            return subject.answer

        health.check("db", critical=True, timeout=2)(look)
        rig = make_rig()
        rig.pillar.learn_loop(application.loop)
        rig.start()
        settled(rig, application)

        def cycle(number: int) -> None:
            subject.answer = (None, "hang", OSError("down"), True)[number % 4]
            rig.advance(10)
            settled(rig, application)
            rig.advance(2)
            settled(rig, application)
            del rig.changes[:], rig.runs[:]

        self.measure(cycle)
        assert not rig.status("db").stuck
        assert not asyncio.all_tasks(application.loop)

    @staticmethod
    def name_of(job: tuple[Callable[[], None], Callable[[], None]]) -> str:
        """Return the name of the check that a job runs."""
        name: str = job[0].__self__.state.check.name  # type: ignore[attr-defined]
        return name

    @staticmethod
    def run_all(pool: HeldPool, rig: Rig) -> None:
        """Run what waits."""
        while pool.jobs:
            pool.finish()
            rig.step()

    @staticmethod
    def measure(cycle: Callable[[int], None]) -> None:
        """Run a thousand cycles, of which those after the first grow nothing."""

        def cycles(first: int, last: int) -> Callable[[], None]:
            def run() -> None:
                for number in range(first, last):
                    cycle(number)

            return run

        threads = threading.active_count()
        tracemalloc.start()
        try:
            cycles(0, 200)()
            # What others' threads do meanwhile weighs, too, but not both times.
            grown = min(weight(cycles(200, 600)), weight(cycles(600, THOUSAND)))
        finally:
            tracemalloc.stop()

        assert threading.active_count() <= threads
        assert grown < 10_000
