"""A whole policy around one function: its parts, and what follows a failed attempt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from svcready._core.clock import SYSTEM_CLOCK
from svcready.errors import DeadlineSpent
from svcready.resilience._layering import _awaits, _calls
from svcready.resilience._layering._results import PLAIN, is_awaitable, settle_error
from svcready.resilience._retrying._retrier import Course
from svcready.resilience._timing._deadline import UNTIL_S
from svcready.resilience._timing._scope import Scope
from svcready.resilience._timing._timed import settled
from svcready.resilience._timing._timer import Lapse, TimeConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from svcready.resilience._admitting._compartment import Compartment
    from svcready.resilience._admitting._permits import Permit
    from svcready.resilience._breaking._breaker import Breaker
    from svcready.resilience._retrying._retrier import Retrier
    from svcready.resilience._tally import Tally
    from svcready.resilience._timing._timer import Timer

    Call = Callable[..., object]
    AsyncCall = Callable[..., Awaitable[object]]

__all__ = ["Whole"]


class _Boundless:
    """Stands for the timer that a policy does not have."""

    lapse = Lapse(TimeConfig(), SYSTEM_CLOCK.monotonic, threads=False)
    ok = 0

    def ended(self, error: BaseException | None, *, late: bool) -> None:
        """Count nothing."""


class Whole:
    """
    A policy whose parts have nothing to say as long as calls succeed.

    A call takes the short way if the breaker is closed and measures no time, nobody
    waits for the bulkhead, and the policy's own time is what bounds it: one deadline,
    the earlier of attempt's and call's, one permit, one tally. Everything else, and
    all that follows a failed attempt, goes the long way, layer by layer.

    Args:
        retrier: Retries.
        breaker: Stops calls.
        compartment: Admits so many at once; None: nothing does.
        timeout: Bounds attempts; None: nothing does.
        deadline: Bounds the whole call; None: nothing does.
        call: What the application wrote.
        general: Returns the policy around a call, the long way.
        inner: Returns one attempt the long way: all but retries and deadline.
    """

    __slots__ = (
        "breaker",
        "call",
        "compartment",
        "deadline",
        "general",
        "general_of",
        "inner",
        "retrier",
        "timeout",
    )

    def __init__(
        self,
        retrier: Retrier,
        breaker: Breaker,
        compartment: Compartment | None,
        timeout: Timer | None,
        deadline: Timer | None,
        *,
        call: Call,
        general: Callable[[Call], Call],
        inner: Callable[[Call], Call],
    ) -> None:
        self.retrier = retrier
        self.breaker = breaker
        self.compartment = compartment
        self.timeout = timeout or cast("Timer", _Boundless())
        self.deadline = deadline or cast("Timer", _Boundless())
        self.call = call
        self.general_of = general
        self.general = general(call)
        self.inner = inner(call)

    def succeeded(self, tally: Tally, began_s: float, ended_s: float) -> None:
        """Count an answer that is late, or that a window must be moved on for."""
        self.breaker.settle(tally, "success")
        self.retrier.succeeded()
        took_s = ended_s - began_s
        for timer in (self.timeout, self.deadline):
            timer.ended(None, late=took_s >= timer.lapse.short_s)

    def failed(
        self,
        tally: Tally,
        permit: Permit | None,
        began_s: float,
        error: BaseException,
        expired: Timer | None = None,
    ) -> Exception:
        """
        End the first attempt, which raised *error*, and return what it failed with.

        Args:
            tally: What the breaker admitted it with.
            permit: What the bulkhead did.
            began_s: When it began.
            error: What it raised.
            expired: Which timer has ended it; None: none.

        Raises:
            BaseException: It can't be retried: a cancellation, an exit, or what the
                deadline has ended.
        """
        timeout, deadline = self.timeout, self.deadline
        made = error
        if expired is timeout:
            timeout.count("timed_out")
            made = timeout.expired(timeout.lapse.bound_s)
            made.__cause__ = error
        else:
            took_s = tally.monotonic() - began_s
            timeout.ended(error, late=took_s >= timeout.lapse.short_s)

        settle_error(self.breaker, tally, made)
        if self.compartment is not None:
            self.compartment.leave(permit, made, 0.0)

        if isinstance(made, Exception):
            return made

        if expired is not None:
            deadline.count("timed_out")
            raise deadline.expired(deadline.lapse.bound_s) from error

        deadline.ended(error, late=False)
        raise error

    def rest(
        self,
        began_s: float,
        failed: Exception,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> object:
        """Make the attempts that follow the first, in the time that is left."""
        retrier, timer = self.retrier, self.deadline
        left_s = self._left_s(began_s)
        if left_s <= 0.0 or left_s == math.inf:
            course = self._unbound(failed, left_s)
            return _calls.again(course, failed, self.inner, args, kwargs)

        scope = Scope(timer, left_s)
        try:
            scope.enter()
        except DeadlineSpent:  # it has just passed
            raise failed from None

        try:
            course = Course(retrier)
            result = _calls.again(course, failed, self.inner, args, kwargs)
        except BaseException as error:
            made = scope.leave(error)
            if made is None:
                raise

            raise made from error
        finally:
            del failed  # its traceback holds this frame

        if type(result) not in PLAIN and is_awaitable(result):
            return settled(timer, cast("Awaitable[object]", result), scope.pause())

        scope.leave()
        return result

    async def rest_async(
        self,
        began_s: float,
        failed: Exception,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> object:
        """Do the same for a coroutine function."""
        retrier, inner = self.retrier, self.inner
        left_s = self._left_s(began_s)
        try:
            if left_s <= 0.0 or left_s == math.inf:
                course = self._unbound(failed, left_s)
                return await _awaits.again(course, failed, inner, args, kwargs)

            until_s = began_s + self.deadline.lapse.short_s
            course = Course(retrier, min(UNTIL_S.get(), until_s))
            following = _awaits.again(course, failed, inner, args, kwargs)
            return await settled(self.deadline, following, left_s)
        finally:
            del failed  # its traceback holds this frame

    def _left_s(self, began_s: float) -> float:
        """Return how long the whole call may go on; inf: as long as it takes."""
        bound_s = self.deadline.lapse.short_s
        if not math.isfinite(bound_s):
            return math.inf

        until_s = min(began_s + bound_s, UNTIL_S.get())
        return until_s - self.retrier.clock.monotonic()

    def _unbound(self, failed: Exception, left_s: float) -> Course:
        """Return the course of a call without a deadline, or whose deadline is over."""
        if left_s == math.inf:
            return Course(self.retrier)

        self.deadline.ended(failed, late=True)
        return Course(self.retrier, until_s=-math.inf)

    def begun(
        self,
        result: object,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> object:
        """Go the long way with an awaitable that a plain function has returned."""
        made = [result]

        def call(*args: object, **kwargs: object) -> object:
            return made.pop() if made else self.call(*args, **kwargs)

        try:
            return self.general_of(call)(*args, **kwargs)
        finally:
            close: Callable[[], None] | None = getattr(result, "close", None)
            if made and close is not None:
                close()  # a coroutine that is never awaited complains
