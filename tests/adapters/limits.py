"""What tests of limits begin with, and leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from svcready.resilience._limiting._limit import LIMITS
from svcready.resilience._limiting._pressure import GAUGE
from svcready.resilience._limiting._resolvers import RESOLVERS

__all__ = ["nothing_declared"]


@contextmanager
def nothing_declared() -> Iterator[None]:
    """Declare into empty registers; modules of others may have declared before."""
    _clear()
    yield
    _clear()


def _clear() -> None:
    for register in (LIMITS, RESOLVERS):
        register.bind(None)
        register.clear()

    GAUGE.forget()
