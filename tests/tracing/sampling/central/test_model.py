"""Decisions, quotas and reports equal a written-out model, whatever happens."""

from __future__ import annotations

import pytest

pytest.importorskip("botocore")

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.tracing.sampling.central.driving import TICK_S, make_clock, run
from tests.tracing.sampling.central.fake_xray import FakeXray, require_model
from tests.tracing.sampling.central.fake_xray import rule as xray_rule
from tests.tracing.sampling.central.held import Held

require_model()

PATHS = ("/a", "/b", "/c")


class Central(RuleBasedStateMachine):
    """One process, its service and their model."""

    def __init__(self) -> None:
        super().__init__()
        clock = make_clock()
        self.xray = FakeXray(clock, page=2, rate_of=lambda it: it["FixedRate"] / 2)
        self.xray.change()
        self.held = Held(self.xray)
        self.process = self.held.process

    @rule(
        requests=st.lists(st.sampled_from(PATHS), min_size=1, max_size=40),
        gap_s=st.sampled_from((0.0, TICK_S, 0.25)),
    )
    def ask(self, requests: list[str], gap_s: float) -> None:
        """Requests come in."""
        for path in requests:
            self.held.decide(path)
            if gap_s:
                run(self.xray.clock, gap_s, self.process)

    @rule(seconds=st.sampled_from((0.5, 1.0, 7.0, 11.0, 61.0, 305.0, 3700.0)))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        run(self.xray.clock, seconds, self.process)

    @rule(broken=st.sampled_from(("", "", "refuse", "error", "garbage")))
    def break_or_mend(self, broken: str) -> None:
        """The service goes, or comes back."""
        self.xray.broken = broken

    @rule(skew_s=st.sampled_from((0, 0, 3600, -3600, 10**7, -(10**7))))
    def jump(self, skew_s: int) -> None:
        """The wall clock is set, rightly or wrongly."""
        self.held.skewed = bool(skew_s)
        self.xray.clock.set_wall(round((self.xray.now_s + skew_s) * 1e9))

    @rule(
        some=st.lists(
            st.tuples(
                st.sampled_from(PATHS),
                st.sampled_from((0.0, 0.1, 0.5, 1.0)),
                st.sampled_from((0, 1, 7)),
                st.sampled_from((1, 5)),
            ),
            max_size=3,
            unique_by=lambda it: it[0],
        )
    )
    def change(self, some: list[tuple[str, float, int, int]]) -> None:
        """Somebody edits the rules."""
        self.xray.change(
            *(
                xray_rule(
                    path[1:],
                    URLPath=path,
                    FixedRate=rate,
                    ReservoirSize=size,
                    Priority=priority,
                )
                for path, rate, size, priority in some
            )
        )

    @rule(quotas=st.booleans(), ttl_s=st.sampled_from((3, 30, 300)))
    def give(self, quotas: bool, ttl_s: int) -> None:
        """The service gives quotas, or stops it."""
        self.xray.quotas, self.xray.ttl_s = quotas, ttl_s

    @rule()
    def fork(self) -> None:
        """The process forks, and the child is looked at from now on."""
        self.held.fork()

    @invariant()
    def refreshes(self) -> None:
        """Whatever happened, it asks again within what was agreed."""
        due_s = self.process.worker.run_due()
        assert due_s is not None
        assert due_s <= 10.1 + TICK_S


Central.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestCentral = Central.TestCase
