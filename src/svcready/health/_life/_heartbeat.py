"""Heartbeats: loops of the application that have to go on, or the process is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.declarations import Register, check_name
from svcready.errors import DeclarationError
from svcready.health._arguments import seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from types import TracebackType

__all__ = ["HEARTBEATS", "Heartbeat", "heartbeat"]

_SHORTEST_S = 0.1


class Heartbeat:
    """
    The sign of life of one loop: call it each time round.

    Nothing is expected before the first beat, because a declaration does not say which
    process has the loop: a module that web workers import as well must not break them.
    As a context manager it beats on entry and stops at the end of the block; an error
    that leaves the block does not stop it, so a loop that died of one is missed.

    Args:
        name: Its name, in metrics and in the report.
        within_s: How long after a beat the next one is missed.
    """

    __slots__ = ("_at_s", "_is_news", "_now", "_tell", "name", "within_s")

    def __init__(self, name: str, within_s: float) -> None:
        self.name = name
        self.within_s = within_s
        self._at_s: float | None = None
        self._now = SYSTEM_CLOCK.monotonic
        self._is_news = True
        self._tell: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<Heartbeat {self.name!r} within {self.within_s:g} s>"

    def __call__(self) -> None:
        """Beat."""
        self._at_s = self._now()
        if self._is_news:
            self._is_news = False
            self._pass_on()

    def stop(self) -> None:
        """Expect no more beats, until one comes."""
        self._at_s = None
        self._is_news = True
        self._pass_on()

    def __enter__(self) -> Heartbeat:
        self()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if not isinstance(error, Exception):  # ended, cancelled or told to exit
            self.stop()

    @property
    def age_s(self) -> float | None:
        """How long ago the last beat was; None while none is expected."""
        at_s = self._at_s
        return None if at_s is None else max(0.0, self._now() - at_s)

    @property
    def missed_at_s(self) -> float | None:
        """When the next beat is missed, on the monotonic clock; None for never."""
        at_s = self._at_s
        return None if at_s is None else at_s + self.within_s

    def fault(self) -> str:
        """Return why the process is broken; empty if a beat came in time."""
        age_s = self.age_s
        if age_s is None or age_s < self.within_s:
            return ""

        self._is_news = True  # the next beat ends it
        return f"no beat for {age_s:.0f} s, expected within {self.within_s:g} s"

    def bind(self, now: Callable[[], float], tell: Callable[[], None]) -> None:
        """
        Have what begins and ends told to a runtime.

        Args:
            now: Its monotonic clock; a beat that was before counts as one of now.
            tell: Called at the first beat, after a stop, and when a missed one comes.
        """
        if self._at_s is not None and now is not self._now:
            self._at_s = now()

        self._now, self._tell = now, tell

    def after_fork(self) -> None:
        """Expect nothing in a child, which has none of its parent's loops."""
        self._at_s = None
        self._is_news = True

    def _pass_on(self) -> None:
        tell = self._tell
        if tell is not None:
            tell()


HEARTBEATS: Register[Heartbeat] = Register("heartbeat")
"""Every heartbeat that the process declared."""


def heartbeat(name: str, *, within: float | timedelta | str) -> Heartbeat:
    """
    Declare a loop that has to go on: call what is returned each time round.

    If no beat comes *within* that time after one, the process is broken: liveness and
    readiness fail until the next beat. The first beat starts it; none is missed while
    the service drains, when loops end on purpose. A beat stores the time and no more.

    Args:
        name: 1-64 characters of `a-z 0-9 _ . -`; the same name is the same heartbeat.
        within: Seconds, timedelta or `"30s"`, from 0.1 s; longer than the longest turn
            of the loop.

    Raises:
        DeclarationError: An argument is wrong, or the name has another *within*.
    """
    within_s = seconds("heartbeat within", within, _SHORTEST_S)
    if within_s is None:
        msg = "heartbeat within=None is not allowed: say how long a beat may take"
        raise DeclarationError(msg)

    chosen = check_name("heartbeat", name)
    return HEARTBEATS.declare(chosen, within_s, lambda: Heartbeat(chosen, within_s))
