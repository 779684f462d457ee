"""PostgreSQL's `statement_timeout`, kept to what the deadline leaves."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Limit", "Step", "is_control", "is_data"]

_FIRST = (
    "SELECT own, set_config('statement_timeout', (CASE WHEN own = 0 OR own > ms"
    " THEN ms ELSE own END)::text, true) FROM (SELECT (extract(epoch FROM"
    " current_setting('statement_timeout')::interval) * 1000)::bigint AS own,"
    " {}::bigint AS ms) AS now"
)
"""Sets it for the transaction if it isn't shorter, and gives what it was, in ms."""
_LATER = "SELECT 0, set_config('statement_timeout', ({}::bigint)::text, true)"
"""Sets it for the transaction."""
_ASK = "SHOW statement_timeout"
_SET = "SET LOCAL statement_timeout = {}"
"""Both without a snapshot, so that SET TRANSACTION and LOCK may still follow."""

_DATA = re.compile(
    r"\s*(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|TABLE)\b", re.IGNORECASE
)
_CONTROL = re.compile(
    r"\s*(?:SET|RESET|SHOW|BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|"
    r"PREPARE|DEALLOCATE|DISCARD|CLOSE)\b",
    re.IGNORECASE,
)
_TOLD = re.compile(r"(\d+)(ms|s|min|h|d|)")
_UNITS_MS = {"": 1, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}

_LONGEST_MS = 2_147_483_647
_NEAR = 0.8


class Step(NamedTuple):
    """A statement of ours."""

    statement: str
    """Its text, with a brace pair for the parameter if there is one."""
    parameter: int | None
    """That; None: there is none."""


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

    def steps(
        self, left_s: float, *, data: bool = True
    ) -> Generator[Step, object, None]:
        """
        Give what is to be run before the next statement of the application's.

        Args:
            left_s: Seconds until the deadline; inf: there is none.
            data: The next statement works with data, so it takes a snapshot anyway,
                and one round trip of ours does.

        Yields:
            What to run. What is sent back is the first column of its row, if any.
        """
        own_ms = self._own_ms
        if own_ms is None and left_s < math.inf:
            wanted_ms = _milliseconds(left_s)
            told = yield Step(_FIRST, wanted_ms) if data else Step(_ASK, None)
            self._own_ms = own_ms = _told_ms(told)
            self._set_ms = min(wanted_ms, own_ms or wanted_ms) if data else own_ms

        if own_ms is None:
            return

        wanted_ms, kept = own_ms, self._set_ms == own_ms
        if left_s < math.inf:
            wanted_ms = min(_milliseconds(left_s), own_ms or _LONGEST_MS)
            kept = _is_near(self._set_ms, wanted_ms)

        if not kept:
            step = Step(_LATER, wanted_ms)
            yield step if data else Step(_SET.format(wanted_ms), None)
            self._set_ms = wanted_ms


def is_data(statement: str) -> bool:
    """Tell whether a statement reads or writes rows."""
    return _DATA.match(statement) is not None


def is_control(statement: str) -> bool:
    """Tell whether a statement takes no time, and must perhaps be the first one."""
    return _CONTROL.match(statement) is not None


def _milliseconds(left_s: float) -> int:
    # 0 would mean that there is no limit.
    return int(min(max(left_s * 1000.0, 1.0), _LONGEST_MS))


def _told_ms(told: object) -> int:
    found = _TOLD.fullmatch(str(told))
    return int(found[1]) * _UNITS_MS[found[2]] if found else 0


def _is_near(set_ms: int | None, wanted_ms: int) -> bool:
    return set_ms is not None and set_ms * _NEAR <= wanted_ms <= set_ms / _NEAR
