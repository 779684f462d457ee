"""A whole policy around one function: its parts, and what follows a failed attempt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast

from svcready._core.clock import SYSTEM_CLOCK
from svcready.resilience._layering import _awaits, _calls
from svcready.resilience._layering._results import PLAIN, is_awaitable, settle_error
from svcready.resilience._retrying._retrier import Course
from svcready.resilience._timing._deadline import UNTIL_S, lift, put
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

__all__ = ["Begun", "Whole"]


class Begun(NamedTuple):
    """A call on its way: when it began, and what it has."""

    at_s: float
    """The monotonic time."""
    attempt: Lapse
    """What the time-out gives each attempt; it bounds them, or is off."""
    whole: Lapse
    """What the deadline gives the call; the same."""
    before: int
    """The last mark that was put on an error before it."""

    def until_s(self) -> float:
        """Return when the call must be done, by its own deadline or the caller's."""
        return min(self.at_s + self.whole.short_s, UNTIL_S.get())


class _Boundless:
    """Stands for the timer that a policy does not have."""

    lapse = Lapse(TimeConfig(), SYSTEM_CLOCK.monotonic)


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

    def succeeded(self, tally: Tally, begun: Begun, ended_s: float) -> None:
        """Count an answer that is late, or that a window must be moved on for."""
        self.breaker.settle(tally, "success")
        self.retrier.succeeded()
        self._attempt_ended(begun, None, ended_s)
        self._ended(begun, None, ended_s)

    def failed(
        self,
        tally: Tally,
        permit: Permit | None,
        begun: Begun,
        error: BaseException,
        expired: Timer | None = None,
    ) -> Exception:
        """
        End the first attempt, which raised *error*, and return what it failed with.

        Args:
            tally: What the breaker admitted it with.
            permit: What the bulkhead did.
            begun: The call.
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
            made = timeout.expired(begun.attempt.bound_s)
            made.__cause__ = error
        else:
            self._attempt_ended(begun, error, tally.monotonic())

        token = put(begun.until_s())  # whose judge asks for it
        settle_error(self.breaker, tally, made)
        lift(token)
        if self.compartment is not None:
            self.compartment.leave(permit, made, 0.0)

        if isinstance(made, Exception):
            return made

        if expired is not None:
            deadline.count("timed_out")
            raise deadline.expired(begun.whole.bound_s) from error

        self._ended(begun, error, tally.monotonic())
        raise error

    def rest(
        self,
        begun: Begun,
        failed: Exception,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> object:
        """Make the attempts that follow the first, in the time that is left."""
        retrier, until_s = self.retrier, begun.until_s()
        monotonic = begun.whole.monotonic
        token = put(until_s)
        try:
            course = Course(retrier, until_s, before=begun.before)
            result = _calls.again(course, failed, self.inner, args, kwargs)
        except BaseException as error:
            lift(token)
            self._ended(begun, error, monotonic())
            raise
        finally:
            del failed  # its traceback holds this frame

        lift(token)
        if type(result) in PLAIN or not is_awaitable(result):
            self._ended(begun, None, monotonic())
            return result

        following = cast("Awaitable[object]", result)
        return settled(self.deadline, following, *self._own(begun))

    async def rest_async(
        self,
        begun: Begun,
        failed: Exception,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> object:
        """Do the same for a coroutine function."""
        until_s, caller_s = begun.until_s(), UNTIL_S.get()
        course = Course(self.retrier, until_s, before=begun.before)
        following = _awaits.again(course, failed, self.inner, args, kwargs)
        del failed  # its traceback holds this frame
        monotonic = begun.whole.monotonic
        bounded = begun.attempt.short_s < math.inf and until_s < caller_s
        if not bounded and monotonic() < until_s:
            return await settled(self.deadline, following, *self._own(begun))

        # Every attempt has a timer of its own, or none follows.
        token = put(until_s)
        try:
            result = await following
        except BaseException as error:
            lift(token)
            self._ended(begun, error, monotonic())
            raise

        lift(token)
        self._ended(begun, None, monotonic())
        return result

    def _own(self, begun: Begun) -> tuple[float, Lapse]:
        """Return when the call's own deadline is, and its numbers."""
        return begun.at_s + begun.whole.short_s, begun.whole

    def _attempt_ended(
        self, begun: Begun, error: BaseException | None, now_s: float
    ) -> None:
        """Count an attempt that its time-out did not end."""
        if begun.attempt.mode != "off":
            own_s, until_s = begun.at_s + begun.attempt.short_s, begun.until_s()
            late, own = now_s >= min(own_s, until_s), own_s <= until_s
            self.timeout.ended(error, late=late, own=own)

    def _ended(self, begun: Begun, error: BaseException | None, now_s: float) -> None:
        """Count a call that its deadline did not end."""
        if begun.whole.mode != "off":
            self.deadline.ended(error, late=now_s >= begun.until_s())

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
