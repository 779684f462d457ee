"""The Prometheus sink: a snapshot as the page that a scraper negotiates."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import report_fault
from svcready.metrics._instruments._names import sample_names
from svcready.metrics._model import Sample
from svcready.metrics.sinks._prometheus._accept import accepts_gzip, choose_format
from svcready.metrics.sinks._prometheus._families import Collected
from svcready.metrics.sinks._prometheus._text import TextRenderer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from svcready.metrics._model import Family, Snapshot
    from svcready.metrics.sinks._prometheus._accept import Encoder

__all__ = ["Page", "PrometheusSink"]

# The formats that we write ourselves; what is negotiated beyond is prometheus_client's.
_OURS = re.compile(
    r"(text/plain; version=(?:0\.0\.4|1\.0\.0)"
    r"|application/openmetrics-text; version=1\.0\.0); charset=utf-8"
    r"(?:; escaping=(?:underscores|allow-utf-8))?"
)
_END = b"# EOF\n"
_LEVEL = 1  # a scrape is on the wire for microseconds, its CPU is the service's


class Page(NamedTuple):
    """What a scrape is answered with."""

    content_type: str
    encoding: str | None
    """The Content-Encoding, or None."""
    body: bytes


class PrometheusSink:
    """
    Renders snapshots in the format that a scraper accepts.

    prometheus_client negotiates. Both text formats are written here, to the same bytes
    in a fraction of the time; what is not known here goes through prometheus_client.

    Args:
        snapshot: Returns the present snapshot.
        compression: Whether to compress for those who accept gzip.
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot], *, compression: bool = True
    ) -> None:
        self._snapshot = snapshot
        self._compression = compression
        self._renderer = TextRenderer()

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
        encode, content_type = choose_format(accept)
        families = self._snapshot().families
        ours = _OURS.fullmatch(content_type)
        if ours is None:
            body = _encode(encode, families, frozenset(names))
        else:
            openmetrics = ours[1].startswith("application/")
            body = b"".join(
                self._write(encode, family, frozenset(names), openmetrics=openmetrics)
                for family in families
            )
            body += _END if openmetrics else b""

        self._renderer.keep_only(families)
        if self._compression and accepts_gzip(accept_encoding):
            return Page(content_type, "gzip", gzip.compress(body, _LEVEL, mtime=0))

        return Page(content_type, None, body)

    def _write(
        self,
        encode: Encoder,
        family: Family,
        names: frozenset[str],
        *,
        openmetrics: bool,
    ) -> bytes:
        if names and family.exposition not in names:
            if _cannot_have(family, names):
                return b""
        else:
            try:
                return self._renderer.write(family, openmetrics=openmetrics)
            except Exception:  # noqa: BLE001, S110 - theirs decides, and tells
                pass

        return _encode(encode, (family,), names).removesuffix(_END)


def _encode(
    encode: Encoder, families: tuple[Family, ...], names: frozenset[str]
) -> bytes:
    try:
        return encode(Collected(families, names))
    except Exception:  # noqa: BLE001 - told below, family by family
        # An application's collector may give what cannot be written (a lone
        # surrogate, an exemplar on a gauge); the others are shown without it.
        families = tuple(f for f in families if _writable(encode, f))

    return encode(Collected(families, names))


def _cannot_have(family: Family, names: frozenset[str]) -> bool:
    """Tell whether no sample of *family* is asked for, without making them."""
    if family.points and isinstance(family.points[0], Sample):
        return names.isdisjoint(point.name for point in family.points)  # type: ignore[union-attr]

    return names.isdisjoint(sample_names(family.kind, family.exposition))


def _writable(encode: Encoder, family: Family) -> bool:
    try:
        encode(Collected([family]))
    except Exception as error:  # noqa: BLE001 - told, and left out
        # Not the error itself: the renderer puts the whole family into its arguments.
        told = f"{type(error).__name__} when writing family {family.exposition!r}"
        report_fault("metrics.prometheus", ValueError(told))
        return False

    return True
