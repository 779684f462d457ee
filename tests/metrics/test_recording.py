from __future__ import annotations

import dis
import math
import sys
import threading
from collections import Counter as Tally
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.errors import DeclarationError
from svcready.metrics import counter, gauge, histogram, up_down_counter
from svcready.metrics._instruments._children import (
    CounterChild,
    GaugeChild,
    LockedCounterChild,
    LockedGaugeChild,
    LockedUpDownCounterChild,
    UpDownCounterChild,
    adds_are_atomic,
)
from svcready.metrics._instruments._histogram_child import (
    HistogramChild,
    LockedHistogramChild,
)
from svcready.metrics._instruments._register import forget_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.metrics._model import Distribution, Family
    from tests.conftest import Faults

Numbers = dict[tuple[str, ...], float]


@pytest.fixture
def _eager_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(count: int, work: Callable[[], None]) -> None:
    """Run *work* in *count* threads and wait for them."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()


def test_a_counter_without_labels_counts_at_once(
    read: Callable[[Family], Numbers],
) -> None:
    """It counts from the declaration on, with no runtime and no labels call."""
    orders = counter("orders", "help")
    orders.inc()
    orders.inc(2.5)

    assert read(orders.read()) == {(): 3.5}


def test_a_kept_child_is_the_series_of_its_labels(
    read: Callable[[Family], Numbers],
) -> None:
    """By position and by name, in any spelling of a value, it is one child."""
    orders = counter("orders", "help", labels=("kind", "tier"))
    child = orders.labels("retail", 1)
    child.inc()
    assert orders.labels(tier=1, kind="retail") is child
    assert orders.labels("retail", "1") is child
    orders.labels("retail", True).inc(5)

    assert read(orders.read()) == {("retail", "1"): 1, ("retail", "True"): 5}


def test_an_enum_of_strings_counts_as_its_text() -> None:
    """A member finds the child of the string to which it is equal, before and after."""

    class Kind(str, Enum):  # noqa: UP042 - its str() is not its text, unlike StrEnum's
        RETAIL = "retail"

    orders = counter("orders", "help", labels=("kind",))
    first = orders.labels(Kind.RETAIL)

    assert orders.labels("retail") is first
    assert orders.labels(Kind.RETAIL) is first


@pytest.mark.parametrize("amount", [-1, -0.5, math.nan, math.inf, "x", None, 10**400])
def test_an_amount_that_cannot_be_added_is_reported_and_not_raised(
    amount: float, faults: Faults, read: Callable[[Family], Numbers]
) -> None:
    """A counter neither falls nor is poisoned, and the application is not hurt."""
    orders = counter("orders", "help")
    orders.inc(3)
    orders.inc(amount)

    assert read(orders.read()) == {(): 3}
    told = faults.claim("metrics")
    assert isinstance(told, DeclarationError), "it is the application's, not ours"
    assert f"{__file__}:" in str(told)


def test_a_number_whose_text_fails_is_reported(faults: Faults) -> None:
    """By its class: nothing that an object does may reach the application."""

    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError

    counter("orders", "help").inc(cast("float", Shy()))

    assert str(faults.claim("metrics")).startswith("a Shy was recorded at ")


@pytest.mark.parametrize("amount", [True, Decimal("1.0"), 1.0])
def test_other_kinds_of_numbers_are_taken(
    amount: float, read: Callable[[Family], Numbers]
) -> None:
    """What can be a float is one."""
    orders = counter("orders", "help")
    orders.inc(amount)

    assert read(orders.read()) == {(): 1}


def test_labels_that_do_not_fit_are_reported_and_recorded_nowhere(
    faults: Faults,
) -> None:
    """A rare path with the wrong labels must not take a request down."""
    orders = counter("orders", "help", labels=("kind",))
    orders.labels().inc()
    orders.labels("a", "b").inc()
    orders.labels(sort="a").inc()
    orders.labels("a", kind="a").inc()
    orders.inc()

    errors = [str(faults.claim("metrics")) for _ in range(5)]
    assert "labels(kind).inc" in errors[-1]
    assert orders.read().points == ()


def test_a_value_whose_text_fails_is_reported(faults: Faults) -> None:
    """A failing `__str__` is ours to swallow."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    counter("orders", "help", labels=("kind",)).labels(Broken()).inc()

    assert str(faults.claim("metrics")) == "no text"


