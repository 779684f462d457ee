"""The source of what was declared through svcready, our own families included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.metrics._register import REGISTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.metrics._model import Family

__all__ = ["declared_families"]


def declared_families() -> Iterator[Family]:
    """Read every declared metric, in the order of declaration."""
    for metric in REGISTER.things():
        try:
            yield metric.read()
        except Exception as error:  # noqa: BLE001 - the other metrics are read on
            report_fault("metrics", error)
