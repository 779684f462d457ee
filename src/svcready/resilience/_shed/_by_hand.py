"""The answer to a request in which a refusal or a time-out came up unhandled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.errors import DeadlineSpent, LoadShed, Rejected
from svcready.resilience._limiting._inbound import Refusal, RequestRefused
from svcready.resilience._limiting._problem import (
    REDUCED_CAPACITY,
    refusal,
    retry_after,
)
from svcready.resilience._retrying._backoff import uniform

if TYPE_CHECKING:
    from svcready.resilience._answered import Answered

__all__ = ["answer_to"]

_SPREAD_S = 3
_LONGEST_S = 86_400.0
_UNAVAILABLE = ("about:blank", "Service Unavailable")
_TIMED_OUT = Refusal(
    504,
    (("content-type", "application/problem+json"), ("cache-control", "no-store")),
    b'{"type":"about:blank","title":"Gateway Timeout","status":504}',
)


def answer_to(error: Answered | Exception) -> Refusal:
    """
    Return what a request is answered in which *error* came up.

    A limit's refusal brings its answer. Time that is over is a 504; any other refusal
    is a 503, to be tried again after its `retry_after`, or in 1, 2 or 3 s by chance if
    that is None or no such time. Of a group the first error is answered. What refused,
    and why, the caller isn't told.
    """
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]

    if isinstance(error, RequestRefused):
        return error.answer

    if isinstance(error, DeadlineSpent) or not isinstance(error, Rejected):
        return _TIMED_OUT

    wait_s = error.retry_after
    if isinstance(wait_s, int | float) and 0.0 < wait_s <= _LONGEST_S:
        again_s = retry_after(wait_s)
    else:
        again_s = 1 + min(_SPREAD_S - 1, int(uniform() * _SPREAD_S))

    kind = REDUCED_CAPACITY if isinstance(error, LoadShed) else _UNAVAILABLE
    return refusal(503, kind, retry_after_s=again_s)
