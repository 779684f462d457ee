"""The real clock and the one that tests move."""

from __future__ import annotations

import asyncio
import time

from svcready._core.clock import SYSTEM_CLOCK, Clock
from svcready.testing import FakeClock


def test_the_systems_clock_is_the_systems() -> None:
    """Durations come from the monotonic clock, stamps from wall time."""
    before = time.monotonic(), time.time_ns()
    now = SYSTEM_CLOCK.monotonic(), SYSTEM_CLOCK.time_ns()
    after = time.monotonic(), time.time_ns()

    assert before[0] <= now[0] <= after[0]
    assert before[1] <= now[1] <= after[1]


def test_the_systems_sleeps_sleep() -> None:
    """Both block at least as long as asked for."""
    start = time.monotonic()
    SYSTEM_CLOCK.sleep(0.001)
    asyncio.run(SYSTEM_CLOCK.sleep_async(0.001))

    assert time.monotonic() - start >= 0.002


def test_the_fake_clock_moves_only_when_told() -> None:
    """By `advance` and by sleeping, on both clocks alike; wall time can jump alone."""
    fake = FakeClock(start_s=10.0, wall_ns=0)
    clock: Clock = fake
    clock.sleep(1.5)
    asyncio.run(clock.sleep_async(0.5))
    fake.advance(1.0)

    assert (clock.monotonic(), clock.time_ns()) == (13.0, 3_000_000_000)
    assert fake.sleeps == [1.5, 0.5]
    fake.set_wall(5)
    assert (clock.monotonic(), clock.time_ns()) == (13.0, 5)
