"""MySQL's and MariaDB's limits for one statement, written into it."""

from __future__ import annotations

import re

__all__ = ["hinted"]

_SELECT = re.compile(r"\s*SELECT\b(?!\s*/\*\+)", re.IGNORECASE)


def hinted(statement: str, left_s: float, *, mariadb: bool = False) -> str:
    """
    Return a query that ends when the time is over; nothing is left to be restored.

    Args:
        statement: Any; only a SELECT without hints of its own is changed, because
            MySQL limits no other.
        left_s: What it may take, in seconds.
        mariadb: It is for MariaDB.
    """
    found = _SELECT.match(statement)
    if found is None:
        return statement

    left_s = max(left_s, 0.001)
    if mariadb:
        return f"SET STATEMENT max_statement_time={left_s:.3f} FOR {statement}"

    hint = f" /*+ MAX_EXECUTION_TIME({int(left_s * 1000.0)}) */"
    return f"{statement[: found.end()]}{hint}{statement[found.end() :]}"
