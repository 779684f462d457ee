"""Which metrics go to CloudWatch, and at what resolution."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready.config._sections.cloudwatch import CloudwatchSettings

__all__ = ["HTTP_DURATION", "STANDARD", "Selection"]

HTTP_DURATION = "http.server.request.duration"
"""The family that the standard set is made from."""
STANDARD = (
    *("RequestCount", "ResponseTime", "ErrorCount", "FaultCount"),
    "RequestErrorCount",
)
"""What is sent of HTTP by default, in CloudWatch's own spelling."""
_MINUTE, _SECOND = 60, 1


class Selection:
    """
    Tells which metrics are sent, by their declared names.

    Args:
        settings: The section CLOUDWATCH.
    """

    def __init__(self, settings: CloudwatchSettings) -> None:
        patterns = settings.metrics
        self._out = tuple(p[1:] for p in patterns if p.startswith("!"))
        self._into = tuple(p for p in patterns if not p.startswith("!"))
        self._fast = settings.high_resolution
        self.standard = tuple(
            name for name in STANDARD if not _matches(name, self._out)
        )
        """Those of the standard set that are sent."""

    @property
    def has_high_resolution(self) -> bool:
        """Whether any metric may be stored by the second."""
        return bool(self._fast)

    @property
    def takes_others(self) -> bool:
        """Whether more may be sent than HTTP's standard set and what is declared."""
        return bool(self._into)

    def sends(self, name: str, origin: str) -> bool:
        """Tell whether a family is sent under its own name."""
        wanted = origin == "application" or _matches(name, self._into)
        return wanted and not _matches(name, self._out)

    def reads(self, name: str, origin: str) -> bool:
        """Tell whether a family is read for anything that is sent."""
        standard = name == HTTP_DURATION and bool(self.standard)
        return standard or self.sends(name, origin)

    def resolution(self, name: str) -> int:
        """
        Return a family's resolution in seconds, 60 or 1.

        The standard set is made in one go, so that its names and its family's share
        theirs.
        """
        names = (name, *STANDARD) if name == HTTP_DURATION else (name,)
        fast = any(_matches(each, self._fast) for each in names)
        return _SECOND if fast else _MINUTE


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
