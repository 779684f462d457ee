from __future__ import annotations

import dis
import gc
import sys
import threading
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from svcready.metrics import histogram, timer
from svcready.metrics._instruments._children import CounterChild, adds_are_atomic
from svcready.metrics._instruments._histogram_child import (
    HistogramChild,
    LockedHistogramChild,
)
from svcready.metrics._instruments._sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.metrics._pillar import MetricsPillar
    from tests.conftest import Faults

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0)
KINDS = [HistogramChild, LockedHistogramChild]
YIELDING = ("CALL", "JUMP_BACKWARD", "RESUME", "PRECALL", "SEND", "YIELD", "FOR")
CONTAINERS = ("BUILD", "LIST", "DICT", "SET_", "MAP", "FORMAT", "BINARY")

pytestmark = pytest.mark.filterwarnings("error")
only_atomic = pytest.mark.skipif(
    not adds_are_atomic(), reason="the children have locks here"
)


@pytest.fixture
def _eager_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(*works: Callable[[], None]) -> None:
    """Run each of *works* in a thread and wait for all."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()


def total(taken: list[Sketch]) -> tuple[int, float]:
    """Return count and sum of all that was taken."""
    return sum(sketch.count for sketch in taken), sum(sketch.sum for sketch in taken)


@only_atomic
def test_an_append_cannot_be_parted_from_its_load() -> None:
    """So a value lands in the list that folding takes, or in the one after it."""
    steps = list(dis.get_instructions(HistogramChild.observe))
    loaded = next(at for at, step in enumerate(steps) if step.argval == "_pending")
    after = [step.opname for step in steps[loaded + 1 :]]
    called = next(at for at, name in enumerate(after) if name.startswith("CALL"))

    assert steps[loaded + 1].argval == "append"
    assert {name for name in after[:called] if name.startswith(YIELDING)} <= {"PRECALL"}


@only_atomic
@pytest.mark.parametrize(
    ("function", "stores"),
    [
        (HistogramChild._fold, 2),
        (HistogramChild.keep_sketch, 1),
        (HistogramChild.take, 1),
        (HistogramChild.rebucket, 1),
    ],
)
def test_a_state_is_stored_only_in_place_of_the_one_it_was_made_from(
    function: Callable[..., object], stores: int
) -> None:
    """Nothing yields and no container is made between comparison and stores."""
    steps = list(dis.get_instructions(function))
    stored = [
        at
        for at, step in enumerate(steps)
        if step.opname == "STORE_ATTR" and step.argval in {"_state", "_pending"}
    ]
    states = [at for at in stored if steps[at].argval == "_state"]
    assert len(states) == stores
    for at in stored:
        compared = max(
            place
            for place, step in enumerate(steps[:at])
            if step.opname == "LOAD_ATTR" and step.argval == "_state"
        )
        between = [step.opname for step in steps[compared:at]]
        assert "IS_OP" in between
        assert not [name for name in between if name.startswith(YIELDING)]
        assert not [name for name in between if name.startswith(CONTAINERS)]


@pytest.mark.usefixtures("_eager_switching")
@pytest.mark.parametrize("kind", KINDS)
def test_every_value_is_in_exactly_one_take(kind: type[HistogramChild]) -> None:
    """Eight threads record while one takes and one reads; then all is there once."""
    if kind is HistogramChild and not adds_are_atomic():
        pytest.skip("the children have locks here")

    child = kind(BOUNDS)
    child.keep_sketch(on=True)
    taken: list[Sketch] = []
    seen: list[tuple[int, float]] = []
    done = threading.Event()

    def record() -> None:
        for _ in range(6000):
            child.observe(0.25)
            child.observe(0.5)

    def take() -> None:
        while not done.is_set():
            sketch = child.take()
            if sketch is not None:
                taken.append(sketch)

    def read() -> None:
        while not done.is_set():
            point = child.read(())
            assert point.sum == point.counts[6] * 0.25 + point.counts[7] * 0.5
            seen.append((point.observations, point.sum))

    others = [threading.Thread(target=work) for work in (take, read)]
    for thread in others:
        thread.start()

    in_threads(*[record] * 8)
    done.set()
    for thread in others:
        thread.join()

    last = child.take()
    assert total([*taken, *([last] if last else [])]) == (96_000, 36_000.0)
    assert child.read(()).observations == 96_000
    assert child.take() is None
    assert seen == sorted(seen)
    for sketch in taken:
        reduced = sketch.reduce(100)
        assert set(reduced.values) <= {0.25, 0.5}
        assert sum(reduced.counts) == sketch.count


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_sees_what_another_thread_is_about_to_fold(
    kind: type[HistogramChild], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full buffer whose thread was stopped before it could count is no gap."""
    from svcready.metrics._instruments import _histogram_child

    child = kind(BOUNDS)
    folded = _histogram_child._folded
    reading: list[int] = []

    def stopped(state: _histogram_child._State) -> _histogram_child._State:
        monkeypatch.setattr(_histogram_child, "_folded", folded)
        reading.append(child.read(()).observations)  # as another thread would
        return folded(state)

    monkeypatch.setattr(_histogram_child, "_folded", stopped)
    for _ in range(256):
        child.observe(0.25)

    assert reading == [256]
    assert child.read(()).observations == 256


