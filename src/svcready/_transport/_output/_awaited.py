"""The lines whose callers wait until they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._transport._output._flight import Flight

__all__ = ["Awaited"]


class Awaited:
    """
    What became of the lines that somebody waits for.

    Everything is called under the outlet's lock.
    """

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: dict[int, bool | None] = {}

    def __bool__(self) -> bool:
        return bool(self._answers)

    def answer(self, flight: Flight) -> None:
        """Note what became of the lines of *flight*, of which no more will be out."""
        if self._answers:
            for _, _, number, end in flight.lines:
                if number in self._answers:
                    self._answers[number] = end <= flight.sent

    def wait(self, number: int, wait_for_change: Callable[[], bool]) -> bool:
        """
        Wait until the line *number* is written.

        Args:
            number: Which line.
            wait_for_change: Lets go of the lock for a while; False if the time is up.

        Returns:
            False if the line was refused; True also if it still waits.
        """
        self._answers[number] = None
        try:
            while self._answers[number] is None:
                if not wait_for_change():
                    break

            return self._answers[number] is not False
        finally:
            del self._answers[number]
