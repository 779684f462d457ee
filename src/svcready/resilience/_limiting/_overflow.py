"""What is kept of buckets that a store has no room for: a sketch of bounded size."""

from __future__ import annotations

import os
import struct
from array import array
from math import inf

__all__ = ["Overflow"]

_ROWS = 4
_CELLS = 1 << 16
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
    20 000 one of two hundred; it takes 2 MB, from the first bucket on. Which cells a
    bucket has depends on a secret of the process: nobody can choose whose they share.
    """

    __slots__ = ("_cells_s", "_secret", "until_s")

    def __init__(self) -> None:
        self._secret = os.urandom(16)
        self._cells_s = array("d", [-inf]) * (_ROWS * _CELLS)
        self.until_s = -inf
        """The latest of all: from then on nothing is in it."""

    def tat_s(self, key: str) -> float:
        """Return a bucket's theoretical arrival time; -inf if none can be in it."""
        cells_s = self._cells_s
        return min(cells_s[at] for at in self._places(key))

    def keep(self, key: str, tat_s: float) -> None:
        """Keep a bucket's theoretical arrival time."""
        cells_s = self._cells_s
        self.until_s = max(self.until_s, tat_s)
        for at in self._places(key):
            cells_s[at] = max(cells_s[at], tat_s)

    def _places(self, key: str) -> list[int]:
        from hashlib import blake2b  # loads OpenSSL; where something is limited only

        text = key.encode("utf-8", "surrogatepass")
        digest = blake2b(text, digest_size=_INDEXES.size, key=self._secret).digest()
        return [row * _CELLS + cell for row, cell in enumerate(_INDEXES.unpack(digest))]
