"""The answer to a request that the application itself refuses as too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience._limiting._inbound import RequestRefused
from svcready.resilience._limiting._problem import (
    REDUCED_CAPACITY,
    refusal,
    retry_after,
)
from svcready.resilience._retrying._backoff import uniform

if TYPE_CHECKING:
    from svcready.errors import LoadShed
    from svcready.resilience._limiting._inbound import Refusal

__all__ = ["answer_to"]

_SPREAD_S = 3
_LONGEST_S = 86_400.0


def answer_to(error: RequestRefused | LoadShed) -> Refusal:
    """
    Return what a request is answered in which *error* came up.

    A limit's refusal brings its answer; `LoadShed` is a 503, to be tried again after
    its `retry_after`, or in 1, 2 or 3 s by chance if that is None or no such time.
    """
    if isinstance(error, RequestRefused):
        return error.answer

    wait_s = error.retry_after
    if isinstance(wait_s, int | float) and 0.0 < wait_s <= _LONGEST_S:
        again_s = retry_after(wait_s)
    else:
        again_s = 1 + min(_SPREAD_S - 1, int(uniform() * _SPREAD_S))

    return refusal(503, REDUCED_CAPACITY, retry_after_s=again_s)
