"""Regular expressions that are compiled when they are first needed."""

from __future__ import annotations

import re
from functools import cached_property

__all__ = ["Later"]


class Later:
    """
    A regular expression that few texts need: no start should wait for its compilation.

    Args:
        text: The expression.
        flags: As `re.compile` takes them.
    """

    def __init__(self, text: str, flags: int = 0) -> None:
        self._text = text
        self._flags = flags

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The expression, compiled; two threads may both do it, to the same end."""
        return re.compile(self._text, self._flags)
