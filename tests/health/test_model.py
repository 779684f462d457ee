"""The status of a check against a naive model, over any course of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from svcready import health
from svcready.health._check import CHECKS
from tests.health.rig import Rig
from tests.health.subject import check
from tests.health.test_runner import by_the_rule

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL_S = 10.0
TIMEOUT_S = 2.0
ANSWERS = {"pass": None, "warn": health.warn("slow"), "fail": False}


class Switched:
    """Threads that run at once, are all busy, or do not come back."""

    def __init__(self) -> None:
        self.mode = "run"
        self.hanging: list[Callable[[], None]] = []

    def submit(self, job: Callable[[], None], then: Callable[[], None]) -> bool:
        """Do as the mode says."""
        if self.mode == "full":
            return False

        job()
        if self.mode == "hang":
            self.hanging.append(then)
        else:
            then()

        return True

    def give_up(self, job: Callable[[], None], most: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Course(RuleBasedStateMachine):
    """One check that passes, warns, fails, hangs and starves, and what that means."""

    @initialize(fail_after=st.integers(1, 4), recover_after=st.integers(1, 4))
    def begin(self, fail_after: int, recover_after: int) -> None:
        """Start, with a run under way that says nothing yet."""
        CHECKS.clear()
        self.thresholds = (fail_after, recover_after)
        self.history: list[tuple[float, str]] = []
        self.pool = Switched()
        self.pool.mode = "full"
        self.subject = check(
            critical=True,
            interval=INTERVAL_S,
            timeout=TIMEOUT_S,
            fail_after=fail_after,
            recover_after=recover_after,
        )
        self.rig = Rig(lambda: self.pool).start()

    def said(self, status: str) -> None:
        """Take down a result."""
        self.history.append((self.rig.clock.monotonic(), status))

    @rule(status=st.sampled_from(sorted(ANSWERS)))
    def runs(self, status: str) -> None:
        """A run says something."""
        self.subject.answer = ANSWERS[status]
        self.pool.mode = "run"
        self.rig.advance(INTERVAL_S)
        self.said(status)

    @rule(intervals=st.integers(1, 5))
    def starves(self, intervals: int) -> None:
        """No thread is free for a while."""
        self.pool.mode = "full"
        for _ in range(intervals):
            self.rig.advance(INTERVAL_S)

    @rule(intervals=st.integers(0, 3))
    def hangs(self, intervals: int) -> None:
        """A run does not come back for a while, then does."""
        self.pool.mode = "hang"
        self.subject.answer = None
        self.rig.advance(INTERVAL_S)
        self.rig.advance(TIMEOUT_S)
        self.said("fail")
        for _ in range(intervals):
            self.rig.advance(INTERVAL_S)
            self.said("fail")

        assert self.rig.status("db").stuck
        (end,) = self.pool.hanging
        self.pool.hanging.clear()
        end()
        self.rig.step()

    @rule()
    def forks(self) -> None:
        """A child knows nothing."""
        self.history.clear()
        self.pool.mode = "full"
        self.rig.pillar._after_fork()
        self.rig.step()

    @invariant()
    def is_as_the_model_says(self) -> None:
        """The status follows from the whole history, and the probes from it."""
        if not hasattr(self, "rig"):
            return

        results = [status for _, status in self.history]
        shown, is_stale = "pending", False
        if results:
            shown = by_the_rule(results, *self.thresholds)
            age_s = self.rig.clock.monotonic() - self.history[-1][0]
            is_stale = age_s >= 3 * INTERVAL_S + TIMEOUT_S

        if is_stale and shown == "pass":
            shown = "warn"

        failures = 0
        for result in reversed(results):
            if result != "fail":
                break

            failures += 1

        got = self.rig.status("db")
        assert (got.status, got.stale, got.failures) == (shown, is_stale, failures)
        assert not got.stuck
        code = 503 if shown in {"pending", "fail"} else 200
        assert self.rig.pillar.probe("readiness").status == code
        assert self.rig.pillar.probe("liveness").status == 200

    def teardown(self) -> None:
        """End it."""
        if hasattr(self, "rig"):
            self.rig.close()


Course.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestCourse = Course.TestCase
