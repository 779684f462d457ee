"""EMF events keep every rule of CloudWatch, and say exactly what was recorded."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcready.metrics._instruments._sketch import Sketch
from svcready.metrics.sinks._cloudwatch._data import Datum
from svcready.metrics.sinks._cloudwatch._emf._events import LARGEST_EVENT, Emf
from svcready.testing import assert_emf_event

if TYPE_CHECKING:
    from collections.abc import Iterable

    Series = tuple[str, tuple[tuple[str, str], ...]]

ENV = (("Environment", "test"),)
ORDERS = (("ApiEndpoint", "POST /orders"), ("Environment", "test"))
PROPERTIES = {"service": "orders", "instance": "i-1"}
NOW_MS = 1_800_000_000_000


def sketch_of(values: Iterable[float]) -> Sketch:
    """Record *values*."""
    sketch = Sketch()
    sketch.add(values)
    return sketch


def recorded(name: str, values: Iterable[float], scale: float = 1.0) -> Datum:
    """Make a distribution of *values*."""
    sketch = sketch_of(values)
    return Datum(name, ENV, "Bytes", 60, "distribution", 0.0, sketch, scale)


def write(
    datums: list[Datum],
    *,
    max_bytes: int = LARGEST_EVENT,
    split: bool = False,
    statistic: bool = False,
    properties: dict[str, str] = PROPERTIES,
) -> list[bytes]:
    """Return the events of *datums*, and see that each datum is in one of them."""
    emf = Emf(statistic=lambda _: statistic, split=split, max_bytes=max_bytes)
    events = list(
        emf.events(
            datums,
            namespace="Shop",
            time_ms=NOW_MS,
            hints={},
            properties=properties,
        )
    )
    if not split:
        said = [datum for event in events for datum in event.datums]
        assert sorted(map(id, said)) == sorted(map(id, datums))

    return [event.line for event in events if event.line]


def read(
    lines: list[bytes], *, max_bytes: int = LARGEST_EVENT
) -> dict[Series, list[float]]:
    """Return count and sum of each metric as CloudWatch would add them up."""
    found: dict[Series, list[float]] = defaultdict(lambda: [0, 0.0])
    for line in lines:
        event = assert_emf_event(line, max_bytes=max_bytes)
        head = cast("dict[str, list[dict[str, list[dict[str, str]]]]]", event["_aws"])
        for directive in head["CloudWatchMetrics"]:
            for names in cast("list[list[str]]", directive["Dimensions"]):
                dimensions = tuple(sorted((name, str(event[name])) for name in names))
                for metric in directive["Metrics"]:
                    known = found[metric["Name"], dimensions]
                    count, total = amount_of(event[metric["Name"]])
                    known[0] += count
                    known[1] += total

    return found


def amount_of(target: object) -> tuple[int, float]:
    """Return the count and sum of one target, by the format's own words."""
    if isinstance(target, list):
        return len(target), sum(target)

    if not isinstance(target, dict):
        return 1, cast("float", target)

    if "Values" in target:
        weighed = zip(target["Values"], target["Counts"], strict=True)
        assert sum(v * n for v, n in weighed) == pytest.approx(target["Sum"])

    return target["Count"], target["Sum"]


def test_an_event_as_a_whole() -> None:
    """The published form, with what is searchable beside the metrics."""
    (line,) = write(
        [
            Datum("orders", ENV, "Count", value=3.0),
            Datum("load", ENV, "None", 1, "level", 0.5),
            recorded("size", (1, 2, 2)),
        ]
    )

    assert json.loads(line) == {
        "_aws": {
            "Timestamp": NOW_MS,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Shop",
                    "Dimensions": [["Environment"]],
                    "Metrics": [
                        {"Name": "orders", "Unit": "Count"},
                        {"Name": "load", "StorageResolution": 1},
                        {"Name": "size", "Unit": "Bytes"},
                    ],
                }
            ],
        },
        "service": "orders",
        "instance": "i-1",
        "Environment": "test",
        "orders": 3,
        "load": 0.5,
        "size": [1, 2, 2],
    }
    assert_emf_event(line, published=True)


def test_no_dimensions_are_one_empty_set() -> None:
    """The schema wants at least one set."""
    (line,) = write([Datum("orders", (), "Count", value=1.0)])

    assert b'"Dimensions":[[]]' in line
    assert read([line]) == {("orders", ()): [1, 1.0]}


def test_many_recordings_keep_count_and_sum() -> None:
    """Beyond 100 the published form cannot tell how many there were."""
    values = [n / 7 for n in range(1, 20_001)]
    datum = recorded("ResponseTime", values, 1000.0)

    (line,) = write([datum])

    assert read([line])["ResponseTime", ENV] == [
        20_000,
        pytest.approx(sum(values) * 1000),
    ]
    target = json.loads(line)["ResponseTime"]
    assert len(target["Values"]) <= 100
    assert target["Min"] == pytest.approx(1000 / 7)


def test_a_hundred_recordings_are_exact_and_published() -> None:
    """Each is written as often as it was recorded."""
    datum = recorded("size", [7.0] * 60 + [9.0] * 40)

    (line,) = write([datum])

    assert_emf_event(line, published=True)
    assert json.loads(line)["size"] == [7] * 60 + [9] * 40


def test_pieces_keep_every_value_apart() -> None:
    """`split_values` sends more events instead of merging values."""
    values = [1.02**n for n in range(240)]
    datum = recorded("size", values)

    lines = write([datum], split=True)

    assert len(lines) == 3
    assert read(lines)["size", ENV] == [240, pytest.approx(sum(values))]


