"""The wrappers that bound plain and coroutine functions in time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from svcready.resilience._layering._results import PLAIN, is_awaitable
from svcready.resilience._timing._alarms import next_key
from svcready.resilience._timing._deadline import UNTIL_S, lift
from svcready.resilience._timing._scope import Scope, is_ours
from svcready.resilience._timing._threads import Job

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable, Mapping
    from contextvars import Token

    from svcready.resilience._timing._alarms import AnyTask, Queue
    from svcready.resilience._timing._threads import Pool
    from svcready.resilience._timing._timer import Lapse, Timer

    Call = Callable[..., object]
    AsyncCall = Callable[..., Awaitable[object]]

__all__ = ["around_attempts", "coroutine", "place", "plain", "settled"]

_until_s, _put, _lift = UNTIL_S.get, UNTIL_S.set, UNTIL_S.reset


def _first_loop() -> AbstractEventLoop:
    """Load asyncio when a coroutine runs, and put its functions in our places."""
    global _running_loop, _current_task  # noqa: PLW0603 - an import, at first use
    from asyncio import current_task, get_running_loop

    _current_task = cast("Callable[[AbstractEventLoop], AnyTask]", current_task)
    _running_loop = get_running_loop
    return get_running_loop()


_running_loop: Callable[[], AbstractEventLoop] = _first_loop
_current_task: Callable[[AbstractEventLoop], AnyTask]


def plain(timer: Timer, call: Call) -> Call:
    """Return *call* bounded by *timer*, which nothing interrupts."""

    def wrapper(*args: object, **kwargs: object) -> object:
        lapse = timer.lapse
        monotonic = lapse.monotonic
        until_s = monotonic() + lapse.plain_s
        if until_s >= _until_s():
            return _plainly(timer, call, args, kwargs)

        token = _put(until_s)
        try:
            result = call(*args, **kwargs)
        except BaseException as error:
            lift(token)
            timer.ended(error, late=monotonic() >= until_s)
            raise

        _lift(token)
        if type(result) not in PLAIN and is_awaitable(result):
            return settled(timer, cast("Awaitable[object]", result), until_s)

        if monotonic() < until_s and timer.calm:
            timer.ok += 1
        else:
            timer.ended(None, late=monotonic() >= until_s)

        return result

    return wrapper


def coroutine(timer: Timer, call: Call) -> Call:
    """Return the coroutine function *call*, cancelled when *timer* says so."""
    begin = cast("AsyncCall", call)

    async def wrapper(*args: object, **kwargs: object) -> object:
        lapse = timer.lapse
        monotonic = lapse.monotonic
        until_s = monotonic() + lapse.after_s
        if until_s >= _until_s():
            return await _otherwise(timer, begin, args, kwargs)

        queue, task = place(lapse)
        requests = task.cancelling()
        key = next_key()
        entries = queue.entries
        entries[key] = (until_s, task)
        token = _put(until_s)
        try:
            result = await begin(*args, **kwargs)
        except BaseException as error:
            ours = _failed(queue, key, task, requests, token, error)
            if not ours:
                timer.ended(error, late=monotonic() >= until_s)
                raise

            timer.count("timed_out")
            raise timer.expired(lapse.bound_s) from error

        _lift(token)
        try:
            del entries[key]
        except KeyError:
            if not queue.drop(key):
                task.uncancel()  # it was swallowed: a late answer is an answer

        if monotonic() < until_s and timer.calm:
            timer.ok += 1
        else:
            timer.ended(None, late=monotonic() >= until_s)

        return result

    return wrapper


def place(lapse: Lapse) -> tuple[Queue, AnyTask]:
    """
    Return where the running task queues for its time to be over, and the task.

    Raises:
        RuntimeError: No task runs.
    """
    loop = _running_loop()
    queue = lapse.latest()
    if queue is None or queue.loop is not loop:
        queue = lapse.queue(loop)

    task = _current_task(loop)
    if task is None:
        raise RuntimeError("there is no task that a time-out could cancel")

    if not queue.armed:
        queue.arm(lapse.after_s)

    return queue, task


def around_attempts(timer: Timer, attempts: Timer, call: Call) -> Call:
    """
    Return the coroutine function *call* under the deadline *timer*, with no timer set.

    None is needed where a time-out bounds every attempt, and so keeps a deadline that
    is earlier; waits for retries and at gates don't go on beyond it by themselves.

    Args:
        timer: The deadline.
        attempts: The time-out inside it.
        call: What makes the attempts.
    """
    begin = cast("AsyncCall", call)
    otherwise = cast("AsyncCall", coroutine(timer, call))

    async def wrapper(*args: object, **kwargs: object) -> object:
        lapse = timer.lapse
        monotonic = lapse.monotonic
        until_s = monotonic() + lapse.after_s
        if until_s >= _until_s() or attempts.lapse.after_s == math.inf:
            return await otherwise(*args, **kwargs)

        token = _put(until_s)
        try:
            result = await begin(*args, **kwargs)
        except BaseException as error:
            lift(token)
            timer.ended(error, late=monotonic() >= until_s)
            raise

        _lift(token)
        if monotonic() < until_s and timer.calm:
            timer.ok += 1
        else:
            timer.ended(None, late=monotonic() >= until_s)

        return result

    return wrapper


async def _otherwise(
    timer: Timer,
    call: AsyncCall,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    """Make a call that the short way is not for: its time is another's, or spent."""
    scope = Scope(timer)
    scope.enter_async()
    try:
        result = await call(*args, **kwargs)
    except BaseException as error:
        made = scope.leave(error)
        if made is None:
            raise

        raise made from error

    scope.leave()
    return result


