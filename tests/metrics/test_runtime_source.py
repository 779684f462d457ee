from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from svcready._core.clock import SYSTEM_CLOCK
from svcready.metrics._instruments._register import REGISTER, Declarer
from svcready.metrics._model import Distribution, Number
from svcready.metrics.sources._gc import CollectionPauses
from svcready.metrics.sources._runtime import RuntimeSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.metrics._model import Family
    from svcready.metrics._pillar import MetricsPillar
    from svcready.testing import FakeClock

    Make = Callable[..., MetricsPillar]


def counts(family: Family) -> list[int]:
    """Return how many collections of each generation were timed."""
    points = family.points
    return [p.observations for p in points if isinstance(p, Distribution)]


@pytest.fixture
def no_collection() -> Iterator[None]:
    """No collection but those that the test asks for."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_pauses_are_timed_by_generation() -> None:
    """Each collection once, in the bucket and the sum of its generation."""
    times = iter([1.0, 2.0, 10.0, 10.002, 20.0, 20.5, 30.0, 30.5])
    pauses = CollectionPauses(lambda: next(times))
    pauses.start()
    pauses.start()
    gc.collect(0)
    gc.collect(2)
    gc.collect(2)
    pauses.close()
    pauses.close()
    gc.collect(2)

    family = pauses()
    assert (family.exposition, family.workers) == ("python_gc_duration_seconds", "sum")
    assert counts(family) == [1, 0, 2]
    young, _, old = family.points
    assert isinstance(young, Distribution)
    assert isinstance(old, Distribution)
    assert young.labels == ("0",)
    assert young.counts[young.bounds.index(0.005)] == 1
    assert old.counts[old.bounds.index(1.0)] == 2
    assert young.sum == pytest.approx(0.002)
    assert old.sum == 1.0


@pytest.mark.usefixtures("no_collection")
def test_a_collection_that_was_running_is_timed_from_the_start() -> None:
    """The callback may come first in the middle of one."""
    times = iter([1.0, 2.0, 3.5])
    pauses = CollectionPauses(lambda: next(times))
    pauses.start()
    end_collection()
    pauses.close()

    family = pauses()
    assert counts(family) == [0, 0, 1]
    old = family.points[2]
    assert isinstance(old, Distribution)
    assert old.sum == 1.5


@pytest.mark.usefixtures("no_collection")
def test_no_collection_is_too_many() -> None:
    """However long nobody reads what there was, all of it is counted."""
    pauses = CollectionPauses(lambda: 1.0)
    pauses.start()
    for _ in range(50_000):
        end_collection()

    pauses.close()
    assert counts(pauses()) == [0, 0, 50_000]


def end_collection() -> None:
    """Have our callbacks told that an old collection has ended."""
    told = {"generation": 2, "collected": 0, "uncollectable": 0}
    for callback in gc.callbacks[-2:]:
        callback("stop", told)


def test_a_signal_is_not_lost_in_a_collection() -> None:
    """What its handler raises ends the process, though a collection was running."""
    script = """
import gc, signal, time
from svcready.metrics.sources._gc import CollectionPauses
def leave(number, frame):
    raise SystemExit(7)
signal.signal(signal.SIGALRM, leave)
gc.disable()
heap = [[] for _ in range(1_000_000)]
pauses = CollectionPauses(time.monotonic)
pauses.start()
signal.setitimer(signal.ITIMER_REAL, 0.002)
gc.collect()
time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=50)
    assert done.returncode == 7


def test_collections_are_timed_again_after_an_end_that_nobody_told_of() -> None:
    """One that ends while the callbacks are taken away leaves them whole."""
    pauses = CollectionPauses(lambda: 1.0)
    pauses.start()
    del gc.callbacks[-2]
    gc.collect(2)
    pauses.close()
    pauses.start()
    gc.collect(1)
    pauses.close()
    assert counts(pauses())[1] == 1


def test_a_list_that_an_application_has_cleared_is_no_fault() -> None:
    """There is nothing to be taken away."""
    kept = gc.callbacks[:]
    pauses = CollectionPauses(lambda: 1.0)
    pauses.start()
    gc.callbacks.clear()
    try:
        pauses.close()
    finally:
        gc.callbacks.extend(kept)


def test_the_callback_comes_and_goes_with_the_pillar(make_pillar: Make) -> None:
    """Nothing of ours stays with the garbage collector after the end."""
    before = list(gc.callbacks)
    pillar = make_pillar(runtime=True)
    assert len(gc.callbacks) == len(before) + 2
    gc.collect()
    family = pillar.snapshot().find("python_gc_duration_seconds")
    assert family is not None
    assert counts(family)[2] >= 1

    pillar.close()
    assert gc.callbacks == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_counts_its_own_collections() -> None:
    """Workers add up, so the parent's collections must not be in each of them."""
    script = """
import gc, os
from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready.metrics._instruments._register import Declarer
from svcready.metrics.sources._gc import CollectionCounts
from svcready.metrics.sources._runtime import RuntimeSource
gc.disable()
fork.install()
counted, source = CollectionCounts(), RuntimeSource(SYSTEM_CLOCK, Declarer("svcready"))
source.start()
for _ in range(7):
    gc.collect()
old = lambda: (
    int(counted()[0].points[2].value), next(iter(source())).points[2].observations
)
assert min(old()) >= 7, old()
pid = os.fork()
if pid == 0:
    gc.collect()
    os._exit(0 if old() == (1, 1) else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


@pytest.mark.skipif(sys.platform == "win32", reason="has no getrusage")
def test_context_switches_of_all_threads_are_counted(clock: FakeClock) -> None:
    """Threads that wait give way; those of a thread that is not the first as well."""

    def voluntary() -> float:
        found = {f.exposition: f for f in source()}["process_context_switches"]
        assert found.workers == "pid"
        numbers = [p for p in found.points if isinstance(p, Number)]
        return {p.labels[0]: p.value for p in numbers}["voluntary"]

    source = RuntimeSource(clock, Declarer("svcready"))
    before = voluntary()
    turns = [threading.Event() for _ in range(2)]
    told = threading.Event()

    def wait() -> None:
        for turn in turns:
            turn.wait()
            told.set()

    thread = threading.Thread(target=wait)
    thread.start()
    for turn in turns:
        turn.set()
        told.wait()
        told.clear()

    thread.join()
    clock.advance(1.0)
    assert voluntary() > before


def test_a_served_loop_has_a_histogram() -> None:
    """Declared once there is a loop: a service without one has no empty series."""
    source = RuntimeSource(SYSTEM_CLOCK, Declarer("svcready"))
    assert REGISTER.get("svcready_event_loop_lag") is None

    async def serve() -> None:
        source.watch(asyncio.get_running_loop())

    asyncio.run(serve())
    source.close()
    metric = REGISTER.get("svcready_event_loop_lag")
    assert metric is not None
    assert metric.spec.exposition == "svcready_event_loop_lag_seconds"


def test_no_loop_is_watched_on_another_clock(make_pillar: Make) -> None:
    """A test's clock stands still while its loop runs."""
    pillar = make_pillar(runtime=True)

    async def serve() -> None:
        pillar.watch_loop(asyncio.get_running_loop())

    asyncio.run(serve())
    assert pillar.snapshot().find("svcready_event_loop_lag") is None
