"""Text with styles, and how it reaches a terminal: by rich if it is there, or plain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TextIO

from svcready._core.optional import installed
from svcready._core.styled import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.text import Text

    from svcready._core.styled import Line

__all__ = ["Painter", "painter_for"]

_STYLES = {
    "title": "bold",
    "strong": "bold",
    "faint": "dim",
    "good": "green",
    "bad": "bold red",
    "wait": "magenta",
    "bar": "cyan",
}
"""The styles. Yellow is unreadable on white, blue on black: neither is here."""


class Painter(Protocol):
    """What shows lines to a person."""

    def show(self, lines: Iterable[Line]) -> None:
        """Write lines, once."""
        ...

    def update(self, lines: Iterable[Line]) -> None:
        """Put lines where those of the last update stand, or write nothing."""
        ...

    def settle(self) -> None:
        """End the updates and leave nothing of them."""
        ...


class _PlainPainter:
    """Writes plain text, and no updates."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, lines: Iterable[Line]) -> None:
        """Write lines, once."""
        self._stream.write("".join(f"{plain(line)}\n" for line in lines))
        self._stream.flush()

    def update(self, lines: Iterable[Line]) -> None:
        """Write nothing: what is not a terminal keeps every line for ever."""

    def settle(self) -> None:
        """Do nothing."""


class _RichPainter:
    """Writes through rich, which knows terminals, their colours and NO_COLOR."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._make_live = Live

    def show(self, lines: Iterable[Line]) -> None:
        """Write lines, once."""
        for line in lines:
            self._console.print(self._text([line]))

    def update(self, lines: Iterable[Line]) -> None:
        """Put lines where those of the last update stand."""
        if not self._console.is_terminal:
            return

        if self._live is None:
            self._live = self._make_live(
                console=self._console, auto_refresh=False, transient=True
            )
            self._live.start()

        self._live.update(self._text(lines), refresh=True)

    def settle(self) -> None:
        """End the updates and leave nothing of them."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    @staticmethod
    def _text(lines: Iterable[Line]) -> Text:
        from rich.text import Text

        pieces: list[tuple[str, str]] = []
        for line in lines:
            pieces += [("\n", "")] if pieces else []
            pieces += [(text, _STYLES.get(style, "")) for text, style in line]

        return Text.assemble(*pieces, no_wrap=True, overflow="crop")


def painter_for(stream: TextIO, environ: Mapping[str, str]) -> Painter:
    """Return what shows lines on *stream*: through rich where it is installed."""
    if environ.get("TERM") == "dumb" or not installed("rich"):
        return _PlainPainter(stream)

    return _RichPainter(stream)
