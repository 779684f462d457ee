from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import exposition
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.samples import Exemplar as TheirExemplar
from prometheus_client.utils import floatToGoString

from svcready.metrics._model import (
    Distribution,
    Exemplar,
    Family,
    Number,
    Sample,
    Snapshot,
)
from svcready.metrics.sinks._prometheus._sink import PrometheusSink
from svcready.metrics.sinks._prometheus._text import TextRenderer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.conftest import Faults

PLAIN = "text/plain; version=0.0.4"
PLAIN_1 = "text/plain; version=1.0.0"
PLAIN_UTF8 = "text/plain; version=1.0.0; escaping=allow-utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
OPENMETRICS_UTF8 = "application/openmetrics-text; version=1.0.0; escaping=allow-utf-8"
FORMATS = (PLAIN, PLAIN_1, PLAIN_UTF8, OPENMETRICS, OPENMETRICS_UTF8)


class Registry:
    """Metrics as prometheus_client's encoders collect them."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self.metrics


def encoded(metrics: Sequence[Metric], accept: str) -> bytes:
    """Return what prometheus_client makes of *metrics*."""
    escaping = "allow-utf-8" if "utf-8" in accept else "underscores"
    if "openmetrics" in accept:
        page: bytes = openmetrics_exposition.generate_latest(  # type: ignore[no-untyped-call]
            Registry(metrics), escaping
        )
        return page

    return exposition.generate_latest(Registry(metrics), escaping)


def page(families: Sequence[Family], accept: str) -> bytes:
    """Return what our sink makes of *families*."""
    sink = PrometheusSink(lambda: Snapshot(0, tuple(families)), compression=False)
    return sink.render(accept, None).body


def theirs(family: Family) -> Metric:
    """Build *family* by hand with prometheus_client's own families."""
    unit = {"s": "seconds", "By": "bytes"}.get(family.unit, family.unit)
    head = (family.exposition, family.help)
    made: Metric
    if family.kind == "counter":
        made = CounterMetricFamily(*head, labels=family.labels, unit=unit)
        for number in family.points:
            assert isinstance(number, Number)
            made.add_sample(
                family.exposition + "_total",
                dict(zip(family.labels, number.labels, strict=True)),
                number.value,
                exemplar=their_exemplar(number.exemplar),
            )
    elif family.kind in {"gauge", "updowncounter"}:
        made = GaugeMetricFamily(*head, labels=family.labels, unit=unit)
        for number in family.points:
            assert isinstance(number, Number)
            made.add_metric(number.labels, number.value)
    elif family.kind == "info":
        made = InfoMetricFamily(*head, labels=())
        for number in family.points:
            assert isinstance(number, Number)
            made.add_metric((), dict(zip(family.labels, number.labels, strict=True)))
    else:
        made = HistogramMetricFamily(*head, labels=family.labels, unit=unit)
        for point in family.points:
            assert isinstance(point, Distribution)
            spelt = (*map(floatToGoString, point.bounds), "+Inf")
            totals = [
                sum(point.counts[: place + 1]) for place in range(len(point.counts))
            ]
            exemplars = [their_exemplar(e) for e in point.exemplars] or [None] * len(
                spelt
            )
            made.add_metric(
                point.labels,
                list(zip(spelt, totals, exemplars, strict=True)),  # type: ignore[arg-type]
                point.sum,
            )

    return made


def their_exemplar(given: Exemplar | None) -> TheirExemplar | None:
    """Return an exemplar as prometheus_client has it."""
    if given is None:
        return None

    return TheirExemplar(dict(given.labels), given.value, given.timestamp)  # type: ignore[arg-type]


def distinct(points: Sequence[Number]) -> tuple[Number, ...]:
    """Return *points* with each label set once."""
    return tuple({point.labels: point for point in points}.values())


text = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.one_of(
    st.floats(), st.integers(-(10**9), 10**9), st.integers(10**15, 10**18)
)
names = st.one_of(
    st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True),
    st.sampled_from(["a:b", "größe", "dotted.name", "with space", "x" * 70]),
)
label_names = st.lists(
    st.sampled_from(["a", "kind", "Kind", "lf", "le_", "route", "z9"]),
    max_size=4,
    unique=True,
).map(tuple)
stamps = st.one_of(st.none(), st.floats(0, 2e9), st.integers(0, 2 * 10**9))
exemplars = st.builds(
    Exemplar,
    st.lists(
        st.tuples(st.sampled_from(["trace_id", "span_id", "a"]), text),
        max_size=3,
        unique_by=lambda pair: pair[0],
    ).map(tuple),
    st.floats(allow_nan=False),
    stamps,
)