@pytest.mark.parametrize("kind", KINDS)
def test_a_finalizer_may_record_at_any_moment(kind: type[HistogramChild]) -> None:
    """Collections during recording, folding, reading and taking lose nothing."""
    child = kind(BOUNDS)
    child.keep_sketch(on=True)
    finalized = 0

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            nonlocal finalized
            finalized += 1
            for _ in range(300):
                child.observe(0.25)

    before = gc.get_threshold()
    taken: list[Sketch] = []
    gc.set_threshold(5, 2, 2)
    try:
        for at in range(6000):
            child.observe(0.5)
            if at % 50 == 0:
                Garbage()

            if at % 400 == 0:
                sketch = child.take()
                taken += [sketch] if sketch else []
    finally:
        gc.set_threshold(*before)

    gc.collect()
    sketch = child.take()
    taken += [sketch] if sketch else []
    assert finalized == 120
    expected = 6000 + 120 * 300
    assert total(taken) == (expected, 6000 * 0.5 + 120 * 300 * 0.25)
    assert child.read(()).observations == expected


@pytest.mark.parametrize("kind", KINDS)
def test_sketches_begin_and_end_when_told(kind: type[HistogramChild]) -> None:
    """Before, only what still waits is sketched; afterwards, nothing."""
    child = kind(BOUNDS)
    for _ in range(256):
        child.observe(1.0)

    for _ in range(10):
        child.observe(2.0)

    child.keep_sketch(on=True)
    child.observe(3.0)
    sketch = child.take()
    assert sketch is not None
    assert sketch.reduce(3) == ((2.0, 3.0), (10, 1), 0.0)

    child.observe(4.0)
    child.keep_sketch(on=False)
    assert child.read(()).observations == 268
    child.keep_sketch(on=True)
    assert child.take() is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_forked_child_takes_nothing_of_its_parent(kind: type[HistogramChild]) -> None:
    """Folded or waiting, it is the parent's to send; sketches are still kept."""
    child = kind(BOUNDS)
    child.keep_sketch(on=True)
    for _ in range(5000):
        child.observe(1.0)

    child.reset()
    assert child.read(()).observations == 0
    assert child.take() is None
    child.observe(2.0)
    child.read(())
    sketch = child.take()
    assert sketch is not None
    assert sketch.reduce(3) == ((2.0,), (1,), 0.0)


def test_what_waits_is_counted_in_the_new_buckets() -> None:
    """Values recorded at import are exact under the buckets that init() brings."""
    child = HistogramChild((1.0, 10.0))
    child.observe(2.0)
    child.rebucket((3.0, 5.0))

    assert child.read(()).counts == (1, 0, 0)


def test_an_instrument_hands_over_by_label_values() -> None:
    """One sketch for each series with new values; new series are sketched as well."""
    sizes = histogram("sizes", "help", labels=("kind",))
    sizes.labels("a").observe(1.0)
    assert sizes.take() == []

    sizes.keep_sketches(True)
    sizes.labels("b").observe(2.0)
    sizes.labels("b").observe(4.0)
    sizes.labels("c")
    got = {key: sketch.reduce(9) for key, sketch in sizes.take()}
    assert got == {
        ("a",): ((1.0,), (1,), 0.0),
        ("b",): ((2.0, 4.0), (1, 1), 0.0),
    }
    assert sizes.take() == []

    sizes.labels("a").observe(1.0)
    sizes.keep_sketches(False)
    assert sizes.take() == []


