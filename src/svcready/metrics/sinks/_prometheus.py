"""The Prometheus sink: a snapshot as the page that a scraper negotiates."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import report_fault
from svcready.metrics._model import Distribution, Number
from svcready.metrics._units import unit_word

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    import prometheus_client.metrics_core
    import prometheus_client.samples

    from svcready.metrics._model import Family, Sample, Snapshot

    Encoder = Callable[["_Page"], bytes]

__all__ = ["Page", "PrometheusSink", "accepts_gzip"]

# prometheus_client writes names and TYPE lines in different spellings under these two
# schemes; every name of ours is legal without escaping, so we answer with underscores.
_ESCAPING = re.compile(r"escaping=(dots|values)\b")
_SUFFIXES = {"counter": "_total", "info": "_info"}
_KINDS = {"updowncounter": "gauge"}
_LEVEL = 1  # a scrape is on the wire for microseconds, its CPU is the service's


class Page(NamedTuple):
    """What a scrape is answered with."""

    content_type: str
    encoding: str | None
    """The Content-Encoding, or None."""
    body: bytes


class PrometheusSink:
    """
    Renders snapshots with prometheus_client, in the format that a scraper accepts.

    Args:
        snapshot: Returns the present snapshot.
        compression: Whether to compress for those who accept gzip.
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot], *, compression: bool = True
    ) -> None:
        self._snapshot = snapshot
        self._compression = compression

    def prepare(self) -> None:
        """Load the renderer now (some 40 ms), so that the first scrape need not."""
        import prometheus_client.exposition  # noqa: F401

    def render(
        self,
        accept: str | None,
        accept_encoding: str | None,
        names: Collection[str] = (),
    ) -> Page:
        """
        Render the present snapshot.

        It computes for as long as there are many series: keep it off an event loop.

        Args:
            accept: The request's Accept header; what cannot be read means plain text.
            accept_encoding: The request's Accept-Encoding header.
            names: Families or samples to show (`?name[]=`); empty for all.
        """
        from prometheus_client.exposition import choose_encoder

        encode: Encoder
        try:
            encode, content_type = choose_encoder(_asked(accept))
        except Exception:  # noqa: BLE001 - it stumbles over `version=x`
            encode, content_type = choose_encoder("")

        body = self._encode(encode, frozenset(names))
        if self._compression and accepts_gzip(accept_encoding):
            return Page(content_type, "gzip", gzip.compress(body, _LEVEL, mtime=0))

        return Page(content_type, None, body)

    def _encode(self, encode: Encoder, names: frozenset[str]) -> bytes:
        families = self._snapshot().families
        try:
            return encode(_Page(families, names))
        except Exception:  # noqa: BLE001 - told below, family by family
            # An application's collector may give what cannot be written (a lone
            # surrogate, an exemplar on a gauge); the others are shown without it.
            families = tuple(f for f in families if _writable(encode, f))

        return encode(_Page(families, names))


class _Page:
    """A snapshot as prometheus_client's renderers take it: something to collect."""

    def __init__(
        self, families: Collection[Family], names: frozenset[str] = frozenset()
    ) -> None:
        self._families = families
        self._names = names

    def collect(self) -> Iterator[prometheus_client.metrics_core.Metric]:
        """Yield the families, those with samples only if names are asked for."""
        names = self._names
        for family in self._families:
            metric = _metric(family)
            if names and metric.name not in names:
                metric.samples = [s for s in metric.samples if s.name in names]
                if not metric.samples:
                    continue

            yield metric


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Tell whether an Accept-Encoding header takes gzip; `q=0` refuses it."""
    for part in (accept_encoding or "").lower().split(","):
        coding, *parameters = [word.strip() for word in part.split(";")]
        if coding == "gzip":
            weight = "".join(parameters).replace(" ", "")
            return re.fullmatch(r"q=0(\.0*)?", weight) is None

    return False


def _asked(accept: str | None) -> str:
    return _ESCAPING.sub("escaping=underscores", accept or "")


def _writable(encode: Encoder, family: Family) -> bool:
    try:
        encode(_Page([family]))
    except Exception as error:  # noqa: BLE001 - told, and left out
        # Not the error itself: the renderer puts the whole family into its arguments.
        told = f"{type(error).__name__} when writing family {family.exposition!r}"
        report_fault("metrics.prometheus", ValueError(told))
        return False

    return True


def _metric(family: Family) -> prometheus_client.metrics_core.Metric:
    from prometheus_client.metrics_core import Metric

    name = family.exposition
    if family.origin == "prometheus_client":
        unit = family.unit
    else:
        word = unit_word(family.unit)
        unit = word if name.endswith("_" + word) else ""

    metric = Metric(name, family.help, _KINDS.get(family.kind, family.kind), unit)
    if name != metric.name:  # a collector that set its name after the unit
        metric.name = name

    # One at a time, so that the garbage collector meets few of them: a renderer reads
    # them once, and a list of them all costs a third of a large scrape.
    metric.samples = _samples(family)  # type: ignore[assignment]
    return metric


def _samples(family: Family) -> Iterator[prometheus_client.samples.Sample]:
    from prometheus_client.samples import Sample as Written
    from prometheus_client.utils import floatToGoString

    bounds: tuple[float, ...] = ()
    spelt: tuple[str, ...] = ()
    name = family.exposition + _SUFFIXES.get(family.kind, "")
    for point in family.points:
        if isinstance(point, Number):
            labels = dict(zip(family.labels, point.labels, strict=True))
            yield Written(name, labels, point.value)
        elif isinstance(point, Distribution):
            if point.bounds is not bounds:
                bounds = point.bounds
                spelt = (*map(floatToGoString, bounds), "+Inf")

            yield from _buckets(family, point, spelt)
        else:
            yield _passed_on(point)


def _buckets(
    family: Family, point: Distribution, bounds: tuple[str, ...]
) -> Iterator[prometheus_client.samples.Sample]:
    from prometheus_client.samples import Sample as Written

    name = family.exposition
    labels = dict(zip(family.labels, point.labels, strict=True))
    total = 0
    for bound, count in zip(bounds, point.counts, strict=True):
        total += count
        yield Written(name + "_bucket", {**labels, "le": bound}, total)

    # OpenMetrics: with a negative bound the sum may fall, so it is no counter.
    if point.bounds[0] >= 0:
        yield Written(name + "_count", labels, total)
        yield Written(name + "_sum", labels, point.sum)


def _passed_on(point: Sample) -> prometheus_client.samples.Sample:
    from prometheus_client.samples import Exemplar
    from prometheus_client.samples import Sample as Written

    given = point.exemplar
    exemplar = None
    if given is not None:
        exemplar = Exemplar(dict(given.labels), given.value, given.timestamp)  # type: ignore[arg-type]

    return Written(
        point.name,
        dict(point.labels),
        point.value,
        point.timestamp,  # type: ignore[arg-type]  # handed through as it came
        exemplar,
    )
