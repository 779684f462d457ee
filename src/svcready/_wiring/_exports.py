"""What became of spans on each way out of the process, as families."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics._model import Family, Number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from svcready.tracing.export._queue import Figures

__all__ = ["export_families"]

_PREFIX = "svcready_trace_export"
_LABELS = ("exporter",)
_REASONS = ("exporter", "reason")


def export_families(exports: Mapping[str, Figures]) -> Iterator[Family]:
    """Yield the families; read when somebody asks, so that a span pays nothing."""
    ways = list(exports.items())
    if not ways:
        return

    yield _family(
        "queued",
        "gauge",
        "Spans that wait to be sent, those on their way included.",
        [((way,), figures.queued) for way, figures in ways],
    )
    yield _family(
        "queue",
        "gauge",
        "About how much memory spans take that wait to be sent.",
        [((way,), figures.queued_bytes) for way, figures in ways],
        unit=("By", "bytes"),
    )
    yield _family(
        "sent",
        "counter",
        "Spans that arrived.",
        [((way,), figures.sent) for way, figures in ways],
    )
    yield _family(
        "failures",
        "counter",
        "Batches of spans that did not arrive whole, by reason.",
        [
            ((way, reason), batches)
            for way, figures in ways
            for reason, batches in figures.failed.items()
        ],
        labels=_REASONS,
    )
    yield _family(
        "dropped",
        "counter",
        "Spans that were lost, by reason.",
        [
            ((way, reason), spans)
            for way, figures in ways
            for reason, spans in figures.dropped.items()
        ],
        labels=_REASONS,
    )
    yield _family(
        "last_failure_timestamp",
        "gauge",
        "When a batch of spans failed the last time, in seconds since the epoch.",
        [
            ((way,), figures.failed_at_ns / 1e9)
            for way, figures in ways
            if figures.failed_at_ns
        ],
        unit=("s", "seconds"),
        workers="max",
    )


def _family(
    name: str,
    kind: str,
    text: str,
    points: Iterable[tuple[tuple[str, ...], float]],
    *,
    labels: tuple[str, ...] = _LABELS,
    unit: tuple[str, str] = ("", ""),
    workers: str = "sum",
) -> Family:
    code, word = unit
    base = f"{_PREFIX}_{name}"
    numbers = tuple(Number(values, float(value)) for values, value in points)
    exposition = f"{base}_{word}" if word else base
    return Family(
        base, exposition, kind, text, code, labels, numbers, "svcready", workers
    )
