"""The short way of a whole policy: one closure for the calls that succeed."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, cast

from svcready.resilience._layering._results import PLAIN, is_awaitable
from svcready.resilience._layering._whole import Begun
from svcready.resilience._retrying._marks import LAST
from svcready.resilience._timing._alarms import next_key
from svcready.resilience._timing._deadline import UNTIL_S, lift
from svcready.resilience._timing._scope import is_ours
from svcready.resilience._timing._timed import place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from svcready.resilience._layering._whole import Whole

    Call = Callable[..., object]
    AsyncCall = Callable[..., Awaitable[object]]

__all__ = ["coroutine", "plain"]

_until_s, _put, _lift = UNTIL_S.get, UNTIL_S.set, UNTIL_S.reset


def plain(whole: Whole) -> Call:
    """Return *whole* around a function that works when it is called."""
    retrier, breaker, compartment = whole.retrier, whole.breaker, whole.compartment
    timeout, deadline = whole.timeout, whole.deadline
    call, general = whole.call, whole.general
    awaits: list[bool] = []

    def wrapper(*args: object, **kwargs: object) -> object:
        tally, meter = breaker.admission, retrier.meter
        if tally is None or meter is None or awaits:
            return general(*args, **kwargs)

        monotonic = tally.monotonic
        began_s, attempt, total = monotonic(), timeout.lapse, deadline.lapse
        until_s = began_s + min(attempt.short_s, total.short_s)
        if not began_s < until_s < _until_s():
            return general(*args, **kwargs)

        permit = None
        if compartment is not None:
            permit = compartment.at_once()
            if permit is None:
                return general(*args, **kwargs)

        last, token = LAST.number, _put(until_s)
        try:
            result = call(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - `failed` raises it
            lift(token)
            begun = Begun(began_s, attempt, total, last)
            failed = whole.failed(tally, permit, begun, error)
        else:
            _lift(token)
            if compartment is not None:
                compartment.leave(permit, None, 0.0)

            if type(result) not in PLAIN and is_awaitable(result):
                awaits.append(True)  # from now on all go the long way
                return whole.begun(result, args, kwargs)

            ended_s = monotonic()
            if ended_s < until_s and ended_s < tally.edge and ended_s < meter.edge:
                tally.ok += 1
                meter.ok += 1
                attempt.counter.ok += 1
                total.counter.ok += 1
            else:
                whole.succeeded(tally, Begun(began_s, attempt, total, last), ended_s)

            return result

        try:
            return whole.rest(begun, failed, args, kwargs)
        finally:
            del failed  # its traceback holds this frame

    return wrapper


def coroutine(whole: Whole) -> AsyncCall:
    """Return *whole* around a coroutine function."""
    retrier, breaker, compartment = whole.retrier, whole.breaker, whole.compartment
    timeout, deadline = whole.timeout, whole.deadline
    call, general = cast("AsyncCall", whole.call), cast("AsyncCall", whole.general)

    async def wrapper(*args: object, **kwargs: object) -> object:
        tally, meter = breaker.admission, retrier.meter
        if tally is None or meter is None:
            return await general(*args, **kwargs)

        attempt, total = timeout.lapse, deadline.lapse
        own = attempt.short_s < total.short_s
        timer, lapse = (timeout, attempt) if own else (deadline, total)
        began_s = tally.monotonic()
        until_s = began_s + lapse.short_s
        both = not own and attempt.short_s < inf  # the time-out ends it for both
        if both or not began_s < until_s < _until_s():
            return await general(*args, **kwargs)

        permit, (queue, task) = None, place(lapse)
        if compartment is not None:
            permit = compartment.at_once()
            if permit is None:
                return await general(*args, **kwargs)

        requests, key = task.cancelling(), next_key()
        queue.entries[key] = (until_s, task)
        last, token = LAST.number, _put(until_s)
        try:
            result = await call(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - `failed` raises it
            lift(token)
            ours = not queue.drop(key) and is_ours(task, requests, error)
            begun = Begun(began_s, attempt, total, last)
            failed = whole.failed(tally, permit, begun, error, timer if ours else None)
        else:
            _lift(token)
            if queue.entries.pop(key, None) is None and not queue.drop(key):
                task.uncancel()  # it was swallowed: a late answer is an answer

            if compartment is not None:
                compartment.leave(permit, None, 0.0)

            ended_s = tally.monotonic()
            if ended_s < until_s and ended_s < tally.edge and ended_s < meter.edge:
                tally.ok += 1
                meter.ok += 1
                attempt.counter.ok += 1
                total.counter.ok += 1
            else:
                whole.succeeded(tally, Begun(began_s, attempt, total, last), ended_s)

            return result

        try:
            return await whole.rest_async(begun, failed, args, kwargs)
        finally:
            del failed  # its traceback holds this frame

    return wrapper
