"""The spans of a request of which nobody knows yet whether it is worth keeping."""

from __future__ import annotations

from typing import Protocol

from svcready.tracing.propagation._w3c import SAMPLED

__all__ = ["Buffer", "Waiting"]


class Waiting(Protocol):
    """A span that has ended and waits for the decision about its trace."""

    def mark(self, flag: int) -> None:
        """Set a trace flag."""
        ...

    def hand_over(self) -> None:
        """Go where recorded spans go."""
        ...


class Buffer:
    """
    Holds a request's spans until it ends, and sends them or forgets them then.

    Threads and tasks of the request share it. Spans that end after it, of work that
    goes on in the background, are sent or forgotten at once.

    Args:
        room: How many spans it takes besides the root.
    """

    __slots__ = ("_is_kept", "_room", "_spans", "left_out")

    def __init__(self, room: int) -> None:
        self._room = room
        self._spans: list[Waiting] = []
        self._is_kept: bool | None = None
        self.left_out = 0
        """How many spans found no room."""

    def admit(self) -> bool:
        """Tell whether one more span may be recorded, and count it."""
        if self._room > 0 and self._is_kept is not False:
            self._room -= 1
            return True

        self.left_out += 1
        return False

    def ended(self, span: Waiting) -> None:
        """Take a span that has ended."""
        self._spans.append(span)
        self._pass_on()  # if the request has ended, also if it does just now

    def keep(self) -> None:
        """Send what is here, and what ends later."""
        self._is_kept = True
        self._pass_on()

    def forget(self) -> None:
        """Drop what is here, and what ends later."""
        self._is_kept = False
        self._pass_on()

    def _pass_on(self) -> None:
        while self._is_kept is not None and self._spans:
            try:
                span = self._spans.pop(0)
            except IndexError:  # another thread was faster
                return

            if self._is_kept:
                span.mark(SAMPLED)

            span.hand_over()  # not sampled, for whoever heard that it began