def test_a_value_whose_hash_fails_is_reported(faults: Faults) -> None:
    """A proxy of what is not there now must not take a request down."""

    class Proxy:
        def __hash__(self) -> int:
            raise RuntimeError("outside of a request")

        __str__ = __hash__  # type: ignore[assignment]

    orders = counter("orders", "help", labels=("kind",))
    orders.labels(Proxy()).inc()
    orders.labels(kind=Proxy()).inc()

    for _ in range(2):
        assert str(faults.claim("metrics")) == "outside of a request"


def test_a_gauge_is_set_and_moved(read: Callable[[Family], Numbers]) -> None:
    """Set, inc and dec act on one level; NaN is a level."""
    level = gauge("level", "help", labels=("pool",))
    child = level.labels("a")
    child.set(10)
    child.inc(2.5)
    child.dec()
    level.labels("b").set(math.nan)

    numbers = read(level.read())
    assert numbers["a",] == 11.5
    assert math.isnan(numbers["b",])


def test_an_up_down_counter_is_moved_only(
    read: Callable[[Family], Numbers],
) -> None:
    """It goes up and down by amounts and below zero, and nothing sets it."""
    flying = up_down_counter("flying", "help", labels=("pool",))
    flying.labels("a").inc(5)
    flying.labels("a").dec(2)
    flying.labels("b").dec()
    alone = up_down_counter("alone", "help")
    alone.inc()
    alone.dec(0.5)

    assert read(flying.read()) == {("a",): 3, ("b",): -1}
    assert read(alone.read()) == {(): 0.5}
    assert flying.read().kind == "updowncounter"
    assert not hasattr(alone, "set")


def test_a_gauge_observes_a_function(
    faults: Faults, read: Callable[[Family], Numbers]
) -> None:
    """It is asked at each reading; one that fails is left out of that one."""
    answers = iter([3])
    level = gauge("level", "help")
    level.set_function(lambda: next(answers))

    assert read(level.read()) == {(): 3}
    assert read(level.read()) == {}
    assert isinstance(faults.claim("metrics.gauge"), StopIteration)


@pytest.mark.parametrize("method", ["set", "inc", "dec"])
@pytest.mark.parametrize("kind", [GaugeChild, LockedGaugeChild])
def test_a_gauge_takes_no_nonsense(
    kind: type[GaugeChild], method: str, faults: Faults
) -> None:
    """What is no number is reported and changes nothing."""
    child = kind()
    child.set(4)
    getattr(child, method)("x")

    assert child.read() == 4
    assert isinstance(faults.claim("metrics"), ValueError)


@pytest.mark.parametrize("kind", [UpDownCounterChild, LockedUpDownCounterChild])
def test_an_up_down_counter_may_go_below_zero(
    kind: type[UpDownCounterChild], faults: Faults
) -> None:
    """It adds what came and what went, and takes no nonsense."""
    child = kind()
    child.inc()
    child.dec(Decimal(5))  # type: ignore[arg-type]
    child.add(-2.5)
    child.inc(Decimal("0.5"))  # type: ignore[arg-type]
    child.dec()
    assert child.read() == -7

    for method in (child.inc, child.dec, child.add):
        method(math.nan)
        method("x")  # type: ignore[arg-type]

    assert child.read() == -7
    assert len([faults.claim("metrics") for _ in range(6)]) == 6

    child.reset()
    child.dec(3)
    assert child.read() == -3