def test_statistic_sets() -> None:
    """Count, sum, min and max alone, where that is asked for."""
    (line,) = write([recorded("size", (1.0, 2.0, 6.0))], statistic=True)

    assert json.loads(line)["size"] == {"Count": 3, "Sum": 9, "Min": 1, "Max": 6}


def test_a_whole_of_one_part_is_written_once() -> None:
    """Sets in which everything is the same share an event, as for one request."""
    datums = [
        Datum("RequestCount", dims, "Count", value=1.0) for dims in (ENV, ORDERS)
    ] + [Datum("FaultCount", ENV, "Count")]

    lines = write(datums)

    assert len(lines) == 2
    assert read(lines) == {
        ("RequestCount", ENV): [1, 1.0],
        ("RequestCount", ORDERS): [1, 1.0],
        ("FaultCount", ENV): [1, 0.0],
    }


def test_names_that_meet_are_told_apart() -> None:
    """A member of the event is either a dimension or a metric."""
    lines = write(
        [
            Datum("kind", (("kind", "a"),), "Count", value=1.0),
            Datum("_aws", (), "Count", value=1.0),
            Datum("service", (), "Count", value=2.0),
        ]
    )

    assert read(lines) == {
        ("kind_value", (("kind", "a"),)): [1, 1.0],
        ("_aws_value", ()): [1, 1.0],
        ("service", ()): [1, 2.0],
    }


def test_one_name_with_two_units_takes_two_events() -> None:
    """An event has one target of a name."""
    datums = [Datum("size", ENV, unit, value=1.0) for unit in ("Bytes", "Count")]

    assert len(write(datums)) == 2


@pytest.mark.parametrize("max_bytes", [1024, 16 * 1024, LARGEST_EVENT])
def test_events_are_split_to_fit(max_bytes: int) -> None:
    """No more than 100 metrics and the line's limit, whatever that is."""
    datums = [recorded(f"metric.{n}", range(n, n + 500)) for n in range(120)]
    datums += [Datum(f"count.{n}", ENV, "Count", value=float(n)) for n in range(120)]

    lines = write(datums, max_bytes=max_bytes)

    found = read(lines, max_bytes=max_bytes)
    assert len(found) == 240
    assert found["metric.7", ENV] == [500, pytest.approx(sum(range(7, 507)))]
    assert found["count.9", ENV] == [1, 9.0]


def test_properties_make_way_for_metrics() -> None:
    """Where only they are too long; what then does not fit is given up."""
    datum = Datum("orders", ENV, "Count", value=1.0)

    (line,) = write([datum], max_bytes=300, properties={"request_id": "x" * 500})
    none = write([datum], max_bytes=100)

    assert read([line]) == {("orders", ENV): [1, 1.0]}
    assert none == []


NAMES = st.sampled_from(["RequestCount", "orders", "kind", "size", "_aws", "service"])
DIMENSIONS = st.dictionaries(
    st.sampled_from(["Environment", "ApiEndpoint", "kind"]),
    st.sampled_from(["a", "b"]),
).map(lambda chosen: tuple(sorted(chosen.items())))
NUMBERS = st.floats(-1e9, 1e9).filter(lambda x: x == 0 or abs(x) > 1e-6)
UNITS = st.sampled_from(["Count", "None", "Milliseconds"])
VALUES = st.one_of(
    st.lists(NUMBERS, min_size=1, max_size=130),
    st.integers(101, 2000).map(lambda n: [float(i % 311) + 1 for i in range(n)]),
)
DATUMS = st.one_of(
    st.builds(
        Datum,
        NAMES,
        DIMENSIONS,
        UNITS,
        st.sampled_from([1, 60]),
        st.sampled_from(["count", "level"]),
        NUMBERS,
    ),
    st.builds(
        lambda name, dims, values, scale: Datum(
            name, dims, "Seconds", 60, "distribution", 0.0, sketch_of(values), scale
        ),
        NAMES,
        DIMENSIONS,
        VALUES,
        st.sampled_from([1.0, 1000.0]),
    ),
)


@given(
    st.lists(DATUMS, max_size=12, unique_by=lambda datum: datum.key),
    st.sampled_from([2048, 16 * 1024, LARGEST_EVENT]),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_recorded_makes_valid_events(
    datums: list[Datum], max_bytes: int, split: bool
) -> None:
    """All rules hold, and counts and sums are those of the datums, none twice."""
    expected: dict[Series, list[float]] = defaultdict(lambda: [0, 0.0])
    largest: dict[Series, float] = defaultdict(float)
    for datum in datums:
        clash = datum.name == "_aws" or datum.name in dict(datum.dimensions)
        name = f"{datum.name}_value" if clash else datum.name
        known = expected[name, datum.dimensions]
        ends = datum.statistics()[2:] if datum.sketch else (datum.value,)
        largest[name, datum.dimensions] += sum(map(abs, ends))
        if datum.sketch is None:
            known[0] += 1
            known[1] += datum.value
        else:
            known[0] += datum.sketch.count
            known[1] += datum.sketch.sum * datum.scale

    found = read(write(datums, max_bytes=max_bytes, split=split), max_bytes=max_bytes)

    assert found.keys() == expected.keys()
    for series, (count, total) in expected.items():
        assert found[series][0] == count
        slack = 1e-9 * largest[series] * max(count, 1)  # of what cancels out
        assert found[series][1] == pytest.approx(total, rel=1e-6, abs=slack)