@st.composite
def recorded(draw: st.DrawFn) -> Family:
    """Families of the kinds that svcready records."""
    kind = draw(
        st.sampled_from(["counter", "gauge", "updowncounter", "info", "histogram"])
    )
    unit = draw(st.sampled_from(["", "s", "By"])) if kind != "info" else ""
    name = draw(names) + {"": "", "s": "_seconds", "By": "_bytes"}[unit]
    labels = draw(label_names)
    keys = draw(st.lists(st.tuples(*(text for _ in labels)), max_size=4, unique=True))
    points: list[Number | Distribution] = []
    bounds = tuple(sorted(draw(st.sets(st.floats(0, 1e9), max_size=4))))
    for key in keys:
        if kind == "histogram":
            counts = draw(st.tuples(*(st.integers(0, 10**7) for _ in (*bounds, 0))))
            given = draw(
                st.just(()) | st.tuples(*(st.none() | exemplars for _ in counts))
            )
            inside = tuple(
                e and e._replace(value=edge)  # a bound belongs to its bucket
                for e, edge in zip(given, (*bounds, math.inf), strict=False)
            )
            points.append(Distribution(key, bounds, counts, draw(values), inside))
        else:
            value = 1 if kind == "info" else draw(values)
            exemplar = draw(st.none() | exemplars) if kind == "counter" else None
            points.append(Number(key, value, exemplar))

    return Family(
        name, name, kind, draw(text), unit, labels, tuple(points), "application"
    )


@st.composite
def collected(draw: st.DrawFn) -> tuple[Family, Metric]:
    """Families of every kind, as another library gives them, and its own object."""
    kind = draw(st.sampled_from(Metric.__init__.__globals__["METRIC_TYPES"]))
    unit = draw(st.sampled_from(["", "seconds"]))
    metric = Metric(draw(names), draw(text), kind, unit)
    name = metric.name
    ends = ["", "_total", "_created", "_gsum", "_gcount", "_bucket", "_count", "_sum"]
    samples = []
    for end in draw(st.lists(st.sampled_from(ends), max_size=6)):
        labels = draw(
            st.dictionaries(
                st.sampled_from(["le", "a", "kind", "dotted.label", "b", "A"]), text
            )
        )
        exemplar = None
        if (kind, end) in {
            ("counter", "_total"),
            ("histogram", "_bucket"),
            ("histogram", ""),
            ("gaugehistogram", "_bucket"),
        }:
            exemplar = draw(st.none() | exemplars)

        stamp = draw(stamps)
        value = draw(values)
        given = name + end
        metric.add_sample(given, labels, value, stamp, their_exemplar(exemplar))
        samples.append(Sample(given, tuple(labels.items()), value, stamp, exemplar))

    family = Family(
        name,
        name,
        metric.type,
        metric.documentation,
        metric.unit,
        (),
        tuple(samples),
        "prometheus_client",
    )
    return family, metric


@pytest.mark.parametrize("accept", FORMATS)
@settings(max_examples=80)
@given(families=st.lists(recorded(), max_size=3))
def test_what_we_record_is_written_as_prometheus_client_writes_it(
    accept: str, families: list[Family]
) -> None:
    """Byte for byte, whatever the names, label values, help texts and numbers are."""
    families = [_fit(family) for family in families]

    assert page(families, accept) == encoded([theirs(f) for f in families], accept)


def _fit(family: Family) -> Family:
    """Leave out exemplars that are longer than OpenMetrics takes."""

    def short(given: Exemplar | None) -> Exemplar | None:
        length = sum(map(len, chain(*given.labels))) if given else 0
        return given if length <= 128 else None

    return family._replace(
        points=tuple(
            point._replace(exemplar=short(point.exemplar))
            if isinstance(point, Number)
            else point._replace(exemplars=tuple(map(short, point.exemplars)))  # type: ignore[call-arg, union-attr]
            for point in family.points
        )
    )


@pytest.mark.parametrize("accept", FORMATS)
@settings(max_examples=80)
@given(pairs=st.lists(collected(), max_size=3))
def test_what_others_record_is_written_as_prometheus_client_writes_it(
    accept: str, pairs: list[tuple[Family, Metric]]
) -> None:
    """Every kind, with timestamps, creation times and exemplars, byte for byte."""
    ours = page([family for family, _ in pairs], accept)

    assert ours == encoded([metric for _, metric in pairs], accept)


