"""What tests of limits begin with, and leave behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from svcready.resilience._limiting._limit import LIMITS
from svcready.resilience._limiting._pressure import GAUGE
from svcready.resilience._limiting._resolvers import RESOLVERS
from svcready.testing import Harness

__all__ = ["Running", "nothing_declared"]

Running = Callable[..., AbstractContextManager[Harness]]
"""Starts a runtime with these rules and further settings."""


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
