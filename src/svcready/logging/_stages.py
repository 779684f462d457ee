"""The two stages around the making of a line: what lets it in, what takes it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import FrameType

    from svcready.logging._lines._line import Site

__all__ = ["Gate", "Sink"]


class Gate(Protocol):
    """Decides before anything is formatted whether a line is written."""

    def __call__(
        self,
        site: Site | FrameType,
        logger: str,
        level: int,
        message: object,
        time_ns: int,
    ) -> bool:
        """
        Tell whether the line is to be written now.

        Args:
            site: Where it was logged: a frame, or logger, function and line.
            logger: The logger's name.
            level: Its number.
            message: What was said, before its arguments are put in.
            time_ns: When, in nanoseconds since the epoch.
        """
        ...


class Sink(Protocol):
    """Takes finished lines to one destination, or to several."""

    def __call__(self, line: bytes, level: int, /) -> None:
        """Take a line with its newline; never raises and never waits."""
        ...