@pytest.mark.parametrize("accept", FORMATS)
def test_the_renderer_itself_writes_whatever_has_plain_names(accept: str) -> None:
    """prometheus_client is not asked for the families that every service has."""
    openmetrics = "openmetrics" in accept
    family = Family(
        "http.server.request.duration",
        "http_server_request_duration_seconds",
        "histogram",
        "Duration",
        "s",
        ("method", "a"),
        (
            Distribution(("GET", 'x"\n\\'), (0.1, 2500000.0), (1, 0, 2), 7.5),
            Distribution(("PUT", "y"), (0.1, 2500000.0), (0, 0, 0), 0.0),
        ),
        "svcready",
    )

    written = TextRenderer().write(family, openmetrics=openmetrics)
    assert written == encoded([theirs(family)], accept).removesuffix(b"# EOF\n")
    assert b'a="x\\"\\n\\\\",le="2.5e+06",method="GET"} 1.0\n' in written


def histogram(*given: Exemplar | None) -> Family:
    """Return a histogram of three buckets with these exemplars."""
    point = Distribution((), (1.0, 2.0), (1, 1, 1), 6.0, given)
    return Family("took", "took", "histogram", "h", "", (), (point,), "application")


def test_a_bucket_shows_its_own_exemplar_only() -> None:
    """One outside it or over 128 characters is left out, as OpenMetrics says."""
    trace = (("trace_id", "4bf9"),)
    long = (("trace_id", "4" * 121),)
    family = histogram(
        Exemplar(trace, 1.0, 1800000000.25),  # the bound belongs to the bucket
        Exemplar(trace, 1.0, None),
        Exemplar(long, 3.0, None),
    )

    lines = page([family], OPENMETRICS).decode().splitlines()
    assert lines[2:5] == [
        'took_bucket{le="1.0"} 1.0 # {trace_id="4bf9"} 1.0 1800000000.25',
        'took_bucket{le="2.0"} 2.0',
        'took_bucket{le="+Inf"} 3.0',
    ]
    fits = histogram(None, None, Exemplar((("trace_id", "4" * 120),), 3.0, None))
    assert b'4"} 3.0\n' in page([fits], OPENMETRICS)
    assert b"trace_id" not in page([family], PLAIN) + page([family], PLAIN_1)


def test_an_exemplar_that_no_format_has_is_left_out() -> None:
    """Only counters and buckets have them, so a gauge is shown without."""
    number = Number((), 1, Exemplar((("trace_id", "4bf9"),), 1.0, None))
    family = Family("load", "load", "gauge", "h", "", (), (number,), "application")

    assert page([family], OPENMETRICS).splitlines()[-2:] == [b"load 1.0", b"# EOF"]


@pytest.mark.parametrize("accept", FORMATS)
def test_what_nobody_can_write_is_left_out(accept: str, faults: Faults) -> None:
    """A kind that there is not, or text that is no text; the others are shown."""
    good = Family("ok", "ok", "gauge", "h", "", (), (Number((), 1),), "application")
    strange = good._replace(exposition="strange", kind="sketch")
    mixed = good._replace(exposition="mixed", points=(Number((), 1), Number(("a",), 2)))
    torn = good._replace(exposition="torn", help="\ud800")

    body = page([strange, good, mixed, torn], accept)
    assert b"\nok 1.0\n" in body
    for name in (b"strange", b"mixed", b"torn"):
        assert name not in body
        assert name.decode() in str(faults.claim("metrics.prometheus"))


def test_a_histogram_without_bounds_has_one_bucket() -> None:
    """OpenTelemetry allows it; the sum and the count are what it is for."""
    point = Distribution((), (), (3,), 6.0)
    family = Family("took", "took", "histogram", "h", "", (), (point,), "otel")

    assert page([family], PLAIN).splitlines()[2:] == [
        b'took_bucket{le="+Inf"} 3.0',
        b"took_count 3.0",
        b"took_sum 6.0",
    ]


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"took"}, {"took_bucket", "took_count", "took_sum"}),
        ({"took_count"}, {"took_count"}),
        ({"took_count", "load"}, {"took_count", "load"}),
        ({"theirs_sum"}, {"theirs_sum"}),
        ({"nothing"}, set()),
    ],
)
@pytest.mark.parametrize("accept", [PLAIN, OPENMETRICS])
def test_families_and_samples_can_be_asked_for(
    accept: str, asked: set[str], shown: set[str]
) -> None:
    """`?name[]=` takes both, whoever recorded them."""
    load = Family("load", "load", "gauge", "h", "", (), (Number((), 1),), "process")
    samples = (Sample("theirs_sum", (), 1), Sample("theirs_count", (), 1))
    other = Family(
        "theirs", "theirs", "summary", "h", "", (), samples, "prometheus_client"
    )
    families = (histogram(), load, other)
    sink = PrometheusSink(lambda: Snapshot(0, families), compression=False)

    body = sink.render(accept, None, asked).body.decode()
    found = {
        line.split("{")[0].split()[0]
        for line in body.splitlines()
        if not line.startswith("#")
    }
    assert found == shown
    assert body.endswith("# EOF\n") == (accept == OPENMETRICS)


