"""Checks that hang take no thread from those that do not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from svcready import health
from svcready.health._running._pool import DaemonPool
from tests.health.rig import HeldPool
from tests.health.subject import check

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.health.rig import Rig


class TestRunner:
    """What probes say while others hang."""

    def test_critical_check_has_its_first_result(
        self, make_rig: Callable[..., Rig]
    ) -> None:
        """As many hanging checks as there are threads do not hold up the start."""
        for number in range(8):
            check(name=f"hangs{number}")

        check(name="db", critical=True)
        pool = HeldPool(cap=8)
        rig = make_rig(lambda: pool).start()
        assert pool.taken == 8
        begin_all(pool)
        assert rig.answers() == (200, 503, 503)

        rig.advance(2)
        assert pool.taken == 9
        finish_last(pool)
        rig.step()
        assert rig.status("db").status == "pass"
        assert all(rig.status(f"hangs{number}").stuck for number in range(8))
        assert rig.answers() == (200, 200, 200)

    def test_critical_failure_is_seen(self, make_rig: Callable[..., Rig]) -> None:
        """A check that passed and then fails takes the service out of rotation."""
        for number in range(8):
            check(name=f"hangs{number}")

        db = check(name="db", critical=True, fail_after=1)
        pool = HeldPool(cap=8)
        rig = make_rig(lambda: pool).start()
        while pool.jobs:
            pool.finish()
            rig.step()

        assert rig.answers() == (200, 200, 200)
        db.answer = False
        rig.advance(10)
        assert pool.taken == 9 + 8
        begin_all(pool)
        rig.advance(2)
        finish_last(pool)
        rig.step()

        assert (rig.status("db").status, rig.status("db").stale) == ("fail", False)
        assert rig.answers() == (200, 503, 200)

    def test_dropped_ones_do_not_add_up(self, make_rig: Callable[..., Rig]) -> None:
        """No more threads hang without counting than there are checks."""
        check(critical=True)
        pool = HeldPool(cap=3)
        values: dict[str, dict[str, object]] = {}
        rig = make_rig(lambda: pool, values=values).start()
        for _ in range(10):  # switched off while it hangs, and on again
            begin_all(pool)
            rig.advance(2)
            values["db"] = {"enabled": False}
            rig.pillar.reload()
            del values["db"]
            rig.pillar.reload()
            rig.step()

        assert pool.taken == len(pool.jobs) == 3 + 1
        assert len(pool.given_up) == 1


class TestPool:
    """The threads themselves."""

    def test_bounded_when_they_return_and_hang_again(self) -> None:
        """Threads are never more than the cap and one for each check that hangs."""
        alive = Alive()
        pool = DaemonPool(2, alive.spawn)
        for _ in range(5):
            gate, back = threading.Event(), threading.Semaphore(0)
            jobs = [hanging(gate) for _ in range(4)]
            for job in jobs:
                assert pool.submit(job, back.release)
                pool.give_up(job, 4)

            done = [hanging(gate) for _ in range(2)]
            assert all(pool.submit(job, back.release) for job in done)
            assert not pool.submit(lambda: None, lambda: None)
            gate.set()
            for _ in range(6):
                assert back.acquire(timeout=10)

            alive.wait_for(2)
            assert (pool._threads, pool._idle) == (2, 2)
            assert alive.most <= 2 + 4

        pool.close()
        alive.wait_for(0)

    def test_returns_to_work(self) -> None:
        """A thread that comes back where there is room is used again."""
        alive = Alive()
        pool = DaemonPool(1, alive.spawn)
        gate, back = threading.Event(), threading.Semaphore(0)
        job = hanging(gate)
        assert pool.submit(job, back.release)
        pool.give_up(job, 1)
        gate.set()
        assert back.acquire(timeout=10)

        assert pool.submit(lambda: None, back.release)
        assert back.acquire(timeout=10)
        assert alive.most == 1
        pool.close()
        alive.wait_for(0)

    def test_gives_up_no_more_than_it_may(self) -> None:
        """Beyond that many, and for a job that is over, the cap is as it was."""
        pool = DaemonPool(2)
        gate, back = threading.Event(), threading.Semaphore(0)
        first, second = hanging(gate), hanging(gate)
        assert pool.submit(first, back.release)
        assert pool.submit(second, back.release)
        for job in (first, first, second):
            pool.give_up(job, 1)

        assert pool._threads == 1
        gate.set()
        assert back.acquire(timeout=10)
        assert back.acquire(timeout=10)
        pool.give_up(first, 1)
        pool.give_up(second, 1)
        assert pool._threads == 2
        pool.close()

    def test_ends_after_the_close(self) -> None:
        """A thread that comes back to a closed pool ends."""
        alive = Alive()
        pool = DaemonPool(2, alive.spawn)
        gate = threading.Event()
        job = hanging(gate)
        assert pool.submit(job, lambda: None)
        pool.give_up(job, 1)
        pool.close()
        gate.set()

        alive.wait_for(0)


class TestProcess:
    """With threads and time as they are."""

    def test_default_pool(self, make_rig: Callable[..., Rig]) -> None:
        """The pool that a service has lets a healthy check run beside eight hung."""
        gate, ran = threading.Event(), threading.Event()
        began = threading.Semaphore(0)

        def hang() -> None:
            began.release()
            gate.wait(20)

        for number in range(8):
            health.check(f"hangs{number}")(hang)

        health.check("db", critical=True)(ran.set)
        rig = make_rig(lambda: DaemonPool(8)).start()
        for _ in range(8):
            assert began.acquire(timeout=10)

        rig.advance(2)
        assert ran.wait(10)
        while rig.status("db").status == "pending":
            rig.step()

        assert rig.answers() == (200, 200, 200)
        gate.set()


class Alive:
    """Starts threads and counts those that live."""

    def __init__(self) -> None:
        self.most = 0
        self._threads: list[threading.Thread] = []

    def spawn(self, target: Callable[[], None], name: str) -> bool:
        """Start one."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads = [thread, *filter(threading.Thread.is_alive, self._threads)]
        self.most = max(self.most, len(self._threads))
        return True

    def wait_for(self, number: int) -> None:
        """Wait until no more than *number* are left."""
        while len(self._threads) > number:
            for thread in self._threads:
                thread.join(0.001)

            self._threads = [t for t in self._threads if t.is_alive()]


def hanging(gate: threading.Event) -> Callable[[], None]:
    """Return a job, like no other, that waits for *gate*."""

    def job() -> None:
        gate.wait(20)

    return job


def begin_all(pool: HeldPool) -> None:
    """Begin every job that has not begun; none ends."""
    for job, _ in pool.jobs:
        if job.__self__.began_s is None:  # type: ignore[attr-defined]
            job()


def finish_last(pool: HeldPool) -> None:
    """Run the job that was taken last."""
    job, then = pool.jobs.pop()
    job()
    then()
