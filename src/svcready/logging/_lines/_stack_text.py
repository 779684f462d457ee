"""The parts of a stack as Python's `traceback` prints them."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, NamedTuple

from svcready.logging._lines._causes import CAUSE, CONTEXT
from svcready.logging._lines._text import safe_text

if TYPE_CHECKING:
    from types import CodeType

__all__ = ["HEADER", "JOINTS", "Frame", "join_frames", "last_lines", "name_of"]

JOINTS = {
    CAUSE: "\nThe above exception was the direct cause of the following exception:\n\n",
    CONTEXT: (
        "\nDuring handling of the above exception, another exception occurred:\n\n"
    ),
}
"""What stands between an exception and the one before it, by their relation."""
HEADER = "Traceback (most recent call last):\n"
_SHOWN_REPEATS = 3
_SUGGESTS = (NameError, AttributeError, ImportError, SyntaxError)


class Frame(NamedTuple):
    """One frame of a traceback at one instruction."""

    text: str
    """What `traceback` prints for it."""
    place: tuple[str, int | None, str]
    """File, line, function: equal ones in a row are printed three times only."""
    own: bool
    """It is the application's own code."""
    python: bool
    """It is Python's own code."""
    mark: str
    """What the fingerprint sees: no line, no directory."""
    code: CodeType
    """Kept, so that its id means this code for as long as the frame is cached."""


def join_frames(frames: list[Frame], max_frames: int) -> str:
    """Return the text of *frames*; of more than *max_frames* the middle is cut."""
    cut = len(frames) - max_frames
    if cut > 0:
        head = max_frames // 2
        tail = frames[head + cut :]
        return f"{_collapse(frames[:head])}  [{cut} frames left out]\n{_collapse(tail)}"

    return _collapse(frames)


def name_of(kind: type[BaseException]) -> str:
    """Return an exception's type with its module, built-in ones alone."""
    module = kind.__module__
    if module in {"builtins", "__main__"}:
        return kind.__qualname__

    return f"{module if isinstance(module, str) else '<unknown>'}.{kind.__qualname__}"


def last_lines(error: BaseException) -> str:
    """Return the line or lines after the frames, which name the error."""
    if isinstance(error, _SUGGESTS):  # may end in "Did you mean: ..."
        try:
            only = traceback.TracebackException(
                type(error), error, error.__traceback__, limit=0, compact=True
            )
            return "".join(only.format_exception_only())
        except Exception:  # noqa: BLE001, S110 - a broken one is said plainly
            pass

    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - as traceback says it
        text = "<exception str() failed>"

    name = name_of(type(error))
    line = f"{name}: {text}\n" if text else f"{name}\n"
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list | tuple):
        line += "".join(f"{safe_text(note)}\n" for note in notes)

    return line


def _collapse(frames: list[Frame]) -> str:
    parts = []
    last: object = None
    count = 0
    for frame in frames:
        if frame[1] != last:
            if count > _SHOWN_REPEATS:
                parts.append(_repeated(count))

            last = frame[1]
            count = 0

        count += 1
        if count <= _SHOWN_REPEATS:
            parts.append(frame[0])

    if count > _SHOWN_REPEATS:
        parts.append(_repeated(count))

    return "".join(parts)


def _repeated(count: int) -> str:
    more = count - _SHOWN_REPEATS
    return f"  [Previous line repeated {more} more time{'s' if more > 1 else ''}]\n"
