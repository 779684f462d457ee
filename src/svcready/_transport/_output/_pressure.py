"""Which channels of an outlet lost lines, and for how long it was blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._transport._output._drops import Recovered

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._transport._output._channel import Channel

__all__ = ["Pressure"]

_TELL_EVERY_S = 1.0


class Pressure:
    """
    The channels of one outlet that lost lines and have not told of it.

    Everything is called under the outlet's lock.

    Args:
        monotonic: Seconds.
    """

    __slots__ = (
        "_blocked_at_s",
        "_blocked_s",
        "_monotonic",
        "_pressed",
        "_told_s",
        "refused",
    )

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._pressed: dict[Channel, float] = {}
        self._blocked_at_s: float | None = None
        self._blocked_s = 0.0
        self._told_s = float("-inf")
        self.refused = False
        """The last write failed: a summary would fail as well."""

    def __bool__(self) -> bool:
        return bool(self._pressed) and not self.refused

    @property
    def is_blocked(self) -> bool:
        """The descriptor took nothing when it was last tried."""
        return self._blocked_at_s is not None

    def press(self, channel: Channel) -> None:
        """Note that lines of *channel* were dropped."""
        self._pressed[channel] = self._monotonic()

    def forget(self, channel: Channel) -> None:
        """Tell nothing of what *channel* has lost."""
        channel.drops.take_untold()
        self._pressed.pop(channel, None)

    def blocked(self) -> None:
        """Note that the descriptor takes nothing."""
        if self._blocked_at_s is None:
            self._blocked_at_s = self._monotonic()

    def landed(self) -> None:
        """Note that something was written."""
        self.refused = False
        if self._blocked_at_s is not None:
            self._blocked_s += self._monotonic() - self._blocked_at_s
            self._blocked_at_s = None

    def due(self, *, empty: bool, hurry: bool) -> list[tuple[Channel, Recovered]]:
        """
        Return the summaries that can be written now; each is returned once.

        Args:
            empty: Nothing waits any more.
            hurry: The process may end: don't hold them back to one a second.
        """
        now_s = self._monotonic()
        if self._blocked_at_s is not None or (
            now_s - self._told_s < _TELL_EVERY_S and not hurry
        ):
            return []

        found = []
        for channel, dropped_s in tuple(self._pressed.items()):
            calm = now_s - dropped_s >= _TELL_EVERY_S and channel.is_relaxed()
            if empty or calm:
                del self._pressed[channel]
                # Of what nobody reads any more nobody needs to be told.
                lost = {
                    key: lines
                    for key, lines in channel.drops.take_untold().items()
                    if key[0] != "closed"
                }
                if lost:
                    found.append((channel, Recovered(lost, self._blocked_s)))

        if found:
            self._told_s = now_s

        if not self._pressed:
            self._blocked_s = 0.0

        return found
