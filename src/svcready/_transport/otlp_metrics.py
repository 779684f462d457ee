"""Metrics in OTLP's protobuf, written directly and divided into requests that fit."""

# Names and numbers are those of opentelemetry/proto/metrics/v1; `_protobuf` says how a
# tag is made of them. The tests read all of it by the official parser.

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from svcready._transport._protobuf import (
    DOUBLE,
    FIXED64,
    attributes,
    field,
    number_field,
    text_field,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = [
    "AWS_LIMITS",
    "LIMITS",
    "ExemplarPoint",
    "HistogramPoint",
    "Limits",
    "Metric",
    "NumberPoint",
    "Request",
    "Scope",
    "SummaryPoint",
    "encode_metrics",
]

_FRAME = 8
"""At most so many bytes are a message's tag and length, with some to spare."""
_INT64 = 1 << 63
_SFIXED64 = Struct("<q").pack
_BODIES = {"gauge": 0x2A, "sum": 0x3A, "histogram": 0x4A, "summary": 0x5A}
_DELTA, _CUMULATIVE = 1, 2


class Limits(NamedTuple):
    """How much one request may hold."""

    points: int
    size_bytes: int
    """Before compression."""


LIMITS = Limits(10_000, 4_000_000)
"""What collectors take by default."""
AWS_LIMITS = Limits(1000, 1_000_000)
"""What CloudWatch's endpoint for OTLP takes."""


class Scope(NamedTuple):
    """Who recorded: a library's name, and its version if known."""

    name: str
    version: str = ""


class ExemplarPoint(NamedTuple):
    """One recorded value that points at its trace."""

    time_ns: int
    value: float
    trace_id: bytes
    span_id: bytes
    attributes: Mapping[str, object] = {}


class NumberPoint(NamedTuple):
    """One series of a sum or gauge."""

    attributes: Mapping[str, object]
    start_ns: int
    """Since when a sum counts; 0 of a gauge."""
    time_ns: int
    value: float
    exemplars: tuple[ExemplarPoint, ...] = ()


class HistogramPoint(NamedTuple):
    """One series of a histogram with explicit buckets."""

    attributes: Mapping[str, object]
    start_ns: int
    time_ns: int
    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    """Not cumulated, one more than bounds."""
    sum: float | None
    exemplars: tuple[ExemplarPoint, ...] = ()


class SummaryPoint(NamedTuple):
    """One series of a summary."""

    attributes: Mapping[str, object]
    start_ns: int
    time_ns: int
    observations: int
    sum: float
    quantiles: tuple[tuple[float, float], ...]
    """Each as quantile and value."""


class Metric(NamedTuple):
    """All points of one metric."""

    name: str
    help: str
    unit: str
    kind: str
    """`gauge sum histogram summary`."""
    points: Iterable[NumberPoint | HistogramPoint | SummaryPoint]
    monotonic: bool = False
    delta: bool = False


class Request(NamedTuple):
    """One ExportMetricsServiceRequest."""

    body: bytes
    points: int
    """How many it holds: requests hold all points in their order."""


def encode_metrics(
    resource: Mapping[str, object],
    scopes: Iterable[tuple[Scope, Iterable[Metric]]],
    limits: Limits = LIMITS,
) -> Iterator[Request]:
    """
    Yield requests with all points of *scopes*, as few as *limits* allow.

    A point that is larger than a request may be has a request of its own.

    Args:
        resource: The attributes of what is measured.
        scopes: The metrics by who recorded them; one without points is left out.
        limits: What the receiver takes.
    """
    described = field(0x0A, attributes(0x0A, resource))
    packer = _Packer(described, limits)
    for scope, metrics in scopes:
        who = field(
            0x0A, text_field(0x0A, scope.name) + text_field(0x12, scope.version)
        )
        for metric in metrics:
            head = _Head(who, metric)
            for point in metric.points:
                written = field(0x0A, _point(point))
                if not packer.takes(head, written):
                    yield packer.finish()
                    packer = _Packer(described, limits)

                packer.add(head, written)

    if packer.points:
        yield packer.finish()


class _Head:
    """A metric without its points."""

    __slots__ = ("before", "behind", "body", "scope")

    def __init__(self, scope: bytes, metric: Metric) -> None:
        self.scope = scope
        self.before = (
            text_field(0x0A, metric.name)
            + text_field(0x12, metric.help)
            + text_field(0x1A, metric.unit)
        )
        self.body = _BODIES[metric.kind]
        temporality = _DELTA if metric.delta else _CUMULATIVE
        self.behind = b""
        if metric.kind in {"sum", "histogram"}:
            self.behind = number_field(0x10, temporality)

        if metric.kind == "sum":
            self.behind += number_field(0x18, metric.monotonic)

    def __len__(self) -> int:
        return len(self.before) + len(self.behind) + 2 * _FRAME

    def write(self, points: list[bytes]) -> bytes:
        content = b"".join((*points, self.behind))
        return field(0x12, self.before + field(self.body, content))


class _Packer:
    """Collects points until a request is full."""

    def __init__(self, resource: bytes, limits: Limits) -> None:
        self.points = 0
        self._resource = resource
        self._limits = limits
        self._bytes = len(resource) + 2 * _FRAME
        self._metrics: list[tuple[_Head, list[bytes]]] = []

    def takes(self, head: _Head, point: bytes) -> bool:
        more = len(point) + self._overhead(head)
        return not self.points or (
            self.points < self._limits.points
            and self._bytes + more <= self._limits.size_bytes
        )

    def add(self, head: _Head, point: bytes) -> None:
        self._bytes += len(point) + self._overhead(head)
        self.points += 1
        if not self._metrics or self._metrics[-1][0] is not head:
            self._metrics.append((head, []))

        self._metrics[-1][1].append(point)

    def finish(self) -> Request:
        parts = [self._resource]
        scope = b""
        metrics: list[bytes] = []
        for head, points in self._metrics:
            if head.scope != scope:
                if metrics:
                    parts.append(field(0x12, b"".join((scope, *metrics))))

                scope, metrics = head.scope, []

            metrics.append(head.write(points))

        parts.append(field(0x12, b"".join((scope, *metrics))))
        return Request(field(0x0A, b"".join(parts)), self.points)

    def _overhead(self, head: _Head) -> int:
        if not self._metrics:
            return len(head) + len(head.scope) + _FRAME

        last = self._metrics[-1][0]
        if last is head:
            return 0

        return len(head) + (0 if last.scope == head.scope else len(head.scope) + _FRAME)


def _number(point: NumberPoint) -> bytes:
    value = point.value
    parts = [_times(point.start_ns, point.time_ns)]
    if type(value) is int and -_INT64 <= value < _INT64:
        parts += (b"\x31", _SFIXED64(value))
    else:
        parts += (b"\x21", DOUBLE(value))

    parts += [field(0x2A, _exemplar(each)) for each in point.exemplars]
    parts.append(attributes(0x3A, point.attributes))
    return b"".join(parts)


def _histogram(point: HistogramPoint) -> bytes:
    parts = [
        _times(point.start_ns, point.time_ns),
        b"\x21",
        FIXED64(sum(point.counts)),
    ]
    if point.sum is not None:
        parts += (b"\x29", DOUBLE(point.sum))

    parts += (
        field(0x32, _whole(len(point.counts))(*point.counts)),
        _bounds(point.bounds),
    )
    parts += [field(0x42, _exemplar(each)) for each in point.exemplars]
    parts.append(attributes(0x4A, point.attributes))
    return b"".join(parts)


def _summary(point: SummaryPoint) -> bytes:
    parts = [
        _times(point.start_ns, point.time_ns),
        b"\x21",
        FIXED64(point.observations),
        b"\x29",
        DOUBLE(point.sum),
    ]
    parts += [
        field(0x32, b"\x09" + DOUBLE(quantile) + b"\x11" + DOUBLE(value))
        for quantile, value in point.quantiles
    ]
    parts.append(attributes(0x3A, point.attributes))
    return b"".join(parts)


def _point(point: NumberPoint | HistogramPoint | SummaryPoint) -> bytes:
    if isinstance(point, NumberPoint):
        return _number(point)

    return _histogram(point) if isinstance(point, HistogramPoint) else _summary(point)


def _exemplar(exemplar: ExemplarPoint) -> bytes:
    parts = [b"\x11", FIXED64(exemplar.time_ns), b"\x19", DOUBLE(exemplar.value)]
    if exemplar.span_id:
        parts.append(field(0x22, exemplar.span_id))

    if exemplar.trace_id:
        parts.append(field(0x2A, exemplar.trace_id))

    parts.append(attributes(0x3A, exemplar.attributes))
    return b"".join(parts)


def _times(start_ns: int, time_ns: int) -> bytes:
    now = b"\x19" + FIXED64(time_ns)
    return b"\x11" + FIXED64(start_ns) + now if start_ns else now


@lru_cache(256)
def _whole(count: int) -> Callable[..., bytes]:
    return Struct(f"<{count}Q").pack


@lru_cache(256)
def _bounds(bounds: tuple[float, ...]) -> bytes:
    packed = Struct(f"<{len(bounds)}d").pack(*bounds)
    return field(0x3A, packed) if bounds else b""
