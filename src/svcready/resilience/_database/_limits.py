"""PostgreSQL's `statement_timeout`, kept to what the deadline leaves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["FIRST", "LATER", "Limit"]

FIRST = (
    "SELECT own, set_config('statement_timeout', (CASE WHEN own = 0 OR own > ms"
    " THEN ms ELSE own END)::text, true) FROM (SELECT (extract(epoch FROM"
    " current_setting('statement_timeout')::interval) * 1000)::bigint AS own,"
    " {}::bigint AS ms) AS now"
)
"""Sets it for the transaction if it isn't shorter, and gives what it was, in ms."""
LATER = "SELECT 0, set_config('statement_timeout', ({}::bigint)::text, true)"
"""Sets it for the transaction."""

_LONGEST_MS = 2_147_483_647
_NEAR = 0.8


class Limit:
    """
    One connection's limit, as far as the transaction that runs has one of ours.

    It is set before the first statement that has a deadline, and again only once
    what is left differs by more than a fifth.
    """

    __slots__ = ("_own_ms", "_set_ms")

    def __init__(self) -> None:
        self._own_ms: int | None = None
        self._set_ms: int | None = None

    def begin(self) -> None:
        """Hear that a transaction begins, in which nothing is set."""
        self._own_ms = self._set_ms = None

    def roll_back_part(self) -> None:
        """Hear of a rollback to a savepoint, which takes settings back as well."""
        self._set_ms = None

    def steps(self, left_s: float) -> Generator[tuple[str, int], int, None]:
        """
        Give the statement to run before the next one of the application's, if any.

        Args:
            left_s: Seconds until the deadline; inf: there is none.

        Yields:
            The statement, with a brace pair for its parameter, and that. What is sent
            back is the first column of its row.
        """
        own_ms = self._own_ms
        if own_ms is None:
            if left_s < math.inf:
                wanted_ms = _milliseconds(left_s)
                self._own_ms = own_ms = yield FIRST, wanted_ms
                self._set_ms = min(wanted_ms, own_ms or wanted_ms)

            return

        wanted_ms, kept = own_ms, self._set_ms == own_ms
        if left_s < math.inf:
            wanted_ms = min(_milliseconds(left_s), own_ms or _LONGEST_MS)
            kept = _is_near(self._set_ms, wanted_ms)

        if not kept:
            yield LATER, wanted_ms
            self._set_ms = wanted_ms


def _milliseconds(left_s: float) -> int:
    # 0 would mean that there is no limit.
    return int(min(max(left_s * 1000.0, 1.0), _LONGEST_MS))


def _is_near(set_ms: int | None, wanted_ms: int) -> bool:
    return set_ms is not None and set_ms * _NEAR <= wanted_ms <= set_ms / _NEAR
