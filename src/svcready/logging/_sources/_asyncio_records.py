"""The records of asyncio's own complaints, their details taken apart into fields."""

from __future__ import annotations

import logging
import re

__all__ = ["AsyncioDetails"]

_DETAIL = re.compile(r"([A-Za-z_]\w{0,63}): (.*)", re.DOTALL)
_RESERVED = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None)))


class AsyncioDetails(logging.Filter):
    """
    Splits what an event loop's default exception handler logs, on asyncio and uvloop.

    It writes message and details as one text of many lines: `Task exception was never
    retrieved`, then `future: <Task ...>`, and in debug mode the stack where the task
    was made. The first line stays the message; each detail becomes an attribute of the
    record, as `extra=` makes them, and with that a field of our line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Take *record* apart if it is such a one."""
        text = record.msg
        if isinstance(text, str) and not record.args and "\n" in text:
            message, *rest = text.split("\n")
            details = _read(rest)
            if details:
                record.msg = message
                known = record.__dict__
                for name, value in details.items():
                    known[f"asyncio_{name}" if name in _RESERVED else name] = value

        return True


def _read(lines: list[str]) -> dict[str, str]:
    """Return the details, a line that begins none belonging to the one before it."""
    details: dict[str, str] = {}
    name = ""
    for line in lines:
        found = _DETAIL.fullmatch(line)
        if found is not None:
            name = found[1]
            details[name] = found[2]
        elif name:
            details[name] += f"\n{line}"
        else:
            return {}

    return details