def test_labels_are_forgotten_with_their_series() -> None:
    """What is kept of the label sets is bounded by those that are on the page."""

    def family(name: str, start: int, count: int) -> Family:
        points = tuple(Number((str(start + i),), i) for i in range(count))
        return Family(name, name, "gauge", "h", "", ("i",), points, "application")

    now: list[Family] = []
    sink = PrometheusSink(lambda: Snapshot(0, tuple(now)), compression=False)
    for start in range(0, 10_000, 100):
        now[:] = [family("load", start, 100)]
        body = sink.render(None, None).body
        assert body.count(b"\nload{") == 100
        assert f'load{{i="{start + 99}"}} 99.0\n'.encode() in body
        kept = sink._renderer._numbers
        assert sum(map(len, kept.values())) <= 2 * 100 + 100 + 64

    now[:] = [family("other", 0, 1)]
    sink.render(None, None)
    assert [key[0] for key in sink._renderer._numbers] == ["other"]


def test_a_format_of_the_future_is_left_to_prometheus_client() -> None:
    """What we don't write it may know: OpenMetrics 2.0 is negotiated and rendered."""
    future = "application/openmetrics-text; version=2.0.0"
    below = Distribution((), (-1.0, 1.0), (1, 0, 0), -3.0)
    delta = histogram()._replace(exposition="delta", points=(below,))
    renamed = delta._replace(
        exposition="renamed", unit="seconds", origin="prometheus_client"
    )
    families = (histogram(), delta, renamed)
    sink = PrometheusSink(lambda: Snapshot(0, families), compression=False)

    answer = sink.render(future, None, {"took_count", "delta", "renamed_bucket"})
    assert answer.content_type.startswith(future)
    lines = answer.body.decode().splitlines()
    assert [line for line in lines if line[0] != "#"] == [
        "took_count 3.0",
        *('delta_bucket{le="-1.0"} 1.0', 'delta_bucket{le="1.0"} 1.0'),
        'delta_bucket{le="+Inf"} 1.0',
        *('renamed_bucket{le="-1.0"} 1.0', 'renamed_bucket{le="1.0"} 1.0'),
        'renamed_bucket{le="+Inf"} 1.0',
    ]
    assert "# TYPE renamed histogram" in lines
    assert lines[-1] == "# EOF"
    assert b"delta" not in sink.render(future, None, {"took"}).body


def accepted(accept: str) -> str:
    """Return the kind and version that a scraper is answered with."""
    sink = PrometheusSink(lambda: Snapshot(0, ()), compression=False)
    kind, version, *_ = sink.render(accept, None).content_type.split("; ")
    return f"{kind.rpartition('/')[2]} {version.removeprefix('version=')}"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (f"{PLAIN};q=0.9,{OPENMETRICS};q=0.5", "plain 0.0.4"),
        (f"{PLAIN};q=0.4,{OPENMETRICS};q=0.5", "openmetrics-text 1.0.0"),
        (f"{OPENMETRICS};q=0,*/*;q=0.1", "plain 0.0.4"),
        (f"{OPENMETRICS};q=0.000", "plain 0.0.4"),
        (f"{PLAIN_1};q=0.2,{OPENMETRICS};q=0.1", "plain 1.0.0"),
        (f"*/*,{OPENMETRICS};q=0.1", "plain 0.0.4"),
        (f"text/html,{OPENMETRICS};q=0.1", "openmetrics-text 1.0.0"),
        (f"{OPENMETRICS};q=high", "openmetrics-text 1.0.0"),
        ("application/vnd.google.protobuf;q=0.6,text/plain;q=0.2", "plain 0.0.4"),
    ],
)
def test_weights_of_a_scraper_are_heeded(accept: str, expected: str) -> None:
    """RFC 9110, 12.4.2: the heaviest that we have, and nothing that weighs zero."""
    assert accepted(accept) == expected


def test_numbers_are_spelt_as_go_does() -> None:
    """Exponents from a million on, and the words for what is no number."""
    spelt: Callable[[float], str]
    from svcready.metrics.sinks._prometheus._spelling import spell_number as spelt

    assert [
        spelt(value)
        for value in (0, -3, True, 999_999, 1_000_000, -1e6, 2.5e6, 1e16, 0.1)
    ] == [
        *("0.0", "-3.0", "1.0", "999999.0", "1e+06"),
        *("-1000000.0", "2.5e+06", "1e+16", "0.1"),
    ]
    assert [spelt(v) for v in (math.inf, -math.inf, math.nan)] == [
        "+Inf",
        "-Inf",
        "NaN",
    ]
