"""Places: where in the application's code something was declared or done."""

from __future__ import annotations

import sys
from typing import NamedTuple

__all__ = ["Place", "calling_place"]


class Place(NamedTuple):
    """Where in the application's code a thing was declared."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def calling_place() -> Place:
    """Return the innermost caller outside svcready itself."""
    frame = sys._getframe(1)  # noqa: SLF001 - what `inspect` would do, without it
    while frame.f_back is not None:
        module = frame.f_globals.get("__name__", "")
        if module != "svcready" and not module.startswith("svcready."):
            break

        frame = frame.f_back

    return Place(frame.f_code.co_filename, frame.f_lineno)