def test_a_timer_hands_over_as_well() -> None:
    """Its children are histograms of seconds."""
    checkout = timer("checkout", "help", labels=("kind",))
    checkout.keep_sketches(True)
    checkout.labels("a").observe(0.5)

    ((key, sketch),) = checkout.take()
    assert (key, sketch.sum, sketch.count) == (("a",), 0.5, 1)
    checkout.keep_sketches(False)
    assert checkout.take() == []


def test_a_pillar_turns_sketches_on_where_a_sink_takes_them(
    make_pillar: Callable[..., MetricsPillar],
) -> None:
    """Of the histograms that are wanted, and of no others."""
    pillar = make_pillar()
    pillar.keep_sketches(lambda spec: spec.name == "sent")
    sent, kept = histogram("sent", "help"), timer("kept", "help")
    sent.observe(1.0)
    kept.observe(1.0)

    assert [sketch.count for _, sketch in sent.take()] == [1]
    assert kept.take() == []


def test_a_fault_while_folding_is_ours(
    monkeypatch: pytest.MonkeyPatch, faults: Faults
) -> None:
    """It is reported, and the values wait for the next fold."""
    from svcready.metrics._instruments import _histogram_child

    def fail(_: object) -> None:
        raise RuntimeError("no fold")

    child = HistogramChild(BOUNDS)
    with monkeypatch.context() as patch:
        patch.setattr(_histogram_child, "_folded", fail)
        for _ in range(256):
            child.observe(0.5)

    assert str(faults.claim("metrics")) == "no fold"
    assert child.read(()).observations == 256


def test_a_child_is_small() -> None:
    """A third of the 3.9 kB that prometheus_client's takes, some hundred values in."""
    bounds = tuple(at / 7 for at in range(1, 15))
    children = []
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(100):
            child = HistogramChild(bounds)
            for at in range(700):
                child.observe(at % 23 / 10)

            child.read(())
            children.append(child)

        gc.collect()
        size = tracemalloc.get_traced_memory()[0] / len(children)
    finally:
        tracemalloc.stop()

    assert size <= 1300


def waiting(child: HistogramChild) -> int:
    """Return the bytes of all that waits to be folded."""
    buffers = (child._pending, *child._state.full)
    return sum(sys.getsizeof(buffer) + 24 * len(buffer) for buffer in buffers)


def record_a_lot(threads: int, times: int) -> None:
    """Record *times* in each of *threads* and assert that all of it is there."""
    child, sketched = HistogramChild(BOUNDS), HistogramChild(BOUNDS)
    sketched.keep_sketch(on=True)
    count = CounterChild()
    most = 0

    def work() -> None:
        nonlocal most
        inc, observe, observe_too = count.inc, child.observe, sketched.observe
        for at in range(times):
            inc()
            if at % 10 == 0:
                observe(0.5)
                observe_too(at / 1024)

            if at % 10_000 == 0:
                most = max(most, waiting(child) + waiting(sketched))

    in_threads(*[work] * threads)

    assert count.read() == threads * times
    assert child.read(()).counts[7] == threads * times / 10
    assert child.read(()).sum == threads * times / 20
    assert sketched.read(()).observations == threads * times / 10
    taken = sketched.take()
    assert taken is not None
    assert taken.count == threads * times / 10
    assert most < 4 * 4096 * 40  # some buffers, whatever was recorded


@only_atomic
def test_many_threads_are_exact_in_bounded_memory() -> None:
    """Sixteen threads of twenty thousand increments each, two histograms beside."""
    record_a_lot(16, 20_000)


@only_atomic
@pytest.mark.soak
def test_sixteen_threads_of_a_million_increments_are_exact() -> None:
    """Nothing is lost, and what waits never grows beyond its buffers."""
    record_a_lot(16, 1_000_000)
