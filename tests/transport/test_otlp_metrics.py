"""Our encoding of metrics, read by the official parser and built by it as well."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcready._transport.otlp_metrics import (
    ExemplarPoint,
    HistogramPoint,
    Limits,
    Metric,
    NumberPoint,
    Scope,
    SummaryPoint,
    encode_metrics,
)

_service = pytest.importorskip(
    "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2"
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: E402
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue  # noqa: E402
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb  # noqa: E402

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
labels = st.dictionaries(
    text.filter(bool), text | st.integers(-(2**63), 2**63 - 1), max_size=4
)
times = st.integers(0, 2**63)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
exemplars = st.lists(
    st.builds(
        ExemplarPoint,
        times,
        st.floats(allow_nan=False),
        st.binary(min_size=16, max_size=16) | st.just(b""),
        st.binary(min_size=8, max_size=8) | st.just(b""),
        labels,
    ),
    max_size=2,
).map(tuple)


@st.composite
def _histograms(draw: st.DrawFn) -> HistogramPoint:
    bounds = draw(st.lists(st.floats(-1e9, 1e9), max_size=5, unique=True))
    counts = [draw(st.integers(0, 2**32)) for _ in range(len(bounds) + 1)]
    return HistogramPoint(
        draw(labels),
        draw(times),
        draw(times),
        tuple(sorted(bounds)),
        tuple(counts),
        draw(st.floats(allow_nan=False) | st.none()),
        draw(exemplars),
    )


quantiles = st.lists(st.tuples(st.floats(0, 1), st.floats(allow_nan=False)), max_size=3)
Point = NumberPoint | HistogramPoint | SummaryPoint
POINTS: dict[str, st.SearchStrategy[Point]] = {
    "gauge": st.builds(NumberPoint, labels, st.just(0), times, numbers, exemplars),
    "sum": st.builds(NumberPoint, labels, times, times, numbers, exemplars),
    "histogram": _histograms(),
    "summary": st.builds(
        SummaryPoint,
        labels,
        times,
        times,
        st.integers(0, 2**62),
        st.floats(allow_nan=False),
        st.lists(
            st.tuples(st.floats(0, 1), st.floats(allow_nan=False)), max_size=3
        ).map(tuple),
    ),
}


@st.composite
def _metrics(draw: st.DrawFn) -> Metric:
    kind = draw(st.sampled_from(sorted(POINTS)))
    points = draw(st.lists(POINTS[kind], min_size=1, max_size=3))
    return Metric(
        draw(text),
        draw(text),
        draw(text),
        kind,
        points,
        monotonic=draw(st.booleans()),
        delta=draw(st.booleans()),
    )


def _values(given: object) -> list[KeyValue]:
    made = []
    for key, value in dict(given).items():  # type: ignore[call-overload]
        pair = KeyValue(key=key)
        if isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.string_value = value

        made.append(pair)

    return made


def _exemplars(given: tuple[ExemplarPoint, ...]) -> list[pb.Exemplar]:
    return [
        pb.Exemplar(
            time_unix_nano=each.time_ns,
            as_double=each.value,
            trace_id=each.trace_id,
            span_id=each.span_id,
            filtered_attributes=_values(each.attributes),
        )
        for each in given
    ]


def _expected(metric: Metric) -> pb.Metric:
    """Build the message by the official classes alone."""
    made = pb.Metric(name=metric.name, description=metric.help, unit=metric.unit)
    body = getattr(made, metric.kind)
    body.SetInParent()
    if metric.kind in {"sum", "histogram"}:
        body.aggregation_temporality = (
            pb.AGGREGATION_TEMPORALITY_DELTA
            if metric.delta
            else pb.AGGREGATION_TEMPORALITY_CUMULATIVE
        )

    if metric.kind == "sum":
        body.is_monotonic = metric.monotonic

    for point in metric.points:
        to = body.data_points.add(
            start_time_unix_nano=point.start_ns,
            time_unix_nano=point.time_ns,
            attributes=_values(point.attributes),
        )
        if isinstance(point, NumberPoint):
            to.exemplars.extend(_exemplars(point.exemplars))
            if isinstance(point.value, int):
                to.as_int = point.value
            else:
                to.as_double = point.value
        elif isinstance(point, HistogramPoint):
            to.exemplars.extend(_exemplars(point.exemplars))
            to.count = sum(point.counts)
            to.bucket_counts.extend(point.counts)
            to.explicit_bounds.extend(point.bounds)
            if point.sum is not None:
                to.sum = point.sum
        else:
            to.count, to.sum = point.observations, point.sum
            for quantile, value in point.quantiles:
                to.quantile_values.add(quantile=quantile, value=value)

    return made


@settings(max_examples=60)
@given(labels, st.lists(st.tuples(text, text), max_size=2), st.data())
def test_what_is_written_is_what_the_official_classes_would_hold(
    resource: dict[str, object], scopes: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Every field of every kind of point arrives at the official parser."""
    given_ = [
        (Scope(f"{at}{name}", version), data.draw(st.lists(_metrics(), min_size=1)))
        for at, (name, version) in enumerate(scopes)
    ]
    requests = list(encode_metrics(resource, given_, Limits(10**6, 10**9)))
    wanted = ExportMetricsServiceRequest()
    if given_:
        to = wanted.resource_metrics.add()
        to.resource.attributes.extend(_values(resource))
        for scope, found in given_:
            within = to.scope_metrics.add()
            within.scope.name, within.scope.version = scope
            within.metrics.extend([_expected(metric) for metric in found])

    read = [ExportMetricsServiceRequest.FromString(each.body) for each in requests]
    assert read == ([wanted] if given_ else [])


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 12), max_size=6),
    st.integers(1, 7),
    st.integers(200, 2000),
)
def test_requests_keep_the_limits_and_lose_nothing(
    sizes: list[int], most: int, size_bytes: int
) -> None:
    """No request has more points or bytes than allowed, and all points arrive once."""
    given_ = [
        (
            Scope(f"library{at % 2}"),
            [
                Metric(
                    f"m{at}",
                    "help",
                    "s",
                    "sum",
                    [NumberPoint({"i": n}, 1, 2, at * 100 + n) for n in range(size)],
                )
            ],
        )
        for at, size in enumerate(sizes)
    ]
    limits = Limits(most, size_bytes)
    arrived = []
    for request in encode_metrics({"service.name": "orders"}, given_, limits):
        assert len(request.body) <= size_bytes
        read = ExportMetricsServiceRequest.FromString(request.body)
        values = [
            point.as_int
            for resource in read.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.sum.data_points
        ]
        assert 0 < len(values) == request.points <= most
        arrived += values

    wanted = [at * 100 + n for at, size in enumerate(sizes) for n in range(size)]
    assert arrived == wanted


def test_requests_are_as_few_as_the_points_allow() -> None:
    """2 500 small points of one metric make three requests of at most 1 000."""
    points = [NumberPoint({}, 0, 1, n) for n in range(2500)]
    found = [(Scope("x"), [Metric("m", "", "", "gauge", points)])]
    requests = list(encode_metrics({}, found, Limits(1000, 1_000_000)))
    assert [request.points for request in requests] == [1000, 1000, 500]


def test_a_point_beyond_the_limit_has_a_request_of_its_own() -> None:
    """One huge point does not take its neighbours with it."""
    points = [NumberPoint({"v": "x" * n}, 0, 1, 1) for n in (1, 5000, 1)]
    found = [(Scope("x"), [Metric("m", "", "", "gauge", points)])]
    requests = list(encode_metrics({}, found, Limits(10, 1000)))
    assert [request.points for request in requests] == [1, 1, 1]
