"""A traceback for people: the application's own frames stand out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.logging._lines._errors import ErrorTexts

__all__ = ["painted"]

_DIM = "\x1b[2m"
_BRIGHT = "\x1b[1m"
_RED = "\x1b[1;31m"
_MAX_ERRORS = 64
_FRAME = re.compile(
    r'(?P<lead>[ |]*)File "(?P<file>.+?)", line (?P<line>\d+)(?P<rest>, in .*)?$'
)
_MARGIN = re.compile(r"[ |+-]*")
_MARK = re.compile(r"[ |]*\+[+-]*-( (\d+|\.\.\.) -+)?|[ |]*\[\d+ frames left out\]")
_BETWEEN = (
    "[Previous line repeated ",
    "Traceback (most recent call last):",
    "Exception Group Traceback (most recent call last):",
    "The above exception was the direct cause",
    "During handling of the above exception",
)


def painted(
    stack: str,
    error: BaseException,
    errors: ErrorTexts,
    paint: Callable[[str, str], str],
) -> str:
    """
    Return a traceback's text in colours, chained and grouped ones included.

    Args:
        stack: The text.
        error: The exception.
        errors: Knows which frames are the application's own.
        paint: Puts a text into a colour.
    """
    try:
        own = _own_files(error, errors)
    except Exception:  # noqa: BLE001 - the exceptions' own code
        own = set()

    lines = []
    lead: str | None = None  # of the frame whose code follows
    is_own = named = False
    for line in stack.split("\n")[:-1]:
        frame = _FRAME.match(line)
        if frame is not None:
            lead, named = frame["lead"], False
            is_own = frame["file"] in own
            lines.append(_frame(frame, paint) if is_own else paint(line, _DIM))
        elif lead is not None and line.startswith(f"{lead}  "):  # its code
            lines.append(line if is_own else paint(line, _DIM))
        else:
            margin = _MARGIN.match(line)
            text = line[margin.end() :] if margin else line
            if not text or text.startswith(_BETWEEN) or _MARK.fullmatch(line):
                named = False
                lines.append(paint(line, _DIM))
            else:
                lines.append(line if named else _named(line, text, paint))
                named = True
                lead = None

    return "".join(f"{line}\n" for line in lines)


def _frame(frame: re.Match[str], paint: Callable[[str, str], str]) -> str:
    place = f'{frame["file"]}", line {frame["line"]}'
    return f'{frame["lead"]}File "{paint(place, _BRIGHT)}{frame["rest"] or ""}'


def _named(line: str, text: str, paint: Callable[[str, str], str]) -> str:
    """Paint the line that names an exception and says what happened."""
    kind, colon, said = text.partition(":")
    margin = line[: len(line) - len(text)]
    return f"{margin}{paint(kind + colon, _RED)}{paint(said, _BRIGHT) if said else ''}"


def _own_files(error: BaseException, errors: ErrorTexts) -> set[str]:
    """Return the files of the application's own frames in all of the exceptions."""
    found: set[str] = set()
    seen: set[int] = set()
    waiting = [error]
    while waiting and len(seen) < _MAX_ERRORS:
        one = waiting.pop()
        if id(one) in seen:
            continue

        seen.add(id(one))
        found |= {frame.place[0] for frame in errors.frames(one) if frame.own}
        waiting += [it for it in (one.__cause__, one.__context__) if it is not None]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions

    return found