@given(
    st.lists(
        st.floats(-1e6, 1e6) | st.integers(-(10**6), 10**6) | st.sampled_from([1.0, 2])
    )
)
def test_a_histogram_counts_each_value_at_its_bucket(values: list[float]) -> None:
    """A value belongs to the first bound that is not below it."""
    forget_all()
    bounds = (-5.0, 0.0, 1.0, 2.0, 100.0)
    sizes = histogram("sizes", "help", buckets=bounds)
    for value in values:
        sizes.observe(value)

    expected = Tally(
        next((at for at, bound in enumerate(bounds) if value <= bound), len(bounds))
        for value in values
    )
    (point,) = sizes.read().points
    assert list(point.counts) == [expected[at] for at in range(6)]  # type: ignore[union-attr]
    assert math.isclose(point.sum, math.fsum(values), abs_tol=1e-3)  # type: ignore[union-attr]
    assert point.observations == len(values)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [HistogramChild, LockedHistogramChild])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "x", None])
def test_a_histogram_is_not_poisoned(
    kind: type[HistogramChild], value: float, faults: Faults
) -> None:
    """NaN and infinity would spoil the sum for ever; they are reported instead."""
    child = kind((1.0,))
    child.observe(0.5)
    child.observe(value)

    read = child.read(())
    assert (read.counts, read.sum) == ((1, 0), 0.5)
    faults.claim("metrics")


@pytest.mark.parametrize("kind", [HistogramChild, LockedHistogramChild])
def test_other_buckets_lose_nothing(kind: type[HistogramChild]) -> None:
    """What was counted before stays counted, at its old bucket's upper bound."""
    child = kind((1.0, 2.0, 5.0))
    for value in (0.5, 1.5, 4.0, 9.0):
        child.observe(value)

    child.rebucket((2.0, 3.0))
    child.observe(0.5)

    read = child.read(())
    # 0.5, 1.5 and the new 0.5 are surely ≤ 2; 4.0 was "≤ 5" and 9.0 above all.
    assert read.counts == (3, 0, 2)
    assert read.sum == 15.5


YIELDING = ("CALL", "JUMP_BACKWARD", "RESUME", "PRECALL", "SEND", "YIELD", "FOR")


def atomic_lines(function: Callable[..., None]) -> int:
    """Count the adds of *function*, with nothing between load and store that yields."""
    adds = 0
    since: list[str] = []
    for step in dis.get_instructions(function):
        since.append(step.opname)
        if step.opname in {"STORE_ATTR", "STORE_SUBSCR"}:
            load = max(
                at
                for at, name in enumerate(since)
                if name.startswith(("LOAD_ATTR", "BINARY_SUBSCR", "COPY"))
            )
            assert not [n for n in since[load:] if n.startswith(YIELDING)]
            adds += 1
            since.clear()

    return adds


@pytest.mark.skipif(not adds_are_atomic(), reason="the children have locks here")
@pytest.mark.parametrize(
    ("function", "adds"),
    [
        (CounterChild.inc, 3),
        (GaugeChild.inc, 2),
        (GaugeChild.dec, 2),
        (UpDownCounterChild.inc, 2),
        (UpDownCounterChild.dec, 2),
    ],
)
def test_nothing_yields_between_load_and_store(
    function: Callable[..., None], adds: int
) -> None:
    """The reason why recording is exact without a lock, checked in the bytecode."""
    assert atomic_lines(function) == adds


@pytest.mark.parametrize(
    ("interpreter", "gil", "flags", "atomic"),
    [
        ("cpython", None, "", True),
        ("cpython", True, "", True),
        ("cpython", False, "t", False),
        ("cpython", True, "t", False),
        ("pypy", None, "", False),
    ],
)
def test_locks_are_taken_where_the_gil_does_not_help(
    monkeypatch: pytest.MonkeyPatch,
    interpreter: str,
    gil: bool | None,
    flags: str,
    atomic: bool,
) -> None:
    """A free-threaded build may have its GIL on for a moment; its build decides."""
    monkeypatch.setattr(
        "svcready.metrics._instruments._children._INTERPRETER", interpreter
    )
    monkeypatch.setattr(sys, "abiflags", flags, raising=False)
    if gil is None:
        monkeypatch.delattr(sys, "_is_gil_enabled", raising=False)
    else:
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: gil, raising=False)

    assert adds_are_atomic() == atomic
    made = [counter("a", "h"), gauge("b", "h"), histogram("c", "h")]
    kinds = {type(metric.children()[()]) for metric in made}  # type: ignore[attr-defined]
    assert (kinds == {CounterChild, GaugeChild, HistogramChild}) == atomic


