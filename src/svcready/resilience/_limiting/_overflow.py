"""What is kept of buckets that a store has no room for: a sketch of bounded size."""

from __future__ import annotations

import os
import struct
from array import array
from math import inf

__all__ = ["Overflow"]

_ROWS = 4
_CELLS = 1 << 16
_MOST_TAKEN = _CELLS * 3 // 5
_INDEXES = struct.Struct(f"<{_ROWS}H")


class Overflow:
    """
    Theoretical arrival times of any number of buckets, maybe too late, never early.

    A count-min sketch (Cormode and Muthukrishnan, 2005) with conservative update: a
    bucket has a cell in each of four rows and is as used up as the least of them says,
    since others that share a cell can only have made it later. So what is kept of a
    bucket is not forgotten for whatever many others do, which is what a list of the
    most recent ones can't hold against a caller with more addresses than it has places;
    and what is wrong is wrong towards limiting. Time empties the cells, as it fills
    the buckets.

    With 50 000 buckets in use one of twelve that are not looks as if it were, with
    20 000 one of two hundred. With some 60 000 it is full, and further ones are
    forgotten: else an attack by more would have everybody refused. It takes 2 MB, from
    the first bucket on. Which cells a bucket has depends on a secret of the process:
    nobody can choose whose they share.
    """

    __slots__ = ("_cells_s", "_counted_s", "_secret", "_taken", "until_s")

    def __init__(self) -> None:
        self._secret = os.urandom(16)
        self._cells_s = array("d", [-inf]) * (_ROWS * _CELLS)
        self._taken = 0
        """How many cells of the first row are in use, or were when last counted."""
        self._counted_s = -inf
        self.until_s = -inf
        """The latest of all: from then on nothing is in it."""

    def tat_s(self, key: str) -> float:
        """Return a bucket's theoretical arrival time; -inf if none can be in it."""
        cells_s = self._cells_s
        return min(cells_s[at] for at in self._places(key))

    def keep(self, key: str, tat_s: float, now_s: float) -> None:
        """Keep a bucket's theoretical arrival time, later than *now_s*, if it can."""
        cells_s, places = self._cells_s, self._places(key)
        if min(cells_s[at] for at in places) <= now_s and self._is_full(now_s):
            return

        self._taken += cells_s[places[0]] <= now_s
        self.until_s = max(self.until_s, tat_s)
        for at in places:
            cells_s[at] = max(cells_s[at], tat_s)

    def _is_full(self, now_s: float) -> bool:
        """Tell whether there is room; what has become free is seen once a second."""
        if self._taken >= _MOST_TAKEN and now_s >= self._counted_s + 1.0:
            self._counted_s = now_s
            self._taken = sum(at > now_s for at in self._cells_s[:_CELLS])

        return self._taken >= _MOST_TAKEN

    def _places(self, key: str) -> list[int]:
        from hashlib import blake2b  # loads OpenSSL; where something is limited only

        text = key.encode("utf-8", "surrogatepass")
        digest = blake2b(text, digest_size=_INDEXES.size, key=self._secret).digest()
        return [row * _CELLS + cell for row, cell in enumerate(_INDEXES.unpack(digest))]
