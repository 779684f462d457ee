"""`shielded`: a section to which no deadline applies."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from svcready.resilience._timing._alarms import alarms_of, next_key
from svcready.resilience._timing._deadline import UNTIL_S, lift

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType
    from typing import Self

    from svcready.resilience._timing._alarms import Alarms, AnyTask

__all__ = ["Shield", "shielded"]


class Shield:
    """One section to which no deadline applies: `with svcready.shielded():`."""

    __slots__ = ("_alarms", "_key", "_task", "_token")

    def __init__(self) -> None:
        self._token: Token[float] | None = None
        self._alarms: Alarms | None = None
        self._task: AnyTask | None = None
        self._key = 0

    def __enter__(self) -> Self:
        if self._token is not None:
            raise RuntimeError("a shield is entered once; ask for another")

        self._token = UNTIL_S.set(math.inf)
        self._key = next_key()
        found = _running()
        if found is not None:
            self._alarms, self._task = found
            self._alarms.shields.setdefault(self._task, []).append(self._key)

        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._token is not None:
            lift(self._token)

        alarms, self._alarms = self._alarms, None
        task, self._task = self._task, None
        if alarms is not None and task is not None:
            alarms.unshield(task, self._key)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)


def shielded() -> Shield:
    """
    Return a context manager for what must be finished, whatever the time: a rollback.

    In it `remaining` knows of no bound, and a time-out or deadline that passes waits
    for its end before it cancels the task; those that begin within it hold. It is no
    shield from the cancellations of others.
    """
    return Shield()


def _running() -> tuple[Alarms, AnyTask] | None:
    """Return the task that runs and its loop's timers, if one runs."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None

    task = asyncio.current_task(loop)
    return None if task is None else (alarms_of(loop), task)