@pytest.mark.parametrize("kind", [GaugeChild, LockedGaugeChild])
@pytest.mark.parametrize("value", [True, Decimal("1.0")])
def test_a_gauge_takes_other_kinds_of_numbers(
    kind: type[GaugeChild], value: float
) -> None:
    """Set, inc and dec make a float of what can be one."""
    child = kind()
    child.set(value)
    child.inc(value)
    child.inc(value)
    child.dec(value)

    assert child.read() == 2
    assert type(child.read()) in {int, float}


@pytest.mark.parametrize("kind", [HistogramChild, LockedHistogramChild])
def test_a_histogram_takes_other_kinds_of_numbers(kind: type[HistogramChild]) -> None:
    """Whole numbers and decimals are values like others."""
    child = kind((1.0, 2.0))
    for value in (1, True, Decimal("1.5")):
        child.observe(value)  # type: ignore[arg-type]

    assert child.read(()).counts == (2, 1, 0)


@pytest.mark.usefixtures("_eager_switching")
@pytest.mark.parametrize("kind", [CounterChild, LockedCounterChild])
def test_a_counter_is_exact_under_contention(kind: type[CounterChild]) -> None:
    """Eight threads lose and invent nothing, with ints and floats mixed."""
    if kind is CounterChild and not adds_are_atomic():
        pytest.skip("the children have locks here")

    child = kind()
    inc = child.inc

    def work() -> None:
        for _ in range(15_000):
            inc()
            inc(2)
            inc(0.5)

    in_threads(8, work)

    assert child.read() == 8 * 15_000 * 3.5


LEVELS = [GaugeChild, LockedGaugeChild, UpDownCounterChild, LockedUpDownCounterChild]


@pytest.mark.usefixtures("_eager_switching")
@pytest.mark.parametrize("kind", LEVELS)
def test_a_level_is_exact_under_contention(
    kind: type[GaugeChild | UpDownCounterChild],
) -> None:
    """As many down as up ends where it began."""
    if kind in {GaugeChild, UpDownCounterChild} and not adds_are_atomic():
        pytest.skip("the children have locks here")

    child = kind()

    def work() -> None:
        for _ in range(20_000):
            child.inc()
            child.dec()

    in_threads(8, work)

    assert child.read() == 0


@pytest.mark.usefixtures("_eager_switching")
@pytest.mark.parametrize("kind", [HistogramChild, LockedHistogramChild])
def test_a_histogram_is_exact_under_contention(kind: type[HistogramChild]) -> None:
    """Counts and sum are exact at the end, and belong together at every reading."""
    if kind is HistogramChild and not adds_are_atomic():
        pytest.skip("the children have locks here")

    child = kind((1.0, 2.0))
    torn: list[Distribution] = []
    done = threading.Event()

    def work() -> None:
        for _ in range(10_000):
            child.observe(0.5)
            child.observe(1.5)

    def watch() -> None:
        while not done.is_set():
            seen = child.read(())
            if seen.sum != seen.counts[0] * 0.5 + seen.counts[1] * 1.5:
                torn.append(seen)

    watcher = threading.Thread(target=watch)
    watcher.start()
    in_threads(8, work)
    done.set()
    watcher.join()

    read = child.read(())
    assert read.counts == (80_000, 80_000, 0)
    assert read.sum == 160_000.0
    assert torn == []


@pytest.mark.usefixtures("_eager_switching")
def test_threads_that_meet_at_new_labels_share_one_child(
    read: Callable[[Family], Numbers],
) -> None:
    """A child is made once, whoever comes first."""
    orders = counter("orders", "help", labels=("kind",))

    def work() -> None:
        for number in range(500):
            orders.labels(f"kind-{number}").inc()

    in_threads(8, work)

    assert set(read(orders.read()).values()) == {8}
    assert orders.series == 500
