"""The requests that are in flight in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from svcready._core import fork

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OpenRequest", "OpenRequests"]


class OpenRequest(Protocol):
    """A request in flight, or an open websocket."""

    started_s: float
    """When it began, on the monotonic clock."""
    request_id: str
    """Its id."""
    method: str
    """Its method."""
    status: int
    """The response's status; 0 until there is one."""
    sent: int
    """How much of the response's body was sent, in bytes, as far as is known."""

    @property
    def go_away(self) -> Callable[[], None] | None:
        """Tells the client of a websocket to come back elsewhere; None of a request."""
        ...


class OpenRequests:
    """
    Knows what is in flight: `add` and `discard` are a set's own, and cost as much.

    What is kept has an identity and no other equality, so that a set's copy is made
    in one step, whatever other threads do.

    Args:
        now: The monotonic clock by which requests begin, in seconds.
    """

    __slots__ = ("__weakref__", "_now", "_open", "add", "discard", "ended")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._open: set[OpenRequest] = set()
        self.add = self._open.add
        """Take note that a request has begun."""
        self.discard = self._open.discard
        """Take note that it has ended."""
        self.ended = False
        """Set with every end; whoever looks for ends puts it back."""
        fork.reset_in_child(self._after_fork)

    def __len__(self) -> int:
        return len(self._open)

    def all(self) -> tuple[OpenRequest, ...]:
        """Return what is in flight at this moment."""
        return tuple(self._open)

    def oldest_s(self) -> float:
        """Return for how long the oldest has been in flight, in seconds; 0 if none."""
        began = [request.started_s for request in self.all()]
        return self._now() - min(began) if began else 0.0

    def _after_fork(self) -> None:
        self._open.clear()
