"""The wrappers of coroutine functions, and of functions that return awaitables."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from svcready.resilience._layering._gate import Passage
from svcready.resilience._layering._results import is_awaitable, settle_error
from svcready.resilience._retrying._attempts import bound
from svcready.resilience._retrying._marks import LAST
from svcready.resilience._retrying._retrier import Course

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from svcready.resilience._breaking._breaker import Breaker
    from svcready.resilience._layering._gate import Gate
    from svcready.resilience._retrying._retrier import Retrier
    from svcready.resilience._tally import Tally

    Call = Callable[..., object]
    AsyncCall = Callable[..., Awaitable[object]]

__all__ = [
    "again",
    "bounded",
    "fused",
    "gated",
    "go_on",
    "guarded",
    "passed",
    "retried",
    "settle",
]


def guarded(breaker: Breaker, call: AsyncCall) -> AsyncCall:
    """Return *call* behind *breaker*."""

    async def wrapper(*args: object, **kwargs: object) -> object:
        tally = breaker.admission
        if tally is None:
            return await _guard(breaker, call, args, kwargs)

        try:
            result = await call(*args, **kwargs)
        except BaseException as error:
            settle_error(breaker, tally, error)
            raise

        if tally.monotonic() < tally.edge:
            tally.ok += 1
        else:
            breaker.settle(tally, "success")

        return result

    return wrapper


def gated(gates: tuple[Gate, ...], call: AsyncCall) -> AsyncCall:
    """Return *call* behind *gates*."""

    async def wrapper(*args: object, **kwargs: object) -> object:
        passage = Passage(gates)
        await passage.enter_async()
        try:
            result = await call(*args, **kwargs)
        except BaseException as error:
            passage.leave(error)
            raise

        passage.leave()
        return result

    return wrapper


async def passed(passage: Passage, result: object) -> object:
    """Await what an admitted call returned, and leave the gates then."""
    passage.go_on()
    try:
        made = await cast("Awaitable[object]", result)
    except BaseException as error:
        passage.leave(error)
        raise

    passage.leave()
    return made


def retried(retrier: Retrier, call: AsyncCall) -> AsyncCall:
    """Return *call* under *retrier*."""

    async def wrapper(*args: object, **kwargs: object) -> object:
        meter = retrier.meter
        if meter is None:
            return await bounded(retrier, call, args, kwargs)

        before = LAST.number
        try:
            result = await call(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the retrier says what is retried
            failed = error
        else:
            if meter.monotonic() < meter.edge:
                meter.ok += 1
            else:
                retrier.succeeded()

            return result

        try:
            course = Course(retrier, before=before)
            return await again(course, failed, call, args, kwargs)
        finally:
            del failed  # its traceback holds this frame

    return wrapper


def fused(
    retrier: Retrier, breaker: Breaker, call: AsyncCall, inner: AsyncCall
) -> AsyncCall:
    """
    Return *call* under *retrier* and behind *breaker*, one clock read for both.

    Args:
        retrier: The outer one.
        breaker: The inner one.
        call: What is called.
        inner: The same behind the breaker, for every attempt but the first.
    """

    async def wrapper(*args: object, **kwargs: object) -> object:
        tally = breaker.admission
        meter = retrier.meter
        if tally is None or meter is None:
            return await bounded(retrier, inner, args, kwargs)

        before = LAST.number
        try:
            result = await call(*args, **kwargs)
        except BaseException as error:
            settle_error(breaker, tally, error)
            if not isinstance(error, Exception):
                raise

            failed = error
        else:
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
            return await again(course, failed, inner, args, kwargs)
        finally:
            del failed  # its traceback holds this frame

    return wrapper


async def settle(
    breaker: Breaker, tally: Tally, result: object, started_s: float | None = None
) -> object:
    """
    Await what an admitted call returned, and settle it then.

    Args:
        breaker: Who admitted it.
        tally: What it was admitted with.
        result: The awaitable.
        started_s: When the call began, if that was measured.
    """
    if started_s is None:
        started_s = tally.monotonic()

    try:
        made = await cast("Awaitable[object]", result)
    except BaseException as error:
        settle_error(breaker, tally, error, tally.monotonic() - started_s)
        raise

    breaker.settle(tally, "success", tally.monotonic() - started_s)
    return made


async def _guard(
    breaker: Breaker,
    call: AsyncCall,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    """Make a call that must ask, or is measured."""
    tally = breaker.timed
    if tally is None:
        tally = breaker.admit()

    started_s = tally.monotonic()
    try:
        result = await call(*args, **kwargs)
    except BaseException as error:
        settle_error(breaker, tally, error, tally.monotonic() - started_s)
        raise

    now_s = tally.monotonic()
    elapsed_s = now_s - started_s
    if now_s < tally.edge and elapsed_s < breaker.slow_after_s:
        tally.ok += 1
    else:
        breaker.settle(tally, "success", elapsed_s)

    return result


async def bounded(
    retrier: Retrier,
    call: Call,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    """Make the attempts of a call that has a deadline, or whose breaker must ask."""
    return await bound(retrier, lambda course: _first(course, call, args, kwargs))


def go_on(
    course: Course,
    call: Call,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    result: object,
) -> Coroutine[object, object, object]:
    """
    Await what the running attempt returned, and make the attempts that follow.

    Args:
        course: The call's.
        call: Makes one attempt.
        args: Its arguments.
        kwargs: Its keyword arguments.
        result: The awaitable that the running attempt returned.
    """

    async def rest(running: Course) -> object:
        running.attempt, running.before = course.attempt, course.before
        return await _first(running, call, args, kwargs, result)

    left_s = max(0.0, course.until_s - course.retrier.clock.monotonic())
    return bound(course.retrier, rest, left_s)


async def _first(
    course: Course,
    call: Call,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    result: object = None,
) -> object:
    token = course.put(again=course.attempt > 1)
    try:
        if result is None:
            result = call(*args, **kwargs)

        if is_awaitable(result):
            result = await cast("Awaitable[object]", result)
    except Exception as error:  # noqa: BLE001 - the retrier says what is retried
        failed = error
    else:
        course.done()
        return result
    finally:
        course.lift(token)

    try:
        return await again(course, failed, call, args, kwargs)
    finally:
        del failed  # its traceback holds this frame


async def again(
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
        await course.retrier.clock.sleep_async(wait_s)
        token = course.put()
        try:
            result = call(*args, **kwargs)
            if is_awaitable(result):
                result = await cast("Awaitable[object]", result)
        except Exception as error:  # noqa: BLE001 - the retrier says what is retried
            failed = error
            continue
        finally:
            course.lift(token)

        course.done()
        return result
