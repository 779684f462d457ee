"""One flush on its way: requests one after another, and what became of their datums."""

from __future__ import annotations

import time
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING

from svcready.metrics.sinks._cloudwatch._put._client import (
    is_refused,
    is_uncertain,
    may_differ,
    said,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready.metrics.sinks._cloudwatch._put._client import PutClient
    from svcready.metrics.sinks._cloudwatch._put._members import Entry

__all__ = ["Sending"]

_MOST_REFUSALS = 64


class Sending:
    """
    Sends requests, and halves one that is refused until what is bad in it is alone.

    Args:
        client: Makes the calls.
        namespace: Of all of them.
        ends_s: When to give up, on the monotonic clock.
    """

    def __init__(self, client: PutClient, namespace: str, ends_s: float) -> None:
        self._client = client
        self._namespace = namespace
        self._ends_s = ends_s
        self._refusals = 0
        self.left: list[Entry] = []
        """What is to be sent another time."""
        self.refused: list[Entry] = []
        """What the service refuses for good, each on its own."""
        self.fault = ""
        """Why something is left, for people."""
        self.refusal = ""
        """What the service said of what it refuses."""
        self.requests = 0
        """How many calls were made."""
        self.uncertain = 0
        """How many of them may have been taken although it doesn't look like it."""

    def send(self, packs: Iterable[list[Entry]]) -> None:
        """Send *packs*; never raises an `Exception`."""
        waiting = deque(packs)
        while waiting:
            entries = waiting.popleft()
            if time.monotonic() >= self._ends_s or self._refusals >= _MOST_REFUSALS:
                self.left += entries
                self.fault = self.fault or "not all could be sent in time"
                continue

            try:
                self.requests += 1
                self._client.put(
                    self._namespace, [entry.member for entry in entries], self._ends_s
                )
            except Exception as error:  # noqa: BLE001 - a client's may be of any kind
                if is_refused(error):
                    waiting.extendleft(self._halve(entries, said(error)))
                    continue

                self.left += entries
                self.fault = self.fault or said(error)
                self.uncertain += is_uncertain(error)
                if not may_differ(error):
                    self.left += chain.from_iterable(waiting)
                    return
            except BaseException:
                # A signal handler's. What was sent before this request has arrived.
                self.left += chain(entries, *waiting)
                raise

    def _halve(self, entries: list[Entry], said: str) -> list[list[Entry]]:
        self._refusals += 1
        if len(entries) == 1:
            self.refused += entries
            self.refusal = said
            return []

        middle = len(entries) // 2
        return [entries[:middle], entries[middle:]]
