"""The terminal's colours, and when not to use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

__all__ = ["Style", "style_for"]

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


class Style:
    """
    Writes text in colours, or as it is.

    Args:
        enabled: Whether colours are used at all.
    """

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled

    def __call__(self, text: str, *styles: str) -> str:
        """Return *text* in the named styles: bold, dim, red, green, yellow."""
        if not self.enabled or not text or not styles:
            return text

        codes = ";".join(_CODES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"


def style_for(stream: TextIO, environ: Mapping[str, str]) -> Style:
    """
    Return the style that fits *stream*.

    Follows no-color.org: NO_COLOR with any text means none, and wins over
    FORCE_COLOR; without both a terminal has colours and a pipe has none.
    """
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return Style(enabled=False)

    return Style(enabled=bool(environ.get("FORCE_COLOR")) or stream.isatty())
