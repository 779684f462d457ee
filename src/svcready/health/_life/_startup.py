"""Startup tasks: what has to be done before the service is ready."""

from __future__ import annotations

from functools import wraps
from threading import get_ident
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar, cast, overload

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.declarations import Register, name_of
from svcready.errors import DeclarationError
from svcready.health._arguments import definition, is_async
from svcready.health._result import judge_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

__all__ = ["STARTUP_TASKS", "StartupTask", "holds_start", "startup_task"]

P = ParamSpec("P")
R = TypeVar("R")

_MAX_NAME = 64


class _Attempt(NamedTuple):
    """One try at a task, which is under way."""

    thread: int
    now: Callable[[], float]
    began_s: float


class StartupTask:
    """
    Something to be done before the service is ready: a block, or a function's call.

    Args:
        name: What it is, for people.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = "waiting"
        """`waiting`, `running`, `done` or `failed`."""
        self.took_s: float | None = None
        """How long the last try took."""
        self.output = ""
        """Why it failed, as it was raised: not yet fit to be shown."""
        self.late = False
        """Declared when the service was ready, which it then stays."""
        self._abandoned = False
        self._function: tuple[object, ...] | None = None
        self._attempts: list[_Attempt] = []
        self._now = SYSTEM_CLOCK.monotonic
        self._tell: Callable[[StartupTask], None] | None = None

    def __repr__(self) -> str:
        return f"<StartupTask {self.name!r} {self.status}>"

    @property
    def holds(self) -> bool:
        """Whether the service is not ready for want of it."""
        return self.status != "done" and not (self.late or self._abandoned)

    def __enter__(self) -> StartupTask:
        self._begin()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._end(self._attempts[-1] if self._attempts else None, error)

    async def __aenter__(self) -> StartupTask:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """
        Make of *function* the task, which is done when a call of it has succeeded.

        Raises:
            DeclarationError: It is a generator, or the task has another function.
        """
        waits = is_async(function, f"startup task {self.name!r}")
        what = definition(function)
        if self._function not in {None, what}:
            msg = (
                f"startup task {self.name!r}, declared at "
                f"{STARTUP_TASKS.place(self.name)}, is another function than {what[1]}"
            )
            raise DeclarationError(msg)

        self._function = what

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            attempt = self._begin()
            try:
                value = function(*args, **kwargs)
            except BaseException as error:
                self._end(attempt, error)
                raise

            if hasattr(value, "__await__"):
                return cast(
                    "R", self._finish(attempt, cast("Awaitable[object]", value))
                )

            self._end(attempt, None)
            return value

        @wraps(function)
        async def call_async(*args: P.args, **kwargs: P.kwargs) -> object:
            with_args = cast("Callable[P, Awaitable[object]]", function)
            return await self._finish(self._begin(), with_args(*args, **kwargs))

        return cast("Callable[P, R]", call_async) if waits else call

    def bind(
        self,
        now: Callable[[], float],
        tell: Callable[[StartupTask], None],
        *,
        late: bool,
    ) -> None:
        """
        Have each end of it told to a runtime.

        Args:
            now: Its monotonic clock.
            tell: Called after each try.
            late: Whether the service is ready already.
        """
        self._now, self._tell, self.late = now, tell, late

    def after_fork(self) -> None:
        """Forget in a child the tries of its parent's other threads."""
        ours = [a for a in self._attempts if a.thread == get_ident()]
        if self.status == "running" and not ours:
            self.status = "waiting"
            # A block is its parent's alone; a function the child calls itself.
            self._abandoned = self._function is None

        self._attempts = ours

    async def _finish(self, attempt: _Attempt, value: Awaitable[object]) -> object:
        try:
            result = await value
        except BaseException as error:
            self._end(attempt, error)
            raise

        self._end(attempt, None)
        return result

    def _begin(self) -> _Attempt:
        attempt = _Attempt(get_ident(), self._now, self._now())
        self._attempts.append(attempt)
        self._abandoned = False
        if self.status != "done":
            self.status = "running"

        return attempt

    def _end(self, attempt: _Attempt | None, error: BaseException | None) -> None:
        if attempt is None or attempt not in self._attempts:
            return  # forgotten by a fork in the middle

        self._attempts.remove(attempt)
        self.took_s = max(0.0, attempt.now() - attempt.began_s)
        self.output = "" if error is None else judge_error(error).output
        if error is not None:
            self.status = "failed"
        elif not self._attempts:
            self.status = "done"

        if self._tell is not None:
            self._tell(self)


STARTUP_TASKS: Register[StartupTask] = Register("startup task")
"""Every startup task that the process declared."""


@overload
def startup_task(name: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def startup_task(name: str, /) -> StartupTask: ...


def startup_task(name: Callable[P, R] | str, /) -> Callable[P, R] | StartupTask:
    """
    Hold the service in `starting` until something is done.

    Decorates a function, plain or async, whose first successful call does it; or, with
    a name, gives what decorates one or is the `with` or `async with` of a block. While
    it is not done, readiness and startup fail and liveness passes; the same after it
    failed, until a try succeeds. What it raises goes on to the caller.

    One that is declared when the service is ready does not take it back: it is
    reported, and a line warns.

    Args:
        name: The function, or what the task is, for people: up to 64 characters. The
            same name is the same task.

    Raises:
        DeclarationError: It is neither, or the task has another function already.
    """
    if callable(name):
        return _declared(name_of(name))(name)

    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
        msg = f"startup task name {name!r}: use up to {_MAX_NAME} characters"
        raise DeclarationError(msg)

    if not name.isprintable() or not name.strip(" ._-"):
        msg = f"startup task name {name!r}: use characters that can be printed"
        raise DeclarationError(msg)

    return _declared(name)


def holds_start() -> bool:
    """Tell whether a task holds the start."""
    return any(task.holds for task in STARTUP_TASKS.things())


def _declared(name: str) -> StartupTask:
    return STARTUP_TASKS.declare(name, None, lambda: StartupTask(name))