async def settled(
    timer: Timer,
    result: Awaitable[object],
    until_s: float | None,
    lapse: Lapse | None = None,
) -> object:
    """
    Await what a plain function returned, in what is left of its time.

    Args:
        timer: What bounds it.
        result: The awaitable.
        until_s: The monotonic time by which it must end; None: all its time is left.
        lapse: The timer's numbers when it began; None: those in force.
    """
    scope = Scope(timer, until_s, lapse)
    try:
        scope.enter_async()
    except BaseException:
        close: Callable[[], None] | None = getattr(result, "close", None)
        if close is not None:
            close()  # a coroutine that is never awaited complains

        raise

    try:
        made = await result
    except BaseException as error:
        failed = scope.leave(error)
        if failed is None:
            raise

        raise failed from error

    scope.leave()
    return made


def _failed(
    queue: Queue,
    key: int,
    task: AnyTask,
    requests: int,
    token: Token[float],
    error: BaseException,
) -> bool:
    """End what raised *error*, and tell whether it is the time-out's own doing."""
    lift(token)
    return not queue.drop(key) and is_ours(task, requests, error)


def _plainly(
    timer: Timer,
    call: Call,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    """Do the same for a plain function, in a thread if that is how it runs."""
    scope = Scope(timer)
    scope.enter()
    try:
        if timer.pool is None or scope.left_s == math.inf:
            result = call(*args, **kwargs)
        else:
            result = _in_thread(timer.pool, scope, Job(call, args, kwargs))
    except BaseException as error:
        made = scope.leave(error)
        if made is None:
            raise

        raise made from error

    if type(result) not in PLAIN and is_awaitable(result):
        return settled(timer, cast("Awaitable[object]", result), scope.pause())

    scope.leave()
    return result


def _in_thread(pool: Pool, scope: Scope, job: Job) -> object:
    """Wait for the end of *job* as long as *scope* allows."""
    if not pool.start(job):
        raise scope.refuse(pool.full())

    try:
        ended = job.wait(scope.left_s)
    except BaseException:
        pool.abandon(job)  # a signal's handler raised: nobody waits for it
        raise

    if not ended and pool.abandon(job):
        raise scope.give_up()

    return job.outcome()
