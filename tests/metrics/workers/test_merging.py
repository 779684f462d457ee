"""Merging: values of several processes are one as their family says."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.metrics._model import Distribution, Exemplar, Family, Number, Sample
from svcready.metrics._workers._buckets import add_up
from svcready.metrics._workers._layout import Published
from svcready.metrics._workers._merge import Part, merge, merge_totals

if TYPE_CHECKING:
    from collections.abc import Callable


def made(
    kind: str,
    *points: Number | Distribution | Sample,
    workers: str = "sum",
    labels: tuple[str, ...] = ("a",),
) -> Family:
    """Return a family called `m`."""
    return Family("m", "m", kind, "M", "", labels, points, "application", workers)


def part(
    family: Family, pid: int = 1, *, lives: bool = True, at: tuple[float, ...] = ()
) -> Part:
    """Return what one process published."""
    return Part((Published(family, at),), str(pid), (pid, pid), lives)


def past_of(*parts: Part) -> list[Part]:
    """Return what is left of *parts* when they are dead."""
    return [Part(layer, lives=False) for layer in merge_totals(parts)]


def numbers(families: tuple[Family, ...]) -> dict[tuple[str, ...], float]:
    """Return the values of the one family."""
    (family,) = families
    return {p.labels: p.value for p in family.points if isinstance(p, Number)}


MODEL: dict[str, Callable[[list[int]], int]] = {"sum": sum, "max": max, "min": min}
processes = st.lists(
    st.dictionaries(st.sampled_from("xyz"), st.integers(-50, 50), max_size=3),
    min_size=1,
    max_size=5,
)


@given(processes, st.sampled_from(sorted(MODEL)), st.sets(st.integers(0, 4)))
def test_levels(values: list[dict[str, int]], mode: str, dead: set[int]) -> None:
    """A gauge is sum, max or min of those that live."""
    parts = [
        part(
            made("gauge", *(Number((k,), v) for k, v in each.items()), workers=mode),
            lives=n not in dead,
        )
        for n, each in enumerate(values)
    ]
    expected = {}
    for key in "xyz":
        living = [v[key] for n, v in enumerate(values) if n not in dead and key in v]
        if living:
            expected[key,] = MODEL[mode](living)

    merged = merge(parts)
    assert (numbers(merged) if merged else {}) == expected


@given(processes, st.sets(st.integers(0, 4)))
def test_totals(values: list[dict[str, int]], dead: set[int]) -> None:
    """A counter is the sum of all that ever were."""
    parts = [
        part(
            made("counter", *(Number((k,), abs(v)) for k, v in each.items())),
            lives=n not in dead,
        )
        for n, each in enumerate(values)
    ]
    expected: Counter[tuple[str, ...]] = Counter()
    for each in values:
        expected.update({(k,): abs(v) for k, v in each.items()})

    assert numbers(merge(parts)) == {k: expected[k] for k in expected}


def test_the_latest_outlives_its_writer() -> None:
    """Of a gauge in mode `latest` the value counts that was set last, dead or not."""
    early = part(made("gauge", Number(("x",), 1), workers="latest"), at=(5.0,))
    late = part(
        made("gauge", Number(("x",), 2), workers="latest"), 2, lives=False, at=(9.0,)
    )

    for parts in itertools.permutations((early, late)):
        assert numbers(merge(parts)) == {("x",): 2}

    assert numbers(merge([early, *past_of(late)])) == {("x",): 2}


def test_each_process_for_itself() -> None:
    """In mode `pid` each living process has its series, and the dead leave none."""
    merged = merge(
        [
            part(made("counter", Number(("x",), 1), workers="pid"), 11),
            part(made("counter", Number(("x",), 2), workers="pid"), 12),
            part(made("counter", Number(("x",), 4), workers="pid"), 13, lives=False),
        ]
    )

    assert merged[0].labels == ("a", "pid")
    assert numbers(merged) == {("x", "11"): 1, ("x", "12"): 2}
    own = made("gauge", Number(("x",), 1), workers="pid", labels=("pid",))
    assert merge([part(own, 11)])[0].labels == ("pid", "worker_pid")
    foreign = made("gauge", Sample("m", (("k", "v"),), 3), workers="pid", labels=())
    (shown,) = merge([part(foreign, 11)])[0].points
    assert shown == Sample("m", (("k", "v"), ("pid", "11")), 3)


def test_facts_are_shown_once() -> None:
    """The service is described by its eldest process, whoever answers."""
    told = [
        made("info", Number((f"i-{n}",), 1))._replace(origin="svcready")
        for n in range(3)
    ]
    parts = [part(each, n) for n, each in enumerate(told)]

    for order in itertools.permutations(parts):
        assert numbers(merge(order)) == {("i-0",): 1}


def test_label_names_are_united() -> None:
    """During a rolling reload series of both versions are shown, none is refused."""
    old = made("counter", Number(("x",), 1), labels=("a",))
    new = made("counter", Number(("x", "y"), 2), labels=("b", "a"))

    (merged,) = merge([part(old), part(new, 2)])

    assert merged.labels == ("a", "b")
    assert numbers((merged,)) == {("x", ""): 1, ("y", "x"): 2}


def test_another_kind_adds_nothing() -> None:
    """A family that is a counter here and a gauge there stays what it is here."""
    here = made("counter", Number(("x",), 1))
    there = made("gauge", Number(("x",), 5))

    assert numbers(merge([part(here), part(there, 2)])) == {("x",): 1}
    (totals,) = merge_totals([part(here), part(there, 2)])
    assert [family.kind for family, _ in totals] == ["counter"]


bounds = st.lists(st.integers(-5, 20), min_size=1, max_size=6, unique=True).map(
    lambda found: tuple(map(float, sorted(found)))
)
recorded = st.lists(st.tuples(bounds, st.lists(st.integers(-9, 25))), min_size=1)


def distribution(edges: tuple[float, ...], values: list[int]) -> Distribution:
    """Count *values* in buckets."""
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[sum(edge < value for edge in edges)] += 1

    return Distribution(("x",), edges, tuple(counts), float(sum(values)))


@given(recorded)
def test_buckets(given_: list[tuple[tuple[float, ...], list[int]]]) -> None:
    """
    Count and sum are exact whatever the bounds, so is each bucket that all have, and
    no bucket says more than was recorded.
    """
    joined = add_up([distribution(edges, values) for edges, values in given_])

    everything = [value for _, values in given_ for value in values]
    assert joined.observations == len(everything)
    assert joined.sum == sum(everything)
    assert joined.bounds == tuple(sorted({e for edges, _ in given_ for e in edges}))
    for edge, upto in zip(
        joined.bounds, itertools.accumulate(joined.counts), strict=False
    ):
        exact = sum(value <= edge for value in everything)
        assert upto <= exact
        if all(edge in edges for edges, _ in given_):
            assert upto == exact


amounts = st.lists(
    st.floats(1e-9, 1e9) | st.just(0.0) | st.integers(0, 10**9).map(float),
    min_size=2,
    max_size=12,
)


@given(amounts, st.data())
def test_a_sum_is_the_same_on_every_page(
    values: list[float], data: st.DataObject
) -> None:
    """Whoever answers, and whoever of them is dead by then, the sum is one number."""
    parts = [part(made("counter", Number(("x",), v))) for v in values]
    shown = numbers(merge(parts))
    shuffled = data.draw(st.permutations(parts))
    assert numbers(merge(shuffled)) == shown == {("x",): math.fsum(values)}

    past: list[Part] = []
    left = list(shuffled)
    while left:  # they die one after another
        past = past_of(*past, left.pop())
        assert numbers(merge([*left, *past])) == shown


@given(st.lists(st.lists(st.floats(0, 1e6)), min_size=1, max_size=5))
def test_the_sum_of_a_histogram_outlives_its_processes(
    values: list[list[float]],
) -> None:
    """Absorbing processes one by one changes neither a count nor the exact sum."""
    given_ = [
        Distribution(("x",), (1.0,), (len(each), 0), math.fsum(each)) for each in values
    ]
    past: list[Part] = []
    for each in given_:
        past = past_of(*past, part(made("histogram", each)))

    (family,) = merge(past)
    (kept,) = family.points
    assert isinstance(kept, Distribution)
    assert kept.counts == (sum(map(len, values)), 0)
    assert kept.sum == math.fsum(each.sum for each in given_)


def test_exemplars_are_kept() -> None:
    """Of each series and bucket the latest exemplar is shown, dead processes' too."""
    old = Exemplar((("trace_id", "1"),), 0.5, 10.0)
    new = Exemplar((("trace_id", "2"),), 0.7, 20.0)
    counters = [
        part(made("counter", Number(("x",), 1, each)), n, lives=n == 1)
        for n, each in enumerate((new, old, None))
    ]
    (family,) = merge(counters)
    assert family.points == (Number(("x",), 3, new),)

    first = Distribution(("x",), (1.0, 2.0), (1, 1, 0), 2.0, (old, old, None))
    second = Distribution(("x",), (1.0,), (1, 0), 0.7, (new, None))
    assert add_up([first, second]).exemplars == (new, old, None)


