"""The wrappers of plain functions: one closure per function."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from svcready.resilience._layering import _awaits
from svcready.resilience._layering._gate import Passage
from svcready.resilience._layering._results import PLAIN, is_awaitable, settle_error
from svcready.resilience._retrying._marks import LAST
from svcready.resilience._retrying._retrier import Course
from svcready.resilience._timing import _deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.resilience._breaking._breaker import Breaker
    from svcready.resilience._layering._gate import Gate
    from svcready.resilience._retrying._retrier import Retrier

    Call = Callable[..., object]

__all__ = ["again", "fused", "gated", "guarded", "retried"]


def guarded(breaker: Breaker, call: Call) -> Call:
    """Return *call* behind *breaker*."""

    def wrapper(*args: object, **kwargs: object) -> object:
        tally = breaker.admission
        if tally is None:
            return _guard(breaker, call, args, kwargs)

        try:
            result = call(*args, **kwargs)
        except BaseException as error:
            settle_error(breaker, tally, error)
            raise

        if type(result) not in PLAIN and is_awaitable(result):
            return _awaits.settle(breaker, tally, result)

        if tally.monotonic() < tally.edge:
            tally.ok += 1
        else:
            breaker.settle(tally, "success")

        return result

    return wrapper


def gated(gates: tuple[Gate, ...], call: Call) -> Call:
    """Return *call* behind *gates*."""

    def wrapper(*args: object, **kwargs: object) -> object:
        passage = Passage(gates)
        passage.enter()
        try:
            result = call(*args, **kwargs)
        except BaseException as error:
            passage.leave(error)
            raise

        if type(result) not in PLAIN and is_awaitable(result):
            passage.rest()
            return _awaits.passed(passage, result)

        passage.leave()
        return result

    return wrapper


def retried(retrier: Retrier, call: Call) -> Call:
    """Return *call* under *retrier*."""

    def wrapper(*args: object, **kwargs: object) -> object:
        meter = retrier.meter
        if meter is None:
            return _within(retrier, call, args, kwargs)

        before = LAST.number
        try:
            result = call(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the retrier says what is retried
            failed = error
        else:
            if type(result) not in PLAIN and is_awaitable(result):
                course = Course(retrier, before=before)
                return _awaits.go_on(course, call, args, kwargs, result)

            if meter.monotonic() < meter.edge:
                meter.ok += 1
            else:
                retrier.succeeded()

            return result

        try:
            course = Course(retrier, before=before)
            return again(course, failed, call, args, kwargs)
        finally:
            del failed  # its traceback holds this frame

    return wrapper


def fused(retrier: Retrier, breaker: Breaker, call: Call, inner: Call) -> Call:
    """
    Return *call* under *retrier* and behind *breaker*, one clock read for both.

    Args:
        retrier: The outer one.
        breaker: The inner one.
        call: What is called.
        inner: The same behind the breaker, for every attempt but the first.
    """

    def wrapper(*args: object, **kwargs: object) -> object:
        tally = breaker.admission
        meter = retrier.meter
        if tally is None or meter is None:
            return _within(retrier, inner, args, kwargs)

        before = LAST.number
        try:
            result = call(*args, **kwargs)
        except BaseException as error:
            settle_error(breaker, tally, error)
            if not isinstance(error, Exception):
                raise

            failed = error
        else:
            if type(result) not in PLAIN and is_awaitable(result):
                waiting = _awaits.settle(breaker, tally, result)
                course = Course(retrier, before=before)
                return _awaits.go_on(course, inner, args, kwargs, waiting)

            now_s = tally.monotonic()
            if now_s < tally.edge:
                tally.ok += 1
            else:
                breaker.settle(tally, "success")

            if now_s < meter.edge:
                meter.ok += 1
            else:
                retrier.succeeded()

            return result

        try:
            course = Course(retrier, before=before)
            return again(course, failed, inner, args, kwargs)
        finally:
            del failed  # its traceback holds this frame

    return wrapper


def _guard(
    breaker: Breaker,
    call: Call,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    """Make a call that must ask, or is measured."""
    tally = breaker.timed
    if tally is None:
        tally = breaker.admit()

    started_s = tally.monotonic()
    try:
        result = call(*args, **kwargs)
    except BaseException as error:
        settle_error(breaker, tally, error, tally.monotonic() - started_s)
        raise

    if type(result) not in PLAIN and is_awaitable(result):
        return _awaits.settle(breaker, tally, result, started_s)

    now_s = tally.monotonic()
    elapsed_s = now_s - started_s
    if now_s < tally.edge and elapsed_s < breaker.slow_after_s:
        tally.ok += 1
    else:
        breaker.settle(tally, "success", elapsed_s)

    return result


def _within(
    retrier: Retrier,
    call: Call,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    """Make the attempts of a call that has a deadline, or whose breaker must ask."""
    until_s = retrier.clock.monotonic() + retrier.bound_s()
    if until_s == math.inf:
        return _first(Course(retrier), call, args, kwargs)

    token = _deadline.put(until_s)
    try:
        return _first(Course(retrier), call, args, kwargs)
    finally:
        _deadline.lift(token)


def _first(
    course: Course,
    call: Call,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    token = course.put(again=False)
    try:
        result = call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - the retrier says what is retried
        failed = error
    else:
        if is_awaitable(result):
            return _awaits.go_on(course, call, args, kwargs, result)

        course.done()
        return result
    finally:
        course.lift(token)

    try:
        return again(course, failed, call, args, kwargs)
    finally:
        del failed  # its traceback holds this frame


def again(
    course: Course,
    failed: Exception,
    call: Call,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    """Wait and call again after *failed*, until it succeeds or must not go on."""
    while True:
        wait_s = course.wait_s(failed)
        if wait_s is None:
            try:
                raise failed
            finally:
                del failed  # its traceback holds this frame

        del failed
        course.retrier.clock.sleep(wait_s)
        token = course.put()
        try:
            result = call(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the retrier says what is retried
            failed = error
            continue
        finally:
            course.lift(token)

        if is_awaitable(result):
            return _awaits.go_on(course, call, args, kwargs, result)

        course.done()
        return result
