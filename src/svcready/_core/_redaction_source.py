"""Names that stand for secrets in a stack's source lines, kept apart from values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from svcready._core._redaction_later import Later

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import CodeType, TracebackType

__all__ = ["hide_signs", "names_behind", "names_in", "show_signs"]

_FRAME = re.compile(r'([ |]*)File ".+", line \d+')
_NAME = r"[A-Za-z_]\w{0,63}"
_SAID = Later(
    r"(?<=[\w\]\"'])(\s{0,4})([=:])(?=\s{0,4}"
    rf"({_NAME}(?:\.{_NAME}){{0,7}})\s{{0,4}}(?:[,)\]}};#]|$))",
    re.ASCII,
)
_SIGNS = {"=": "\ue000", ":": "\ue001"}  # of private use: no source has them
_SHOWN = {ord(hidden): sign for sign, hidden in _SIGNS.items()}
_MOST_ERRORS = 64
_MOST_FRAMES = 1000


def names_in(code: CodeType) -> Iterator[str]:
    """Yield the names that *code* uses: of variables, attributes, functions."""
    yield from code.co_names
    yield from code.co_varnames
    yield from code.co_freevars
    yield from code.co_cellvars


def names_behind(error: BaseException) -> set[str]:
    """Return the names that the code uses which *error*, and all behind it, passed."""
    found: set[str] = set()
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting and len(seen) < _MOST_ERRORS:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue

        seen.add(id(one))
        found.update(_names_along(one.__traceback__))
        waiting += (one.__cause__, one.__context__)
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions

    return found


def hide_signs(text: str, names: Collection[str]) -> str:
    """
    Return the text of frames without the signs between names and names of theirs.

    `auth=auth` in a line of source pairs a name with what the code calls a value, and
    not with a value. What else stands behind a sign stays beside it: literals, words
    that the code at hand doesn't use as names, and whatever is in no line of source.

    Args:
        text: As `traceback` prints frames; errors' own messages may be between them.
        names: Those that the code of these frames uses.

    Returns:
        The same object if it has none of these, else what `show_signs` takes.
    """
    if any(hidden in text for hidden in _SIGNS.values()):
        return text

    lines, lead, changed = text.split("\n"), None, False
    for number, line in enumerate(lines):
        frame = _FRAME.match(line)
        if frame is not None:
            lead = f"{frame[1]}  "
        elif lead is None or not line.startswith(lead):
            lead = None
        else:
            lines[number] = _SAID.pattern.sub(lambda it: _unpaired(it, names), line)
            changed |= lines[number] != line

    return "\n".join(lines) if changed else text


def show_signs(text: str) -> str:
    """Return *text* with the signs that `hide_signs` took away."""
    return text.translate(_SHOWN)


def _unpaired(found: re.Match[str], names: Collection[str]) -> str:
    space, sign, said = found.groups()
    known = all(word in names for word in said.split("."))
    return f"{space}{_SIGNS[sign]}" if known else found[0]


def _names_along(trace: TracebackType | None) -> Iterator[str]:
    count = 0
    while trace is not None and count < _MOST_FRAMES:
        yield from names_in(trace.tb_frame.f_code)
        trace, count = trace.tb_next, count + 1
