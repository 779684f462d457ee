"""Checks that run when a probe asks, and not before."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from svcready import health
from svcready.config._sections.health import HealthSettings
from svcready.health._running._pool import DaemonPool, spawn_daemon
from tests.health.rig import HeldPool, InlinePool, Rig
from tests.health.subject import check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.health._running._pool import Pool


def settings(**more: object) -> HealthSettings:
    """Return settings of the mode, with a wait that no test reaches by itself."""
    return HealthSettings(
        **{"mode": "on_demand", "total_timeout_s": 30.0, **more}  # type: ignore[arg-type]
    )


@pytest.fixture
def begin(make_rig: Callable[..., Rig]) -> Iterator[Callable[..., Rig]]:
    """Start rigs whose runner has its real thread, on a fake clock."""
    rigs: list[Rig] = []

    def start(pool: Callable[[], Pool] = InlinePool, **more: object) -> Rig:
        rig = make_rig(pool, settings=settings(**more), spawn=spawn_daemon)
        rig.pillar.start()
        rig.pillar.wake()
        rig.pillar.lifecycle.ready()
        rigs.append(rig)
        return rig

    yield start
    for rig in rigs:
        assert rig.pillar.close(10)


class Asker(threading.Thread):
    """Somebody who refreshes, and what came of it."""

    def __init__(self, rig: Rig, name: str | None = "readiness") -> None:
        super().__init__(daemon=True)
        self._rig = rig
        self._asked = name
        self.result: bool | None = None
        self.start()

    def run(self) -> None:
        """Ask."""
        self.result = self._rig.pillar.refresh(self._asked)

    def answer(self) -> bool | None:
        """Return what came of it."""
        self.join(20)
        assert not self.is_alive()
        return self.result


def runner_threads() -> int:
    """Count the threads of runners."""
    return sum(t.name == "svcready-health" for t in threading.enumerate())


def pass_on(rig: Rig, seconds: float) -> None:
    """Let time pass, and the runner see it."""
    rig.clock.advance(seconds)
    rig.pillar.runner._pulse.nudge()


class TestAsking:
    """What runs, and when."""

    def test_nothing_runs_unasked(self, begin: Callable[..., Rig]) -> None:
        """There is no thread and no run until somebody asks, and none after that."""
        subject = check(critical=True)
        rig = begin()
        pass_on(rig, 3600)
        assert rig.answers() == (200, 503, 503)
        assert subject.calls == 0
        assert runner_threads() == 0

        assert rig.pillar.refresh("readiness")
        assert rig.answers() == (200, 200, 200)
        for _ in range(100):
            pass_on(rig, 10)

        assert subject.calls == 1
        assert rig.pillar.probe("readiness").body == b'{"status":"pass"}'

    def test_ttl(self, begin: Callable[..., Rig]) -> None:
        """A result is good for 5 s, then the next probe has a new one."""
        subject = check(critical=True)
        rig = begin()
        for _ in range(3):
            rig.pillar.refresh("readiness")
            rig.pillar.refresh("readiness")
            rig.clock.advance(4.9)
            rig.pillar.refresh("readiness")
            rig.clock.advance(0.1)

        assert subject.calls == 3

    def test_only_the_checks_of_the_group(self, begin: Callable[..., Rig]) -> None:
        """A probe runs what its answer depends on; the report runs everything."""
        names = ("ready", "other", "start", "live")
        groups = ("readiness", "other", "startup", "liveness")
        subjects = [
            check(name=name, groups=(group,), critical=True, force_liveness=True)
            for name, group in zip(names, groups, strict=True)
        ]
        rig = begin()

        def calls_after(asked: str | None) -> list[int]:
            rig.pillar.refresh(asked)
            rig.clock.advance(10)
            return [subject.calls for subject in subjects]

        assert calls_after("other") == [0, 1, 0, 0]
        assert calls_after("startup") == [1, 1, 1, 0]
        assert calls_after("startup") == [1, 1, 1, 0]  # it is over
        assert calls_after("readiness") == [2, 1, 1, 0]
        assert calls_after("liveness") == [2, 1, 1, 1]
        assert calls_after(None) == [3, 2, 2, 2]
        assert calls_after("nonsense") == [3, 2, 2, 2]

    def test_who_has_to_ask(self, begin: Callable[..., Rig]) -> None:
        """Liveness asks nothing, so that it needs no thread; background never asks."""
        check(critical=True)
        rig = begin()

        assert [rig.pillar.asks(n) for n in ("liveness", "readiness", "startup")] == [
            *(False, True, True),
        ]
        assert rig.pillar.refresh("liveness")
        assert runner_threads() == 0
        assert rig.pillar.describe()["mode"] == "on_demand"

    def test_background_has_nothing_to_ask(self, make_rig: Callable[..., Rig]) -> None:
        """In the other mode a refresh returns at once and runs nothing."""
        subject = check(critical=True)
        rig = make_rig()
        rig.pillar.start()

        assert rig.pillar.refresh("readiness")
        assert not rig.pillar.asks("readiness")
        assert subject.calls == 0

    def test_one_run_for_a_hundred(self, begin: Callable[..., Rig]) -> None:
        """A hundred probes at once share one run of each check."""
        gate = threading.Event()
        began = threading.Semaphore(0)
        calls = []

        def wait(number: int) -> Callable[[], None]:
            def look() -> None:
                calls.append(number)
                began.release()
                gate.wait(20)

            return look

        for number in range(5):
            health.check(f"c{number}", critical=True, timeout=60)(wait(number))

        rig = begin(lambda: DaemonPool(8))
        askers = [Asker(rig) for _ in range(100)]
        for _ in range(5):
            assert began.acquire(timeout=10)

        gate.set()
        assert all(asker.answer() for asker in askers)
        assert sorted(calls) == [0, 1, 2, 3, 4]
        assert rig.answers() == (200, 200, 200)

    def test_two_probes_share_a_check(self, begin: Callable[..., Rig]) -> None:
        """Probes of two groups that ask for one check wait for the same run."""
        gate = threading.Event()
        began = threading.Semaphore(0)

        @health.check("db", critical=True, groups=("readiness", "other"), timeout=60)
        def database() -> None:
            began.release()
            gate.wait(20)

        rig = begin(lambda: DaemonPool(8))
        first, second = Asker(rig), Asker(rig, "other")
        assert began.acquire(timeout=10)
        gate.set()

        assert first.answer()
        assert second.answer()
        assert not began.acquire(blocking=False)

    def test_thresholds(self, begin: Callable[..., Rig]) -> None:
        """Results count as they do in the background."""
        subject = check(critical=True)
        rig = begin()
        seen = []
        for answer in (None, False, False, False, None, None):
            subject.answer = answer
            rig.pillar.refresh("readiness")
            seen.append(rig.pillar.probe("readiness").status)
            rig.clock.advance(5)

        assert seen == [200, 200, 200, 503, 503, 200]

    def test_informational_checks_hold_nobody_up(
        self, begin: Callable[..., Rig]
    ) -> None:
        """They run, and a probe does not wait for them."""
        check(critical=True)
        pool = HeldPool()

        class Some(InlinePool):
            def submit(self, job: Callable[[], None], then: Callable[[], None]) -> bool:
                if job.__self__.state.check.name == "slow":  # type: ignore[attr-defined]
                    return pool.submit(job, then)

                return super().submit(job, then)

        check(name="slow", criticality="informational")
        rig = begin(Some)

        assert rig.pillar.refresh("readiness")
        assert pool.taken == 1
        assert rig.status("slow").status == "pending"


class TestHanging:
    """Checks that do not come back."""

    def test_total_time(self, begin: Callable[..., Rig]) -> None:
        """A probe waits so long for all, then answers from what there is."""
        pool = HeldPool()
        check(critical=True, timeout=60)
        rig = begin(lambda: pool, total_timeout_s=20.0)
        first = Asker(rig)
        while not pool.jobs:
            pass

        pass_on(rig, 19.9)
        first.join(0.01)
        assert first.is_alive()
        pass_on(rig, 0.1)
        assert first.answer() is False
        assert rig.answers() == (200, 503, 503)

        # Nobody else waits for a run that has been under way for so long.
        for _ in range(50):
            assert Asker(rig).answer() is False or pytest.fail("waited")

        assert pool.taken == 1
        pool.finish()
        rig.pillar.runner._pulse.nudge()
        while rig.status("db").status == "pending":
            pass

        assert rig.answers() == (200, 200, 200)
        assert Asker(rig).answer()

    def test_costs_one_thread(self, begin: Callable[..., Rig]) -> None:
        """A check that hangs for hours of probes is not started again."""
        pool = HeldPool()
        check(critical=True, timeout=2)
        rig = begin(lambda: pool, total_timeout_s=20.0)
        first = Asker(rig)
        while not pool.jobs:
            pass

        end = pool.begin()
        pass_on(rig, 2)
        assert first.answer()
        assert rig.status("db").output == "not back within 2 s"
        for number in range(100):
            rig.clock.advance(5)
            assert Asker(rig).answer()
            assert rig.status("db").failures == number + 2

        assert pool.taken == 1
        assert rig.status("db").stuck
        end()
        rig.clock.advance(5)
        rig.pillar.runner._pulse.nudge()
        while rig.status("db").stuck:
            pass

        again = Asker(rig)
        while not pool.jobs:
            pass

        pool.finish()
        assert again.answer()
        assert rig.status("db").failures == 0

    def test_no_free_thread_makes_stale_not_down(
        self, begin: Callable[..., Rig]
    ) -> None:
        """Without a thread a check keeps its result, and in the end turns stale."""
        pool = HeldPool(cap=1)
        check(critical=True)
        rig = begin(lambda: pool, total_timeout_s=0.01)
        Asker(rig)
        while not pool.jobs:
            pass

        pool.finish()
        while rig.status("db").status == "pending":
            pass

        pool.cap = 0
        rig.clock.advance(3600)  # nobody asked, so it is not stale
        assert rig.pillar.probe("readiness").body == b'{"status":"pass"}'
        for _ in range(4):
            Asker(rig).answer()
            assert rig.answers()[1] == 200
            pass_on(rig, 10)

        while not rig.status("db").stale:
            pass

        assert rig.pillar.probe("readiness") == (200, b'{"status":"warn"}')

    def test_close_lets_everyone_go(self, begin: Callable[..., Rig]) -> None:
        """Who waits while the service ends is let go."""
        pool = HeldPool()
        check(critical=True)
        rig = begin(lambda: pool)
        asker = Asker(rig)
        while not pool.jobs:
            pass

        assert rig.pillar.close(10)
        assert asker.answer() is False

    def test_no_new_threads(self, make_rig: Callable[..., Rig]) -> None:
        """Where no thread can be started a probe answers, and does not wait."""
        check(critical=True)
        rig = make_rig(settings=settings(), spawn=lambda _target, _name: False)
        rig.pillar.start()

        assert rig.pillar.refresh("readiness") is False
        assert rig.answers() == (200, 503, 503)
