"""The flight recorder for work that is no request: a job, a message."""

from __future__ import annotations

from contextlib import contextmanager
from random import getrandbits
from typing import TYPE_CHECKING

from svcready._core.context import ContextRecord, activate, current, deactivate
from svcready.logging._logger import running

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["recorded"]


@contextmanager
def recorded() -> Iterator[None]:
    """
    Keep the lines that the level suppresses inside a `with` block, as in a request.

    They are written if an exception leaves the block or if it takes as long as a slow
    request. Inside a request nothing changes: its lines are the request's. While the
    flight recorder is off nothing is kept.
    """
    handler = running()
    flights = None if handler is None else handler.flights
    record = current() or ContextRecord(degraded=[])
    if flights is None or record.span_id in flights.open:
        yield
        return

    # Not the id that is there: of jobs that outlive their request each has its own.
    key = (getrandbits(64) or 1).to_bytes(8, "big").hex()
    token = activate(record._replace(span_id=key))
    flights.begin(key)
    started_s = flights.now()
    try:
        yield
    except Exception:
        flights.fail()
        raise
    finally:
        flights.end(key, 0, flights.now() - started_s, sampled=record.sampled)
        flights.close(key)
        deactivate(token)
