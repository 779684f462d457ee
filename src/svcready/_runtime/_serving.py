"""What an adapter tells of serving: when it begins, is ready, and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Iterable

__all__ = ["Serving"]


class Serving(Protocol):
    """Who is told how serving goes."""

    draining: bool
    """True once the process was told to end."""

    def starting(self) -> None:
        """
        Take note that the application's lifespan begins, maybe again after an end.

        Where there is one, it also says when the server stops.
        """
        ...

    def begun(self, loop: AbstractEventLoop | None) -> None:
        """Take note that a server runs, and on which event loop."""
        ...

    def keep_out(self, paths: Iterable[str]) -> None:
        """Take note that the application defines *paths* itself, and keeps them."""
        ...

    def ready(self) -> None:
        """
        Take note that requests can come.

        Raises:
            ConfigurationError: Strict mode is on, and something is wrong.
        """
        ...

    def ended(self) -> None:
        """Take note that a request ended while the service drains."""
        ...

    def stopping(self) -> None:
        """Flush what is pending, for nothing may come after this."""
        ...
