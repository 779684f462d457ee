"""The timer: a histogram of seconds that is a decorator and a context manager."""

from __future__ import annotations

import contextlib
import sys
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from svcready._core.callables import kind_of
from svcready._core.clock import SYSTEM_CLOCK
from svcready.errors import DeclarationError
from svcready.metrics._instruments._histograms import BucketInstrument, histogram_child

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
    from types import FrameType, TracebackType
    from typing import Protocol

    from svcready.metrics._instruments._histogram_child import HistogramChild
    from svcready.metrics._instruments._instrument import Spec
    from svcready.metrics._instruments._sketch import Sketch
    from svcready.metrics._model import Distribution

    class Timing(Protocol):
        """What can time: it has somewhere to record to, and a stopwatch."""

        starts: dict[int, list[float]]

        @property
        def observe(self) -> Callable[[float], None]:
            """What records a duration in seconds."""
            ...

        @property
        def stopwatch(self) -> Stopwatch:
            """The clock that all children share."""
            ...


__all__ = ["Stopwatch", "Timer", "TimerChild"]

P = ParamSpec("P")
R = TypeVar("R")

_CONTEXTLIB = vars(contextlib)


class Stopwatch:
    """The clock that the children of one timer share."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now: Callable[[], float] = SYSTEM_CLOCK.monotonic


class _Timed:
    """
    Timing by decorator and by `with`, for whatever is a `Timing`.

    A `with` statement enters and leaves from the same frame, whichever thread, task or
    context that frame runs in: so the frame is what a start belongs to, and one timer
    can be entered by many at once, and again inside itself.
    """

    __slots__ = ()

    def __call__(self: Timing, function: Callable[P, R]) -> Callable[P, R]:
        """
        Time every call of *function*, errors included.

        A coroutine is timed until it ends, not until it is made; a generator, sync or
        async, from its first step until it is exhausted, closed or fails.
        """
        return _wrap(self, function)

    def __enter__(self: Timing) -> None:
        holder = _holder(sys._getframe(1))  # noqa: SLF001 - see the class
        self.starts.setdefault(holder, []).append(self.stopwatch.now())

    def __exit__(
        self: Timing,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ended_s = self.stopwatch.now()
        holder = _holder(sys._getframe(1))  # noqa: SLF001 - see the class
        begun = self.starts.get(holder)
        if not begun:
            return  # an ExitStack whose callbacks were moved to another one

        started_s = begun.pop()
        if not begun:
            del self.starts[holder]

        self.observe(ended_s - started_s)


class TimerChild(_Timed):
    """One series of a timer: observe seconds, decorate, or enter by `with`."""

    __slots__ = ("_child", "observe", "starts", "stopwatch")

    def __init__(self, child: HistogramChild, stopwatch: Stopwatch) -> None:
        self._child = child
        self.observe: Callable[[float], None] = child.observe
        """Record a duration in seconds."""
        self.stopwatch = stopwatch
        self.starts: dict[int, list[float]] = {}
        """When the blocks under way began, by what they belong to."""

    def read(self, labels: tuple[str, ...]) -> Distribution:
        """Return what was recorded so far, as the series of *labels*."""
        return self._child.read(labels)

    def rebucket(self, bounds: tuple[float, ...]) -> None:
        """Count in other buckets from now on."""
        self._child.rebucket(bounds)

    def keep_sketch(self, *, on: bool) -> None:
        """Sketch what is recorded from now on, for `take`; or no longer."""
        self._child.keep_sketch(on=on)

    def take(self) -> Sketch | None:
        """Return what was recorded since the last take; None if nothing was."""
        return self._child.take()

    def reset(self) -> None:
        """Start again from zero; for a forked child, which has one thread."""
        self._child.reset()


class Timer(_Timed, BucketInstrument[TimerChild]):
    """A distribution of durations in seconds."""

    __slots__ = ("starts", "stopwatch")

    def __init__(self, spec: Spec, bounds: tuple[float, ...]) -> None:
        watch = self.stopwatch = Stopwatch()
        self.starts: dict[int, list[float]] = {}
        kind = histogram_child()
        super().__init__(spec, bounds, lambda bounds: TimerChild(kind(bounds), watch))

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """
        Time every call of *function*, errors included.

        Raises:
            DeclarationError: The timer has labels; one of its children can decorate.
        """
        if self.spec.labels:
            raise DeclarationError(
                f"timer {self.spec.name!r} has labels: decorate with "
                f".labels({', '.join(self.spec.labels)})"
            )

        return super().__call__(function)

    def use_clock(self, now: Callable[[], float]) -> None:
        """Read the time by *now*, monotonic seconds, from the next start on."""
        self.stopwatch.now = now


def _holder(frame: FrameType) -> int:
    """Return the identity of what a start belongs to: a frame, or an ExitStack."""
    if frame.f_globals is _CONTEXTLIB:
        # An ExitStack enters from one of its methods and leaves from another.
        stack: object = frame.f_locals.get("self")
        return id(frame) if stack is None else id(stack)

    return id(frame)


def _wrap(timing: Timing, function: Callable[P, R]) -> Callable[P, R]:
    kind = kind_of(function)
    wrapped: object
    if kind == "coroutine":
        wrapped = _coroutine(
            timing, cast("Callable[P, Coroutine[None, None, R]]", function)
        )
    elif kind == "async generator":
        wrapped = _async_generator(
            timing, cast("Callable[P, AsyncGenerator[R, object]]", function)
        )
    elif kind == "generator":
        wrapped = _generator(
            timing, cast("Callable[P, Generator[R, object, object]]", function)
        )
    else:
        wrapped = _plain(timing, function)

    return cast("Callable[P, R]", wrapped)


def _plain(timing: Timing, function: Callable[P, R]) -> Callable[P, R]:
    watch, observe = timing.stopwatch, timing.observe

    @wraps(function)
    def timed(*args: P.args, **kwargs: P.kwargs) -> R:
        now = watch.now
        started_s = now()
        try:
            return function(*args, **kwargs)
        finally:
            observe(now() - started_s)

    return timed


def _coroutine(
    timing: Timing, function: Callable[P, Coroutine[None, None, R]]
) -> Callable[P, Coroutine[None, None, R]]:
    watch, observe = timing.stopwatch, timing.observe

    @wraps(function)
    async def timed(*args: P.args, **kwargs: P.kwargs) -> R:
        now = watch.now
        started_s = now()
        try:
            return await function(*args, **kwargs)
        finally:
            observe(now() - started_s)

    return timed


def _generator(
    timing: Timing, function: Callable[P, Generator[R, object, object]]
) -> Callable[P, Generator[R, object, object]]:
    watch, observe = timing.stopwatch, timing.observe

    @wraps(function)
    def timed(*args: P.args, **kwargs: P.kwargs) -> Generator[R, object, object]:
        now = watch.now
        started_s = now()
        try:
            return (yield from function(*args, **kwargs))
        finally:
            observe(now() - started_s)

    return timed


def _async_generator(
    timing: Timing, function: Callable[P, AsyncGenerator[R, object]]
) -> Callable[P, AsyncGenerator[R, object]]:
    watch, observe = timing.stopwatch, timing.observe

    @wraps(function)
    async def timed(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R, object]:
        now = watch.now
        started_s = now()
        inner = function(*args, **kwargs)
        step = inner.__anext__()
        try:
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    return

                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - the inner one's to handle
                    step = inner.athrow(error)
                else:
                    step = inner.asend(sent)
        finally:
            observe(now() - started_s)

    return timed
