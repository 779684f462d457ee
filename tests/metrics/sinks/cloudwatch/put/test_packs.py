"""The fewest requests, and PutMetricData's rules for one datum."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.metrics._instruments._sketch import Sketch
from svcready.metrics.sinks._cloudwatch._data import Datum
from svcready.metrics.sinks._cloudwatch._put._members import (
    Entry,
    Members,
    Unsendable,
    body_bytes,
)
from svcready.metrics.sinks._cloudwatch._put._packs import least_requests, pack
from tests.metrics.sinks.cloudwatch.put.metrics_server import Refused, check_datum

STAMP_S = 1_800_000_000
PLAIN = Datum("orders", (("Kind", "retail"),), "Count", value=1.0)


def entry(size: int) -> Entry:
    """Make an entry of so many bytes."""
    return Entry(PLAIN, {}, size)


def size_of(entries: list[Entry]) -> int:
    """Return the bytes of a request of *entries*, from the format alone."""
    sizes = sum(each.size for each in entries)
    return len('{"Namespace": "Shop", "MetricData": []}') + sizes + 2 * len(entries) - 2


RUNS = st.lists(
    st.tuples(st.sampled_from([60, 150, 900, 6_000, 40_000]), st.integers(1, 900)),
    max_size=5,
)


@given(RUNS)
def test_packs_hold_everything_within_the_limits(runs: list[tuple[int, int]]) -> None:
    """And are as few as count and bytes allow, but for what indivisible datums cost."""
    sizes = [size for size, times in runs for _ in range(times)]
    entries = [entry(size) for size in sizes]
    packs = pack("Shop", entries)

    assert sorted(map(id, entries)) == sorted(id(e) for made in packs for e in made)
    assert all(1 <= len(made) <= 1000 for made in packs)
    assert all(size_of(made) <= 1_000_000 for made in packs)
    fewest = max(-(-len(sizes) // 1000), -(-sum(sizes) // 1_000_000))
    assert fewest <= least_requests("Shop", entries) <= fewest + 1
    useful = 1_000_000 - max(sizes, default=0)
    assert len(packs) <= max(-(-len(sizes) // 1000), -(-sum(sizes) // useful)) + 1


@pytest.mark.parametrize(
    ("small", "large", "fewest"),
    [(1000, 0, 1), (1001, 0, 2), (0, 160, 1), (1000, 300, 2), (1200, 300, 2)],
)
def test_small_and_large_share_requests(small: int, large: int, fewest: int) -> None:
    """Taken in order, a thousand small ones and 300 large ones would need three."""
    entries = [entry(150)] * small + [entry(6000)] * large
    assert len(pack("Shop", entries)) == fewest


def test_the_bytes_of_a_body_are_those_of_its_json() -> None:
    """Namespace, commas and all, as botocore's serializer spaces them."""
    made = list(Members(lambda _: False, split=False).entries(PLAIN, STAMP_S)) * 3
    body = {"Namespace": 'S"hop', "MetricData": [each.member for each in made]}
    size = sum(each.size for each in made)
    assert body_bytes('S"hop', size, 3) == len(json.dumps(body))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "orders\n"}, "name"),
        ({"name": "commandes reçues"}, "name"),
        ({"unit": "Furlongs"}, "unit"),
        ({"resolution": 5}, "resolution"),
        ({"dimensions": tuple((f"d{n:02}", "x") for n in range(31))}, "dimensions"),
        ({"dimensions": (("a", "x"), ("a", "y"))}, "dimensions"),
        ({"dimensions": ((":a", "x"),)}, "dimension name"),
        ({"dimensions": ((" ", "x"),)}, "dimension name"),
        ({"dimensions": (("a", ""),)}, "dimension value"),
        ({"dimensions": (("a", "x" * 1025),)}, "dimension value"),
        ({"dimensions": (("a", "caf\u00e9"),)}, "dimension value"),
        ({"value": float("nan")}, "value"),
        ({"value": float("inf")}, "value"),
        ({"value": -(2.0**361)}, "value"),
    ],
)
def test_what_the_service_would_refuse_is_not_sent(
    change: dict[str, object], fault: str
) -> None:
    """By every rule of its reference, because it would refuse the whole request."""
    datum = PLAIN._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(Unsendable, match=fault):
        list(Members(lambda _: False, split=False).entries(datum, STAMP_S))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x" * 255},
        {"dimensions": ()},
        {"dimensions": tuple((f"d{n:02}", "x" * 1024) for n in range(30))},
        {"value": 2.0**360},
        {"value": 5e-324},
        {"unit": "Terabits/Second", "resolution": 1},
    ],
)
def test_what_is_just_allowed_is_sent(change: dict[str, object]) -> None:
    """Up to each limit."""
    datum = PLAIN._replace(**change)  # type: ignore[arg-type]
    (made,) = Members(lambda _: False, split=False).entries(datum, STAMP_S)
    check_datum(made.member, STAMP_S)
    assert made.size == len(json.dumps(made.member))


@given(st.lists(st.floats(-1e12, 1e12), max_size=400), st.booleans(), st.booleans())
def test_whatever_was_recorded_is_taken(
    values: list[float], split: bool, statistics: bool
) -> None:
    """Zeros, negative and tiny values too; counts are exact, the sum up to rounding."""
    sketch = Sketch()
    sketch.add(values)
    datum = Datum("size", (), "Bytes", kind="distribution", sketch=sketch)
    made = list(Members(lambda _: statistics, split=split).entries(datum, STAMP_S))
    count, total = 0.0, 0.0
    for each in made:
        try:
            check_datum(each.member, STAMP_S)
        except Refused:
            pytest.fail(f"refused: {each.member}")

        some, part = _count_and_sum(each.member)
        count, total = count + some, total + part

    assert count == len(values)
    magnitude = max([1.0, *map(abs, values)]) * max(1, len(values))
    assert total == pytest.approx(sum(values), abs=magnitude * 1e-8)
    assert len(made) <= 1 or split


def test_digits_that_mean_nothing_are_not_sent() -> None:
    """The least and the greatest value are exact; neighbours are never made one."""
    third, close = 1 / 3, 1.0 + 1e-12
    for values, sent in (
        ([third, third + 1, third + 2], [third, 1.33333333, third + 2]),
        ([0.1, 1.0, close, 7.0], [0.1, 1, close, 7]),
    ):
        sketch = Sketch()
        sketch.add(values)
        datum = Datum("size", (), "Bytes", kind="distribution", sketch=sketch)
        (made,) = Members(lambda _: False, split=False).entries(datum, STAMP_S)
        assert made.member["Values"] == sent


def _count_and_sum(member: dict[str, object]) -> tuple[float, float]:
    body = json.loads(json.dumps(member))
    if "Value" in body:
        return 1, body["Value"]

    if "StatisticValues" in body:
        return body["StatisticValues"]["SampleCount"], body["StatisticValues"]["Sum"]

    counts = body.get("Counts", [1] * len(body["Values"]))
    pairs = zip(body["Values"], counts, strict=True)
    return sum(counts), sum(value * count for value, count in pairs)
