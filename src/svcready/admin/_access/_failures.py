"""How often each peer was refused, so that those who guess are told to wait."""

from __future__ import annotations

import math
import threading
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from svcready._core import fork

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Failures"]

_WINDOW_S = 60.0
_MOST_PEERS = 1024
_PREFIX_BITS = 64
"""What one subscriber of IPv6 has: further addresses cost nothing."""


class Failures:
    """
    Counts refusals by peer and minute.

    An address of IPv6 counts with its /64. At most 1024 peers are remembered: a
    further one takes the place of the one whose minute began first.

    Args:
        most: How many a minute are answered plainly; 0 for all.
        now: A monotonic clock, in seconds.
    """

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most = most
        self._now = now
        self._reset()
        fork.reset_in_child(self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._since: dict[str, tuple[float, int]] = {}

    def left_s(self, peer: str | None) -> int:
        """Return after how many seconds *peer* is listened to; 0 if at once."""
        began_s, count = self._since.get(_key(peer), (0.0, 0))
        if not self._most or count < self._most:
            return 0

        return max(0, math.ceil(began_s + _WINDOW_S - self._now()))

    def note(self, peer: str | None) -> int:
        """
        Take note of a refusal.

        Returns:
            After how many seconds the peer is listened to again; 0 if it need not
            wait.
        """
        if not self._most:
            return 0

        key, now_s = _key(peer), self._now()
        with self._lock:
            began_s, count = self._since.get(key, (now_s, 0))
            if now_s - began_s >= _WINDOW_S:
                del self._since[key]  # so that the order is that of beginnings
                began_s, count = now_s, 0

            if not count and len(self._since) >= _MOST_PEERS:
                del self._since[next(iter(self._since))]

            self._since[key] = began_s, count + 1

        if count < self._most:
            return 0

        return max(1, math.ceil(began_s + _WINDOW_S - now_s))


def _key(peer: str | None) -> str:
    try:
        address = ip_address(peer or "")
    except ValueError:
        return "unknown"

    if not isinstance(address, IPv6Address):
        return str(address)

    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)

    return f"{int(address) >> (128 - _PREFIX_BITS):x}/{_PREFIX_BITS}"
