"""When a destination that fails is tried again, and what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._transport.sinks._destination import Outcome

__all__ = ["Outage"]

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_HURRIED_WAIT_S = 1.0
_MOST_DOUBLINGS = 10


class Outage:
    """
    The state of one destination: whether it fails, since when, and until when to wait.

    Args:
        component: Whose lines go there.
        name: The destination's name.
        uniform: Draws the jitter of waits between two bounds.
    """

    __slots__ = ("_lost_before", "_name", "_notices", "_since_s", "_uniform", "faults")

    def __init__(
        self, component: str, name: str, uniform: Callable[[float, float], float]
    ) -> None:
        self._name = (component, name)
        self._uniform = uniform
        self._since_s = 0.0
        self._lost_before = 0
        self._notices: set[str] = set()
        self.faults = 0
        """How many tries have failed in a row."""

    def wait_s(self, *, hurried: bool) -> float:
        """
        Draw how long to wait for the next try.

        Exponential with full jitter (Marc Brooker, "Exponential Backoff And Jitter",
        AWS Architecture Blog, 2015), and with a lower bound for who is in a hurry.
        """
        longest_s = _HURRIED_WAIT_S if hurried else _LONGEST_WAIT_S
        doublings = min(self.faults - 1, _MOST_DOUBLINGS)
        return self._uniform(0.0, min(longest_s, _FIRST_WAIT_S * 2.0**doublings))

    def judge(self, outcome: Outcome, now_s: float, lost: int) -> list[object]:
        """
        Take note of a try.

        Args:
            outcome: How it ended.
            now_s: When, on the monotonic clock.
            lost: How many lines were given up by now, ever.

        Returns:
            The events to publish.
        """
        news: list[object] = []
        if outcome.notice and outcome.notice not in self._notices:
            self._notices.add(outcome.notice)
            news.append(events.DestinationNoted(*self._name, outcome.notice))

        if outcome.fault:
            self.faults += 1
            if self.faults == 1:
                self._since_s, self._lost_before = now_s, lost
                news.append(events.DestinationFailed(*self._name, outcome.fault))
        elif self.faults:
            self.faults = 0
            news.append(
                events.DestinationRecovered(
                    *self._name, now_s - self._since_s, lost - self._lost_before
                )
            )

        return news
