"""What a call gave back: an awaitable that is still to run, or an error that counts."""

from __future__ import annotations

from types import GeneratorType
from typing import TYPE_CHECKING

from svcready.errors import DeadlineExceeded, Rejected
from svcready.resilience._timing import _deadline
from svcready.resilience._timing._cut_short import is_cut_short

if TYPE_CHECKING:
    from svcready.resilience._breaking._breaker import Breaker
    from svcready.resilience._tally import Tally

__all__ = ["PLAIN", "is_awaitable", "settle_error"]

PLAIN: set[type] = {type(None), bool, int, float, str, bytes, dict, list, tuple, set}
"""Types seen so far that are no awaitables; hot paths ask this set first."""

_MOST_PLAIN = 512
_ITERABLE_COROUTINE = 0x100


def is_awaitable(result: object) -> bool:
    """Return whether *result* must be awaited before its call is over."""
    kind = type(result)
    if isinstance(result, GeneratorType):
        return bool(result.gi_code.co_flags & _ITERABLE_COROUTINE)

    if hasattr(kind, "__await__"):
        return True

    if len(PLAIN) < _MOST_PLAIN:
        PLAIN.add(kind)

    return False


def settle_error(
    breaker: Breaker, tally: Tally, error: BaseException, elapsed_s: float = 0.0
) -> None:
    """
    Tell *breaker* how a call ended that raised.

    Cancellation and exits have no part in what the dependency did, nor has a refusal
    of ours. A call that the caller's deadline cut off counts as slow if it took long
    enough for that, or else a dependency that hangs behind short deadlines would
    never be seen.
    """
    if isinstance(error, Rejected):
        outcome = "inconclusive"
    elif isinstance(error, DeadlineExceeded):
        outcome = "success" if elapsed_s >= breaker.slow_after_s else "ignored"
    else:
        outcome = breaker.judge(error) if isinstance(error, Exception) else "cancelled"
        now_s, until_s = tally.monotonic(), _deadline.until_s()
        cut_off = outcome in {"ignored", "cancelled"} and now_s >= until_s
        if outcome == "failure" and is_cut_short(error, now_s, until_s):
            outcome, cut_off = "ignored", True

        if cut_off and elapsed_s >= breaker.slow_after_s:
            outcome = "success"

    if outcome == "failure":
        breaker.last_failure = type(error).__name__

    breaker.settle(tally, outcome, elapsed_s)
