"""The attempts of one call, under its retry's own deadline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from svcready.resilience._retrying._retrier import Course
from svcready.resilience._timing import _deadline
from svcready.resilience._timing._scope import GRACE_S, Bound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from svcready.resilience._retrying._retrier import Retrier

__all__ = ["bound"]

T = TypeVar("T")


async def bound(
    retrier: Retrier, rest: Callable[[Course], Awaitable[T]], left_s: float = math.inf
) -> T:
    """
    Run *rest* under the policy's deadline, if it has one.

    Args:
        retrier: The policy.
        rest: Makes the attempts.
        left_s: What earlier ones have left, in seconds.
    """
    whole_s = retrier.bound_s()
    if whole_s == math.inf:
        return await rest(Course(retrier))

    bound_s = min(whole_s, left_s)
    monotonic = retrier.clock.monotonic
    outer_s, own_s = _deadline.until_s(), monotonic() + bound_s
    course = Course(retrier, min(outer_s, own_s))
    bounded_by = Bound(monotonic, course.until_s)
    if own_s <= outer_s:
        bounded_by.enter_async(whole_s if bound_s == whole_s else None)
    else:
        bounded_by.enter_async(grace_s=GRACE_S)

    try:
        result = await rest(course)
    except BaseException as error:
        if not bounded_by.leave(error):
            raise

        raise retrier.expired(course.attempt, course.error) from course.error
    finally:
        course.error = None

    bounded_by.leave()
    return result
