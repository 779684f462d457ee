"""The source of what was declared through svcready, our own families included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.metrics._instruments._register import REGISTER
from svcready.metrics._model import Family, Number

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["declared_families"]


def declared_families() -> Iterator[Family]:
    """Read every declared metric, in the order of declaration, and what they fold."""
    metrics = REGISTER.things()
    for metric in metrics:
        try:
            yield metric.read()
        except Exception as error:  # noqa: BLE001 - the other metrics are read on
            report_fault("metrics", error)

    folded = [Number((m.spec.name,), m.folded) for m in metrics if m.folded]
    yield Family(
        "svcready_metrics_folded",
        "svcready_metrics_folded",
        "counter",
        "Look-ups of label values that found no room for a series of their own.",
        "",
        ("metric",),
        tuple(folded),
        "svcready",
    )
