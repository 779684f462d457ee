"""What a destination of lines is to the sink that feeds it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

__all__ = ["Destination", "Entry", "Outcome", "Quota"]


class Entry(NamedTuple):
    """One line that waits."""

    level: int
    """The number of its level, as stdlib counts them."""
    time_ms: int
    """When it was taken, in milliseconds since the epoch."""
    line: bytes
    """The line with its newline."""


class Outcome(NamedTuple):
    """What became of a batch."""

    left: list[Entry] = []  # noqa: RUF012 - nobody appends to it
    """To be tried again later, in order."""
    lost: tuple[tuple[str, int], ...] = ()
    """How many lines the destination refused for good, by reason."""
    fault: str = ""
    """Why lines are left, for people; empty if none is."""
    notice: str = ""
    """What is amiss without holding lines back; said once."""


class Quota(NamedTuple):
    """The bounds of what waits."""

    max_bytes: int = 8 * 1024**2
    max_lines: int = 10_000


class Destination(Protocol):
    """Takes batches to one place; used by one thread at a time."""

    name: str
    """Where that is, for people."""
    batch_bytes: int
    """Most bytes of lines in one batch; a single line may be longer."""
    batch_lines: int
    """Most lines in one batch."""
    linger_s: float
    """How long a line waits for others to share its batch, in seconds."""

    def deliver(self, batch: list[Entry], deadline_s: float, /) -> Outcome:
        """
        Take *batch* to its place.

        What the place or the way to it may do wrong ends in the outcome; what is
        raised is a fault of ours and loses the batch.

        Args:
            batch: At least one line, in the order in which they were taken.
            deadline_s: When to give up, on the monotonic clock; infinite on a thread
                that nobody waits for.
        """
        ...

    def forget(self) -> None:
        """Drop what belongs to the process that we were forked from."""
        ...

    def close(self) -> None:
        """Release what is open."""
        ...
