"""When checks run, and what becomes of those that do not come back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from svcready import health
from svcready.config._sections.health import HealthSettings
from svcready.health import CheckChanged
from svcready.health._running._pool import DaemonPool
from tests.health.rig import HeldPool, InlinePool, Rig

if TYPE_CHECKING:
    from collections.abc import Callable


from tests.health.subject import check


class TestTime:
    """When checks run."""

    def test_interval(self, make_rig: Callable[..., Rig]) -> None:
        """A check runs at once and then every interval, however often it is looked."""
        subject = check(interval=10)
        rig = make_rig().start()
        for _ in range(100):
            rig.advance(1)

        assert subject.calls == 11

    def test_jitter(self) -> None:
        """Intervals are spread by 10 % so that instances do not probe in step."""
        asked = []

        def highest(low: float, high: float) -> float:
            asked.append((low, high))
            return high

        subject = check(interval=10)
        rig = Rig()
        rig.pillar.runner._agenda._uniform = highest
        rig.start()
        rig.advance(10.9)
        assert subject.calls == 1
        rig.advance(0.1)
        assert subject.calls == 2
        assert asked == [(-1, 1)] * 2
        rig.close()

    def test_step_tells_when_to_come_again(self, make_rig: Callable[..., Rig]) -> None:
        """A step returns how long nothing is due, and None if nothing ever is."""
        rig = make_rig()
        assert rig.start().pillar.runner.step() is None
        check(interval=7)
        rig.step()

        assert rig.pillar.runner.step() == 2.0  # its time-out is looked at
        rig.advance(2)
        assert rig.pillar.runner.step() == 5.0

    def test_many_checks_share_few_threads(self, make_rig: Callable[..., Rig]) -> None:
        """Checks that are due together wait for a thread and all have their turn."""
        subjects = [check(name=f"c{n}") for n in range(200)]
        pool = HeldPool(cap=8)
        rig = make_rig(lambda: pool).start()

        while pool.jobs:
            assert len(pool.jobs) <= 8
            pool.finish()
            rig.step()

        assert [subject.calls for subject in subjects] == [1] * 200
        assert {status.status for status in rig.pillar.results()} == {"pass"}

    def test_late_declaration_runs(self, make_rig: Callable[..., Rig]) -> None:
        """A check declared after start is taken up."""
        rig = make_rig().start()
        check(name="late")
        rig.step()

        assert rig.status("late").status == "pass"

    def test_replaced_function_runs(self, make_rig: Callable[..., Rig]) -> None:
        """After an application factory ran again, its new function is the one run."""
        calls = []

        def factory(mark: int) -> None:
            @health.check("db")
            def database() -> None:
                calls.append(mark)

        factory(1)
        rig = make_rig().start()
        factory(2)
        rig.advance(10)

        assert calls == [1, 2]
        assert len(rig.pillar.results()) == 1

    def test_reload(self, make_rig: Callable[..., Rig]) -> None:
        """New values of the operator take effect; a check can go off and on again."""
        subject = check(critical=True)
        other = check(False, name="other")
        values: dict[str, dict[str, object]] = {}
        rig = make_rig(values=values).start()
        rig.step()
        values["db"] = {"enabled": False}
        values["other"] = {"interval_s": 5.0}
        rig.pillar.reload()
        for _ in range(6):
            rig.advance(5)

        assert (subject.calls, other.calls) == (1, 6)
        assert [status.name for status in rig.pillar.results()] == ["other"]
        assert rig.status("other").failures == 6
        assert rig.pillar.describe()["off"] == ["db"]
        del values["db"]
        rig.pillar.reload()
        rig.step()
        assert subject.calls == 2
        assert rig.pillar.describe()["off"] == []

    def test_switched_off(self, make_rig: Callable[..., Rig]) -> None:
        """With the section off no check runs, and probes follow the lifecycle."""
        subject = check(False, critical=True)
        rig = make_rig(settings=HealthSettings(enabled=False)).start()

        assert subject.calls == 0
        assert rig.answers() == (200, 200, 200)


class TestHanging:
    """A check that does not come back."""

    def test_timeout(self, make_rig: Callable[..., Rig]) -> None:
        """A run that is not back in time has failed, whatever it says later."""
        check(critical=True, timeout=2)
        pool = HeldPool()
        rig = make_rig(lambda: pool).start()
        end = pool.begin()
        rig.advance(1.9)
        assert rig.status("db").status == "pending"

        rig.advance(0.1)
        got = rig.status("db")
        assert (got.status, got.output) == ("fail", "not back within 2 s")
        assert got.stuck

        end()
        rig.step()
        assert rig.status("db").status == "fail"
        assert not rig.status("db").stuck

    def test_is_not_started_again(self, make_rig: Callable[..., Rig]) -> None:
        """A hanging run keeps failing and is never joined by a second one."""
        check(critical=True)
        pool = HeldPool()
        rig = make_rig(lambda: pool).start()
        pool.finish()
        rig.advance(10)
        end = pool.begin()
        for _ in range(60):
            rig.advance(10)

        assert pool.taken == 2
        assert rig.status("db").failures == 1 + 60  # its time-out, then each interval
        assert rig.status("db").status == "fail"

        end()
        for _ in range(2):
            rig.advance(10)
            pool.finish()
            rig.step()

        assert rig.status("db").status == "pass"

    def test_ten_minutes_cost_one_thread(self, make_rig: Callable[..., Rig]) -> None:
        """A check that hangs for ten minutes holds one thread; the others go on."""
        let_go = threading.Event()
        began = threading.Event()
        done = threading.Semaphore(0)

        @health.check("hangs", critical=True)
        def hangs() -> None:
            began.set()
            let_go.wait(60)

        @health.check("fine")
        def fine() -> None:
            done.release()

        pool = DaemonPool(8)
        before = threading.active_count()
        rig = make_rig(lambda: pool).start()
        assert began.wait(10)
        for _ in range(60):
            assert done.acquire(timeout=10)
            assert threading.active_count() - before <= 2
            while rig.pillar.runner.states["fine"].run is not None:
                rig.pillar.runner.step()

            rig.advance(10)
            assert rig.answers()[1] == 503 or rig.status("hangs").status == "pending"

        assert rig.status("hangs").stuck
        assert rig.status("fine").status == "pass"
        assert pool._threads <= 2
        let_go.set()

    def test_switched_off_meanwhile(self, make_rig: Callable[..., Rig]) -> None:
        """Nothing more is told of a check that the operator has switched off."""
        check(critical=True)
        pool = HeldPool()
        values: dict[str, dict[str, object]] = {}
        rig = make_rig(lambda: pool, values=values).start()
        pool.finish()
        rig.advance(10)
        assert rig.status("db").status == "pass"
        pool.begin()  # and it does not come back
        values["db"] = {"enabled": False}
        rig.pillar.reload()

        for _ in range(10):
            rig.advance(10)

        assert [change.after for change in rig.changes] == ["pass"]
        assert len(rig.runs) == 1

    def test_no_thread_for_a_while(self, make_rig: Callable[..., Rig]) -> None:
        """A check that the system gave no thread is tried again each second."""
        check(critical=True)
        pool = HeldPool(cap=0)
        rig = make_rig(lambda: pool).start()
        wait_s = rig.pillar.runner.step()
        assert wait_s is not None
        assert wait_s <= 1.0

        pool.cap = 1
        rig.advance(1.0)
        pool.finish()
        rig.step()
        assert rig.status("db").status == "pass"

    def test_no_thread_for_the_runner(self, make_rig: Callable[..., Rig]) -> None:
        """It is asked for again at the next probe."""
        given: list[bool] = [False]
        rig = make_rig(spawn=lambda _target, _name: given[-1])
        rig.pillar.start()
        rig.pillar.wake()
        assert not rig.pillar.runner.wake()

        given.append(True)
        rig.pillar.probe("liveness")
        assert rig.pillar.runner._pulse._runs

    def test_no_free_thread_makes_stale_not_down(
        self, make_rig: Callable[..., Rig]
    ) -> None:
        """Without a free thread a check keeps its result, turns stale and warns."""
        check(name="fine", critical=True)
        pool = HeldPool(cap=1)
        rig = make_rig(lambda: pool).start()
        pool.finish()
        rig.step()
        pool.cap = 0

        rig.advance(31.9)
        assert rig.status("fine").status == "pass"
        rig.advance(0.2)
        got = rig.status("fine")
        assert (got.status, got.stale) == ("warn", True)
        assert rig.answers() == (200, 200, 200)
        assert rig.changes[-1] == CheckChanged(
            "fine", "pass", "warn", "no result for too long", "critical"
        )

    def test_stale_failure_stays_a_failure(self, make_rig: Callable[..., Rig]) -> None:
        """An old failure does not turn into a warning by ageing."""
        check(False, name="db", critical=True)
        pool = HeldPool(cap=1)
        rig = make_rig(lambda: pool).start()
        pool.finish()
        rig.step()
        pool.cap = 0
        rig.advance(40)

        assert rig.status("db").stale
        assert rig.answers()[1] == 503

    def test_dead_runner_shows(self, make_rig: Callable[..., Rig]) -> None:
        """If nothing steps the runner any more, probes stop saying `pass`."""
        check(name="db", critical=True)
        rig = make_rig().start()
        rig.step()
        assert rig.pillar.probe("readiness").body == b'{"status":"pass"}'

        rig.clock.advance(31.9)
        assert rig.pillar.probe("readiness").body == b'{"status":"pass"}'
        rig.clock.advance(0.2)
        assert rig.pillar.probe("readiness") == (200, b'{"status":"warn"}')
        assert rig.pillar.probe("liveness").body == b'{"status":"pass"}'
        assert rig.pillar.report()["status"] == "warn"


class TestPool:
    """The threads of synchronous checks."""

    def test_threads_are_kept(self) -> None:
        """One job after another needs one thread."""
        pool = DaemonPool(8)
        names = set()
        for _ in range(20):
            done = threading.Event()
            assert pool.submit(
                lambda: names.add(threading.current_thread().ident), done.set
            )
            assert done.wait(10)

        assert len(names) == 1
        pool.close()

    def test_cap(self) -> None:
        """Beyond the cap a job is refused; a thread that comes free is used again."""
        pool = DaemonPool(2)
        gate = threading.Event()
        free = threading.Semaphore(0)
        for _ in range(2):
            assert pool.submit(lambda: _wait(gate), free.release)

        assert not pool.submit(lambda: None, lambda: None)
        gate.set()
        assert free.acquire(timeout=10)
        assert pool.submit(lambda: None, free.release)
        pool.close()
        assert not pool.submit(lambda: None, lambda: None)

    def test_no_new_threads(self) -> None:
        """Where the interpreter starts no threads any more, a job is refused."""
        pool = DaemonPool(2, spawn=lambda _target, _name: False)

        assert not pool.submit(lambda: None, lambda: None)
        assert pool._threads == 0


def _wait(gate: threading.Event) -> None:
    gate.wait(10)


def test_runner_goes_on_after_a_fault_of_ours(
    faults: object, make_rig: Callable[..., Rig]
) -> None:
    """A fault inside the runner is reported, and the checks go on."""
    broken = threading.Event()
    fine = threading.Event()

    class Broken(InlinePool):
        def submit(self, job: Callable[[], None], then: Callable[[], None]) -> bool:
            if not broken.is_set():
                broken.set()
                raise LookupError

            super().submit(job, then)
            fine.set()
            return True

    check()
    threads = []

    def spawn(target: Callable[[], None], name: str) -> bool:
        thread = threading.Thread(target=target, name=name, daemon=True)
        threads.append(thread)
        thread.start()
        return True

    rig = make_rig(Broken, spawn=spawn)
    rig.pillar.start()
    rig.pillar.wake()
    assert broken.wait(10)
    assert fine.wait(10)
    rig.pillar.close(5)
    threads[0].join(5)
    assert not threads[0].is_alive()
    assert isinstance(faults.claim("health.runner"), LookupError)  # type: ignore[attr-defined]
