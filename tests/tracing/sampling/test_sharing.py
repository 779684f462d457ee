"""Reservoirs that the worker processes of a service share."""

from __future__ import annotations

import os
import random

import pytest

from svcready._core import fork
from svcready.testing import FakeClock
from svcready.tracing.sampling._rate import Rate
from svcready.tracing.sampling._reservoir import Reservoir


def taken(reservoirs: list[Reservoir], clock: FakeClock, seconds: int) -> list[int]:
    """Ask each reservoir ten times in each eighth of a second; count what it gave."""
    counts = [0] * len(reservoirs)
    for _ in range(seconds * 8):
        clock.advance(0.125)
        for worker, reservoir in enumerate(reservoirs):
            counts[worker] += sum(reservoir.take() for _ in range(10))

    return counts


@pytest.mark.parametrize(
    ("per_second", "workers"), [(1, 4), (1, 8), (2, 3), (100, 4), (0.5, 2), (1, 64)]
)
def test_workers_take_the_rate_together(per_second: float, workers: int) -> None:
    """All of them together take the rate, each its part, and nobody is left out."""
    clock = FakeClock()
    shared = [Reservoir(per_second, clock) for _ in range(workers)]
    for reservoir in shared:
        reservoir.share(workers)

    taken(shared, clock, 10)  # what was in them at the start
    counts = taken(shared, clock, 128)
    part = per_second * 128 / workers
    assert all(part - 1 <= count <= part + 1 for count in counts)


def test_a_worker_that_leaves_gives_its_part_to_the_others() -> None:
    """And one that comes takes its own from them, nothing being given twice."""
    clock = FakeClock()
    reservoir = Reservoir(4, clock)
    assert taken([reservoir], clock, 10) == [pytest.approx(40, abs=4)]
    reservoir.share(4)
    assert taken([reservoir], clock, 20) == [pytest.approx(20, abs=2)]
    reservoir.share(2)
    assert taken([reservoir], clock, 20) == [pytest.approx(40, abs=2)]
    reservoir.share(2)
    assert taken([reservoir], clock, 20) == [pytest.approx(40, abs=2)]


def test_a_turn_that_has_begun_goes_on() -> None:
    """Half a turn is half a turn, also when turns become longer."""
    clock = FakeClock()
    reservoir = Reservoir(1, clock)
    assert reservoir.take()
    clock.advance(0.5)
    reservoir.share(4)
    clock.advance(1.9)
    assert not reservoir.take()
    clock.advance(0.2)
    assert reservoir.take()


def test_nothing_is_nothing_however_it_is_shared() -> None:
    """A rate of 0 has no part."""
    reservoir = Reservoir(0, FakeClock())
    reservoir.share(4)
    reservoir.empty()

    assert not reservoir.take()


def test_a_forked_child_begins_with_an_empty_reservoir() -> None:
    """Or four workers of one master would sample four bursts at once."""
    clock = FakeClock()
    reservoir = Reservoir(50, clock)
    fork.install()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, bytes([sum(reservoir.take() for _ in range(100))]))
        os._exit(0)

    os.waitpid(child, 0)
    assert os.read(read, 1) == b"\0"
    assert sum(reservoir.take() for _ in range(100)) == 50
    os.close(read)
    os.close(write)


def test_forked_children_begin_at_different_points() -> None:
    """Eight workers of 1/s sample one a second, not eight in the eighth."""
    clock = FakeClock()
    uniform = random.Random(7).random
    workers = [Reservoir(1, clock, uniform) for _ in range(400)]
    for reservoir in workers:
        reservoir.share(400)
        reservoir.empty()

    counts = [sum(taken(workers, clock, 40)) for _ in range(10)]
    assert all(15 <= count <= 70 for count in counts)
    assert sum(counts) == pytest.approx(400, abs=10)


def test_the_part_is_not_shared() -> None:
    """5 % of a worker's requests are 5 % of all."""
    draws = iter([0.04, 0.06] * 50)
    rate = Rate(0, 0.05, FakeClock(), lambda: next(draws))
    rate.share(8)

    assert sum(rate.decide() for _ in range(100)) == 50