@pytest.mark.parametrize(
    ("values", "total"),
    [((math.inf, 1.0), math.inf), ((1e308, 1e308), math.inf)],
)
def test_no_sum_is_too_large(values: tuple[float, ...], total: float) -> None:
    """What another library counted beyond all bounds is shown, and nothing raised."""
    parts = [part(made("counter", Number(("x",), v))) for v in values]

    assert numbers(merge(parts)) == {("x",): total}


def test_when_a_total_began() -> None:
    """Of prometheus_client's `_created` the earliest is shown, the rest is added."""
    both = [
        part(
            made(
                "counter",
                Sample("m_total", (("a", "x"),), 2),
                Sample("m_created", (("a", "x"),), at),
                labels=(),
            )
        )
        for at in (30.0, 20.0)
    ]

    (family,) = merge(both)

    assert family.points == (
        Sample("m_total", (("a", "x"),), 4),
        Sample("m_created", (("a", "x"),), 20.0),
    )


def test_what_all_read_of_one_host_does_not_fall() -> None:
    """A total in mode `max` stays where the process was that read it last."""
    dead = part(made("counter", Number(("x",), 10), workers="max"), lives=False)
    late = part(made("counter", Number(("x",), 9), workers="max"), 2)

    assert numbers(merge([late, dead])) == {("x",): 10}
    assert numbers(merge([late, *past_of(dead)])) == {("x",): 10}
