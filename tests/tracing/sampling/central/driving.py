"""Drives X-Ray's central rules on a fake clock, in as many processes as wanted."""

from __future__ import annotations

import math
import random
from contextlib import nullcontext
from typing import TYPE_CHECKING

from svcready._core.worker import Worker
from svcready.testing import FakeClock
from svcready.tracing.sampling._central._central_rules import CentralRules
from svcready.tracing.sampling._decider import Decider
from svcready.tracing.sampling._rate import Rate
from svcready.tracing.sampling._service import Service
from tests.tracing.sampling.central.fake_xray import EPOCH_S, FakeApi, FakeXray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready._transport.xray_api import SamplingApi

__all__ = ["Draws", "Driven", "Idle", "make_clock", "nothing"]

TICK_S = 1 / 64


class Idle(Worker):
    """A worker whose jobs run only by `run_due`."""

    def wake(self) -> None:
        """Start nothing."""


class Draws:
    """Random numbers that tell what the last one was."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.last = 0.0

    def __call__(self) -> float:
        """Draw one."""
        self.last = self._random.random()
        return self.last


class Driven:
    """One process' central rules, refreshed as its clock goes on."""

    def __init__(
        self,
        xray: FakeXray,
        *,
        seed: int = 0,
        interval_s: float = 300.0,
        api: SamplingApi | None = None,
        uniform: Callable[[], float] | None = None,
    ) -> None:
        self.clock = xray.clock
        self.draws = Draws(seed)
        self.worker = Idle("test", self.clock)
        self.rules = CentralRules(
            api or FakeApi(xray),
            Service("orders"),
            self.clock,
            self.worker,
            interval_s=interval_s,
            quiet=nullcontext,
            uniform=uniform or self.draws,
        )
        fallback = Rate(1.0, 0.05, self.clock, uniform or self.draws)
        self.decider = Decider(fallback, "always", 100.0, self.clock, [self.rules])

    def decide(self, path: str = "/", method: str = "GET") -> str | None:
        """Decide about a request now."""
        return self.decider.decide(method, path, nothing)

    def fork(self) -> None:
        """Become a forked child."""
        self.worker._after_fork()
        self.rules._after_fork()


def run(clock: FakeClock, seconds: float, *processes: Driven) -> None:
    """
    Let *seconds* pass, with every refresh at its time.

    In whole ticks, which floating point adds without error.
    """
    end_s = clock.monotonic() + seconds
    while True:
        waits = [process.worker.run_due() or 0.0 for process in processes]
        left_s = end_s - clock.monotonic()
        if left_s <= 0:
            return

        clock.advance(min(left_s, max(math.ceil(min(waits) / TICK_S), 1) * TICK_S))


def make_clock() -> FakeClock:
    """Return a clock whose wall time is the fake service's."""
    return FakeClock(1000.0, (EPOCH_S + 1000) * 10**9)


def nothing() -> Mapping[str, object]:
    """Describe a request without attributes."""
    return {}
