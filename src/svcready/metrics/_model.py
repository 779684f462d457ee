"""The neutral snapshot of metrics, which sources give and sinks render."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "Distribution",
    "Exemplar",
    "Family",
    "Number",
    "Point",
    "Sample",
    "Snapshot",
]


class Exemplar(NamedTuple):
    """One recorded value that points at its trace."""

    labels: tuple[tuple[str, str], ...]
    """`trace_id` and `span_id`; 128 characters in all."""
    value: float
    timestamp: object
    """Seconds since the epoch, in what writes itself as the source wrote it; or
    None."""


class Number(NamedTuple):
    """One series of a counter, gauge or info."""

    labels: tuple[str, ...]
    """Values in the order of the family's label names."""
    value: float
    exemplar: Exemplar | None = None
    """Of a counter: one amount that was added inside a sampled span."""


class Distribution(NamedTuple):
    """One series of a histogram."""

    labels: tuple[str, ...]
    """Values in the order of the family's label names."""
    bounds: tuple[float, ...]
    """Finite upper bounds, inclusive and rising."""
    counts: tuple[int, ...]
    """Recordings by bucket, not cumulated; the last is the one above all bounds."""
    sum: float
    exemplars: tuple[Exemplar | None, ...] = ()
    """One for each bucket; empty if there is none at all."""

    @property
    def observations(self) -> int:
        """How many values were recorded."""
        return sum(self.counts)


class Sample(NamedTuple):
    """One sample of a family that another library recorded, exactly as it gave it."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    timestamp: object = None
    """Seconds since the epoch, in what writes itself as the source wrote it; or
    None."""
    exemplar: Exemplar | None = None


Point = Number | Distribution | Sample


class Family(NamedTuple):
    """All series of one metric."""

    name: str
    """In base form, as declared: `http.server.request.duration`."""
    exposition: str
    """As Prometheus spells the family: `http_server_request_duration_seconds`."""
    kind: str
    """`counter updowncounter gauge histogram info`; from others also `summary ...`."""
    help: str
    unit: str
    """UCUM code, or Prometheus' word in a family of another library."""
    labels: tuple[str, ...]
    """Label names; empty where the points are samples."""
    points: tuple[Point, ...]
    origin: str
    """Who recorded it: `application svcready process prometheus_client otel`."""
    workers: str = "sum"
    """
    What several processes' values of one series are: `sum max min latest pid`, or
    `own` if they cannot be joined: then each process shows its own.
    """
    attributes: tuple[str, ...] = ()
    """The label names as OpenTelemetry spells them (`http.route`), if anyone says."""


class Snapshot(NamedTuple):
    """Everything recorded so far, at one moment."""

    taken_ns: int
    """Wall time in nanoseconds since the epoch."""
    families: tuple[Family, ...]

    def find(self, name: str) -> Family | None:
        """Return the family that is called *name*, in base form or as Prometheus."""
        for family in self.families:
            if name in {family.name, family.exposition}:
                return family

        return None
