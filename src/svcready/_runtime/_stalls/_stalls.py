"""Finds out that a process serves nobody any more, though it lives: a stalled one."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._runtime._stalls._awake import Awake
from svcready._runtime._stalls._loop_pulse import Pulses

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from types import FrameType

    from svcready._runtime._open_requests import OpenRequests
    from svcready.config._sections.health import HealthSettings

__all__ = ["LOOP", "REQUESTS", "Stalls"]

LOOP, REQUESTS = "event loop", "requests"
_MOST_STACKS = 8
_MOST_FRAMES = 40
_OURS = "/svcready/adapters/"


class Stalls:
    """
    Judges by evidence whether requests are still served.

    An event loop stalls when it has not turned for `health.loop_stall_s`. A process
    without one stalls when for `health.request_stall_s` none of its requests has ended,
    begun or sent anything, though some are open; where the server says how many threads
    it has, only if all are taken. A loop that has ended, and one that was never run,
    can't stall, and a process that was stopped is given the whole time again.

    Args:
        settings: The section HEALTH.
        requests: What is in flight.
        now: The monotonic clock, in seconds.
        tell: Told of each change: what, `stalls` or `recovers`, for how many seconds,
            and the stacks of the threads that hang.
    """

    def __init__(
        self,
        settings: HealthSettings,
        requests: OpenRequests,
        now: Callable[[], float],
        tell: Callable[[str, str, float, str], None],
    ) -> None:
        self._loop_stall_s = settings.loop_stall_s
        self._request_stall_s = settings.request_stall_s
        self._requests = requests
        self._now = now
        self._tell = tell
        self.threads: int | None = None
        """How many requests the server works on at once, if it said."""
        self._begin_anew()
        fork.reset_in_child(self._begin_anew)

    def _begin_anew(self) -> None:
        limits = [s for s in (self._loop_stall_s, self._request_stall_s) if s]
        self._pulses = Pulses(self._now, self._loop_stall_s)
        self._awake = Awake(self._now, min(limits, default=0.0) / 2)
        self._seen: object = None
        self._moved_s = self._now()
        self._fine_until_s = 0.0
        self._stalled: dict[str, float] = {}

    def watch(self, loop: AbstractEventLoop) -> None:
        """Watch *loop*, which serves requests."""
        if self._loop_stall_s:
            self._pulses.watch(loop)

    def loop_fault(self) -> str:
        """Return why the event loop is stalled; empty while it is not."""
        stalled = self._stalled_loop()
        if stalled is None:
            return ""

        return f"it has not turned for {stalled[0]:.0f} s"

    def request_fault(self) -> str:
        """Return why requests are stalled; empty while they are not."""
        age_s = self._stalled_requests_s()
        return f"none has moved for {age_s:.0f} s" if age_s else ""

    def stalled(self) -> dict[str, bool]:
        """Tell of the event loop and of requests whether they are stalled."""
        return {what: what in self._stalled for what in (LOOP, REQUESTS)}

    def look(self) -> None:
        """Look what has moved, and tell of what has changed; about once a second."""
        self._awake.since()
        self._look_at_requests()
        loop = self._stalled_loop()
        stack = ""
        if loop is not None and LOOP not in self._stalled:
            stack = _stack_of(loop[1])

        self._settle(LOOP, 0.0 if loop is None else loop[0], stack)
        requests_s = self._stalled_requests_s()
        if requests_s and REQUESTS not in self._stalled:
            stack = _stacks_of_requests()

        self._settle(REQUESTS, requests_s, stack)

    def _settle(self, what: str, age_s: float, stack: str) -> None:
        began_s = self._stalled.get(what)
        if age_s and began_s is None:
            self._stalled[what] = self._now() - age_s
            self._tell(what, "stalls", age_s, stack)
        elif not age_s and began_s is not None:
            del self._stalled[what]
            self._tell(what, "recovers", self._now() - began_s, "")

    def _stalled_loop(self) -> tuple[float, int | None] | None:
        """Return for how long the loop that hangs longest does, and its thread."""
        if not self._loop_stall_s:
            return None

        now_s, since_s = self._now(), self._awake.since()
        if now_s < self._fine_until_s:
            return None  # part of a probe

        ages = [
            (now_s - max(pulse.beat_s, since_s), pulse.thread)
            for pulse in self._pulses.running()
        ]
        longest = max(ages, default=None, key=lambda each: each[0])
        left_s = self._loop_stall_s - (0.0 if longest is None else longest[0])
        if left_s <= 0.0:
            return longest

        self._fine_until_s = now_s + left_s  # none can have stalled before
        return None

    def _stalled_requests_s(self) -> float:
        """Return for how long no request has moved; 0.0 where some do, or none is."""
        most = self.threads or 1
        if not self._request_stall_s or len(self._requests) < most:
            return 0.0

        age_s = self._now() - max(self._moved_s, self._awake.since())
        if age_s < self._request_stall_s or self._pulses.running():
            return 0.0  # a loop is judged by its turning: streams may wait for hours

        # What ended or began since the last look moved as well.
        began_s = [each.started_s for each in self._requests.all()]
        if self._requests.ended or not began_s:
            return 0.0

        age_s = min(age_s, self._now() - max(began_s))
        return age_s if age_s >= self._request_stall_s else 0.0

    def _look_at_requests(self) -> None:
        requests = self._requests
        if not self._request_stall_s:
            return

        seen = {id(each): (each.status, each.sent) for each in requests.all()}
        if requests.ended or seen != self._seen or not seen:
            requests.ended = False
            self._seen = seen
            self._moved_s = self._now()


def _stack_of(thread: int | None) -> str:
    frame = sys._current_frames().get(thread or -1)  # noqa: SLF001 - the only way
    return "" if frame is None else _format(frame)


def _stacks_of_requests() -> str:
    """Return the stacks of the threads that are inside a request."""
    stacks = []
    for frame in tuple(sys._current_frames().values()):  # noqa: SLF001 - as above
        within: FrameType | None = frame
        while within is not None:
            if _OURS in within.f_code.co_filename.replace("\\", "/"):
                stacks.append(_format(frame))
                break

            within = within.f_back

    return "\n".join(stacks[:_MOST_STACKS])


def _format(frame: FrameType) -> str:
    return "".join(traceback.format_stack(frame, _MOST_FRAMES))
