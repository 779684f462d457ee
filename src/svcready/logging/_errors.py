"""Exceptions as the schema has them: type, message, stack text, fingerprint."""

from __future__ import annotations

import os
import sys
import traceback
from hashlib import blake2s
from typing import TYPE_CHECKING, NamedTuple

from svcready.logging._text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, TracebackType

__all__ = ["ErrorTexts", "Frame", "claim", "is_claimed"]

_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"
_HEADER = "Traceback (most recent call last):\n"
_SHOWN_REPEATS = 3
_MAX_CACHED = 4096
_MAX_CHAIN = 32
_STDLIB = os.__file__.rpartition(os.sep)[0] + os.sep
_OURS = __file__.rsplit(os.sep, 2)[0] + os.sep
_LIBRARIES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_SUGGESTS = (NameError, AttributeError, ImportError, SyntaxError)
_CLAIM = "_svcready_claimed"


class Frame(NamedTuple):
    """One frame of a traceback at one instruction."""

    text: str
    """What `traceback` prints for it."""
    place: tuple[str, int | None, str]
    """File, line, function: equal ones in a row are printed three times only."""
    own: bool
    """It is the application's own code."""
    mark: str
    """What the fingerprint sees: no line, no directory."""
    code: CodeType
    """Kept, so that its id means this code for as long as the frame is cached."""


def claim(error: BaseException) -> bool:
    """
    Mark *error* as said, so that servers' and frameworks' lines about it are muted.

    Returns:
        False if it was marked before.
    """
    if is_claimed(error):
        return False

    try:
        error.__dict__[_CLAIM] = True
    except Exception:  # noqa: BLE001 - then its line comes out a second time
        return True

    return True


def is_claimed(error: BaseException) -> bool:
    """Tell whether our line about *error* has been written."""
    return _CLAIM in error.__dict__


class ErrorTexts:
    """
    Renders exceptions; a frame's text is made once per instruction.

    The stack is what `traceback.format_exception` gives, secrets apart.

    Args:
        redact: Hides the secrets of a text.
        max_frames: Most frames of one traceback; of longer ones the middle is cut.
    """

    def __init__(self, redact: Callable[[str], str], max_frames: int) -> None:
        self._redact = redact
        self._max_frames = max_frames
        self._frames: dict[tuple[int, int], Frame] = {}

    def fields(
        self, error: BaseException, trace: TracebackType | None = None
    ) -> dict[str, str]:
        """
        Return the schema's object for *error*.

        Args:
            error: The exception.
            trace: Its traceback, if not the one it carries.
        """
        kind = _name_of(type(error))
        frames = self._walk(trace or error.__traceback__)
        return {
            "type": kind,
            "message": self._redact(safe_text(error)),
            "stack": self._stack(error, frames),
            "fingerprint": _fingerprint(kind, frames),
        }

    def frames(self, error: BaseException) -> list[Frame]:
        """Return the frames of *error*'s traceback, outermost first."""
        return self._walk(error.__traceback__)

    def last_lines(self, error: BaseException) -> str:
        """Return the line or lines after the frames, which name the error."""
        return self._redact(_last_lines(error))

    def _walk(self, trace: TracebackType | None) -> list[Frame]:
        cached = self._frames
        found = []
        while trace is not None:
            code = trace.tb_frame.f_code
            frame = cached.get((id(code), trace.tb_lasti))
            found.append(self._read(trace) if frame is None else frame)
            trace = trace.tb_next

        return found

    def _read(self, trace: TracebackType) -> Frame:
        code = trace.tb_frame.f_code
        summary = traceback.extract_tb(trace, limit=1)
        file = code.co_filename
        own = not (
            file.startswith((_STDLIB, _OURS, "<frozen"))
            or any(part in file for part in _LIBRARIES)
        )
        module = trace.tb_frame.f_globals.get("__name__", "")
        frame = Frame(
            self._redact("".join(summary.format())),
            (file, trace.tb_lineno, code.co_name),
            own,
            f"{module}:{code.co_qualname}",
            code,
        )
        if len(self._frames) >= _MAX_CACHED:
            self._frames.clear()

        self._frames[id(code), trace.tb_lasti] = frame
        return frame

    def _stack(self, error: BaseException, frames: list[Frame]) -> str:
        if (
            error.__cause__ is None
            and error.__context__ is None
            and not isinstance(error, BaseExceptionGroup)
            and not hasattr(sys, "tracebacklimit")
        ):
            return self._one(error, frames)

        return self._chain(error, frames)

    def _chain(self, error: BaseException, frames: list[Frame]) -> str:
        chain: list[BaseException] = []
        joints = [""]
        seen = set()
        current: BaseException | None = error
        while current is not None:
            if isinstance(current, BaseExceptionGroup) or len(chain) == _MAX_CHAIN:
                return self._by_traceback(error)

            chain.append(current)
            seen.add(id(current))
            current, joint = _next_in_chain(current, seen)
            joints.append(joint)

        if hasattr(sys, "tracebacklimit"):
            return self._by_traceback(error)

        parts = []
        for link, joint in zip(reversed(chain), reversed(joints[:-1]), strict=True):
            own = frames if link is error else self._walk(link.__traceback__)
            parts.append(self._one(link, own) + joint)

        return "".join(parts)

    def _by_traceback(self, error: BaseException) -> str:
        try:
            return self._redact("".join(traceback.format_exception(error)))
        except Exception:  # noqa: BLE001 - the exceptions' own code
            return self._redact(_last_lines(error))

    def _one(self, error: BaseException, frames: list[Frame]) -> str:
        last = self._redact(_last_lines(error))
        if not frames:
            return last

        return f"{_HEADER}{self._join(frames)}{last}"

    def _join(self, frames: list[Frame]) -> str:
        cut = len(frames) - self._max_frames
        if cut > 0:
            head = self._max_frames // 2
            tail = frames[head + cut :]
            return (
                f"{_collapse(frames[:head])}  [{cut} frames left out]\n"
                f"{_collapse(tail)}"
            )

        return _collapse(frames)


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


def _next_in_chain(
    error: BaseException, seen: set[int]
) -> tuple[BaseException | None, str]:
    cause = error.__cause__
    if cause is not None and id(cause) not in seen:
        return cause, _CAUSE

    context = error.__context__
    if (
        context is not None
        and not error.__suppress_context__
        and id(context) not in seen
    ):
        return context, _CONTEXT

    return None, ""


def _name_of(kind: type[BaseException]) -> str:
    module = kind.__module__
    if module in {"builtins", "__main__"}:
        return kind.__qualname__

    return f"{module if isinstance(module, str) else '<unknown>'}.{kind.__qualname__}"


def _last_lines(error: BaseException) -> str:
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

    name = _name_of(type(error))
    line = f"{name}: {text}\n" if text else f"{name}\n"
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list | tuple):
        line += "".join(f"{safe_text(note)}\n" for note in notes)

    return line


def _fingerprint(kind: str, frames: list[Frame]) -> str:
    marks = [frame.mark for frame in frames if frame.own]
    if not marks:
        marks = [frame.mark for frame in frames]

    seen = "\n".join((kind, *dict.fromkeys(marks)))
    return blake2s(seen.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
