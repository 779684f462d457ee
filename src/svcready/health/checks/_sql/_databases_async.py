"""The same questions to a database whose driver is asynchronous."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

from svcready.health._result import CheckResult
from svcready.health.checks._sql._cutting import Cutter
from svcready.health.checks._sql._databases import (
    Findings,
    NoAnswerError,
    Origin,
    ends_s,
    least_s,
    left_s,
    quiet,
    told_silence,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = [
    "AsyncHeld",
    "AsyncSource",
    "ask_async",
    "check_database_async",
    "within",
]

T = TypeVar("T")

_GRACE_S = 0.05  # from the cut, which drivers take well, to the cancellation
_FAREWELL_S = 0.05


class AsyncHeld(Protocol):
    """A connection that the check has."""

    @property
    def driver(self) -> object:
        """The driver's connection."""
        ...

    async def ping(self) -> object:
        """Have the server answer."""
        ...

    async def keep(self) -> object:
        """Be done with a good connection: give it back, or close it."""
        ...

    async def drop(self) -> object:
        """Be done with a bad one, which nobody must get again."""
        ...


class AsyncSource(Origin, Protocol):
    """Where the connections to one database come from."""

    async def borrow(self) -> AsyncHeld | None:
        """Return a connection that lies ready in the pool, without waiting for any."""
        ...

    async def connect(self, seconds: float) -> AsyncHeld:
        """Make a connection of the check's own; whoever calls sees to the time."""
        ...


async def check_database_async(source: AsyncSource) -> CheckResult:
    """Ask a database whether it answers, as `check_database` does."""
    end_s = ends_s()
    findings = Findings(source)
    lent = None
    with quiet:
        lent = await source.borrow()

    if lent is not None:
        try:
            await ask_async(lent, left_s(end_s) / 2)
        except Exception as error:  # noqa: BLE001 - a new connection says whether it matters
            findings.pooled = error
        else:
            return CheckResult("pass")
    else:
        findings.look_at_pool()

    try:
        own = await within(source.connect(left_s(end_s)), left_s(end_s))
        await ask_async(own, max(left_s(end_s), least_s()))
    except Exception as error:  # noqa: BLE001 - the result
        return findings.failed(error)

    return findings.passed()


async def within(call: Awaitable[T], seconds: float) -> T:
    """
    Await a connection for so long.

    Raises:
        NoAnswerError: There is none by then.
    """
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError as error:
        raise NoAnswerError(f"no connection within {seconds:.2g} s") from error


async def ask_async(held: AsyncHeld, seconds: float) -> None:
    """
    Have a connection answer within *seconds*, and be done with it, as `ask` does.

    Raises:
        NoAnswerError: It did not; the connection is dropped, as after any error.
    """
    # Cut first, and cancelled only then: a driver that is cancelled may talk to the
    # server about it, psycopg for five seconds.
    cutter = Cutter(held.driver, seconds, _later)
    try:
        with cutter:
            async with asyncio.timeout(seconds + _GRACE_S):
                await held.ping()
    except BaseException as error:
        await _drop(held)
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # psycopg may have swallowed it
            raise asyncio.CancelledError from None

        if cutter.fired or isinstance(error, TimeoutError):
            raise NoAnswerError(told_silence(seconds)) from None

        raise

    if cutter.fired:  # in the moment in which the answer came
        await _drop(held)
        raise NoAnswerError(told_silence(seconds))

    await held.keep()


async def _drop(held: AsyncHeld) -> None:
    try:
        async with asyncio.timeout(_FAREWELL_S):  # some say goodbye, to nobody
            await held.drop()
    except Exception:  # noqa: BLE001, S110 - it was lost already
        pass


def _later(seconds: float, call: Callable[[], None]) -> Callable[[], None]:
    return asyncio.get_running_loop().call_later(seconds, call).cancel
