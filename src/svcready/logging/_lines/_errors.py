"""Exceptions as the schema has them: type, message, stack, fingerprint, causes."""

from __future__ import annotations

import sys
import traceback
from itertools import islice
from typing import TYPE_CHECKING, NotRequired, TypedDict

from svcready._core.redaction import marker, names_behind, names_in
from svcready.logging._lines._causes import CONTEXT, behind, next_in_chain
from svcready.logging._lines._fingerprint import (
    digest,
    is_library,
    is_python,
    mark_of,
    type_mark,
)
from svcready.logging._lines._stack_text import (
    HEADER,
    JOINTS,
    Frame,
    join_frames,
    last_lines,
    name_of,
)
from svcready.logging._lines._text import kind_name, safe_text

if TYPE_CHECKING:
    from types import TracebackType

    from svcready.logging._lines._values import Redaction

__all__ = ["Cause", "ErrorFields", "ErrorTexts", "Frame"]

_MAX_CACHED = 4096
_MAX_CHAIN = 32
_MAX_CAUSES = 16
_MAX_COUNTED = 1000
_MAX_CAUSE_TEXT = 160
_MAX_MARKED = 64
_MAX_WAYS = 256
_MAX_TEXT = 256
_HIDDEN = marker("mask-all")


class Cause(TypedDict):
    """One exception behind another."""

    type: str
    message: str
    fingerprint: str
    relation: str
    depth: int


class ErrorFields(TypedDict):
    """The schema's object for an exception."""

    type: str
    message: str
    stack: str
    fingerprint: str
    causes: NotRequired[list[Cause]]
    causes_cut: NotRequired[int]


class _Way:
    """A whole way through the code that errors took: it recurs, and so is kept."""

    __slots__ = ("frames", "marks", "prints", "stack")

    def __init__(self, frames: list[Frame], max_frames: int) -> None:
        self.frames = frames
        """Kept, so that their ids mean these for as long as the way is cached."""
        self.stack = f"{HEADER}{join_frames(frames, max_frames)}" if frames else ""
        self.marks = _marks(frames)
        self.prints: dict[type[BaseException], str] = {}
        """Fingerprints of errors that nothing is behind, by their type."""


class ErrorTexts:
    """
    Renders exceptions; a frame's text is made once per instruction.

    The stack is what `traceback.format_exception` gives, secrets apart.

    Args:
        redaction: Hides the secrets of texts.
        max_frames: Most frames of one traceback; of longer ones the middle is cut.
        hidden: Show no exception's message at all, because not every secret is known.
    """

    def __init__(
        self, redaction: Redaction, max_frames: int, *, hidden: bool = False
    ) -> None:
        self._redact = redaction.text
        self._redact_stack = redaction.stack
        self._hidden = hidden
        self._max_frames = max_frames
        self._frames: dict[tuple[int, int], Frame] = {}
        self._ways: dict[tuple[int, ...], _Way] = {}
        self._innocent: set[str] = set()

    def fields(
        self, error: BaseException, trace: TracebackType | None = None
    ) -> ErrorFields:
        """
        Return the schema's object for *error*.

        Args:
            error: The exception.
            trace: Its traceback, if not the one it carries.
        """
        try:
            return self._read_fields(error, trace)
        except Exception:  # noqa: BLE001 - the exception's own code
            return self._least_fields(error)

    def _least_fields(self, error: BaseException) -> ErrorFields:
        """Return what is known of *error* where its attributes can't be read."""
        name = kind_name(error)
        message = self._redact(safe_text(error))
        return {
            "type": name,
            "message": message,
            "stack": f"{name}: {message}\n",
            "fingerprint": digest(name, [], []),
        }

    def _read_fields(
        self, error: BaseException, trace: TracebackType | None
    ) -> ErrorFields:
        frames = self._walk(trace or error.__traceback__)
        prints: dict[int, str] = {}
        fields: ErrorFields = {
            "type": name_of(type(error)),
            "message": self._message(error),
            "stack": self._stack(error, frames),
            "fingerprint": self._fingerprint(error, prints, frames),
        }
        if (
            error.__cause__ is not None
            or error.__context__ is not None
            or isinstance(error, BaseExceptionGroup)
        ):
            self._add_causes(fields, error, prints)

        return fields

    def frames(self, error: BaseException) -> list[Frame]:
        """Return the frames of *error*'s traceback, outermost first."""
        return self._walk(error.__traceback__)

    def last_lines(self, error: BaseException) -> str:
        """Return the line or lines after the frames, which name the error."""
        if self._hidden:
            return f"{name_of(type(error))}: {_HIDDEN}\n"

        return self._shown(last_lines(error))

    def _message(self, error: BaseException) -> str:
        return _HIDDEN if self._hidden else self._shown(safe_text(error))

    def _shown(self, text: str) -> str:
        if text in self._innocent:  # what recurs is searched once
            return text

        shown = self._redact(text)
        if shown is text and len(text) <= _MAX_TEXT:
            if len(self._innocent) >= _MAX_CACHED:
                self._innocent.clear()

            self._innocent.add(text)

        return shown

    def _way(self, frames: list[Frame]) -> _Way:
        key = tuple(map(id, frames))
        way = self._ways.get(key)
        if way is None:
            if len(self._ways) >= _MAX_WAYS:
                self._ways.clear()

            self._ways[key] = way = _Way(frames, self._max_frames)

        return way

    def _add_causes(
        self, fields: ErrorFields, error: BaseException, prints: dict[int, str]
    ) -> None:
        found = list(islice(behind(error), _MAX_COUNTED))
        if found:
            fields["causes"] = [
                {
                    "type": name_of(type(cause)),
                    "message": _short(self._message(cause)),
                    "fingerprint": self._fingerprint(cause, prints),
                    "relation": relation,
                    "depth": depth,
                }
                for cause, relation, depth in found[:_MAX_CAUSES]
            ]

        if len(found) > _MAX_CAUSES:
            fields["causes_cut"] = len(found) - _MAX_CAUSES

    def _fingerprint(
        self,
        error: BaseException,
        prints: dict[int, str],
        frames: list[Frame] | None = None,
        depth: int = _MAX_CHAIN,
    ) -> str:
        """
        Return the fingerprint of *error*.

        What it was raised `from` and the members of its group count, since whoever
        wraps all failures in one type would have them all be one; what merely was being
        handled does not, since that is often an accident.
        """
        known = prints.get(id(error))
        if known is not None or not depth:
            return known or ""

        way = self._way(self._walk(error.__traceback__) if frames is None else frames)
        kind = type(error)
        if error.__cause__ is None and not issubclass(kind, BaseExceptionGroup):
            if kind not in way.prints:
                way.prints[kind] = digest(type_mark(kind), way.marks, ())

            return prints.setdefault(id(error), way.prints[kind])

        prints[id(error)] = ""  # whoever comes back here goes in a circle
        inner = [] if error.__cause__ is None else [error.__cause__]
        beneath = [self._fingerprint(it, prints, depth=depth - 1) for it in inner]
        if isinstance(error, BaseExceptionGroup):
            members = error.exceptions[:_MAX_MARKED]
            marks = {self._fingerprint(it, prints, depth=depth - 1) for it in members}
            beneath += sorted(marks)

        found = digest(type_mark(kind), way.marks, beneath)
        prints[id(error)] = found
        return found

    def _walk(self, trace: TracebackType | None) -> list[Frame]:
        found = []
        while trace is not None:
            code = trace.tb_frame.f_code
            frame = self._frames.get((id(code), trace.tb_lasti))
            found.append(self._read(trace) if frame is None else frame)
            trace = trace.tb_next

        return found

    def _read(self, trace: TracebackType) -> Frame:
        code = trace.tb_frame.f_code
        text = "".join(traceback.extract_tb(trace, limit=1).format())
        file = code.co_filename
        names = trace.tb_frame.f_globals
        python = is_python(file)
        frame = Frame(
            self._redact_stack(text, {*names_in(code)}),
            (file, trace.tb_lineno, code.co_name),
            not (python or is_library(file, str(names.get("__name__")))),
            python,
            mark_of(code, names),
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
            current, relation = next_in_chain(current)
            if current is not None and id(current) in seen:
                current, relation = _around(chain[-1], seen)

            joints.append(JOINTS.get(relation, ""))

        if hasattr(sys, "tracebacklimit"):
            return self._by_traceback(error)

        parts = []
        for link, joint in zip(reversed(chain), reversed(joints[:-1]), strict=True):
            own = frames if link is error else self._walk(link.__traceback__)
            parts.append(self._one(link, own) + joint)

        return "".join(parts)

    def _by_traceback(self, error: BaseException) -> str:
        if self._hidden:  # whose messages stand between the frames
            return self.last_lines(error)

        try:
            text = "".join(traceback.format_exception(error))
            return self._redact_stack(text, names_behind(error))
        except Exception:  # noqa: BLE001 - the exceptions' own code
            return self._redact(last_lines(error))

    def _one(self, error: BaseException, frames: list[Frame]) -> str:
        return f"{self._way(frames).stack}{self.last_lines(error)}"


def _around(error: BaseException, seen: set[int]) -> tuple[BaseException | None, str]:
    """Return the context, as `traceback` does where the cause was shown already."""
    context = error.__context__
    if error.__suppress_context__ or context is None or id(context) in seen:
        return None, ""

    return context, CONTEXT


def _marks(frames: list[Frame]) -> list[str]:
    """Return the marks of the application's frames, else of others'."""
    for chosen in (
        [frame.mark for frame in frames if frame.own],
        [frame.mark for frame in frames if not frame.python],
    ):
        if chosen:
            return chosen

    return [frame.mark for frame in frames]


def _short(text: str) -> str:
    return text if len(text) <= _MAX_CAUSE_TEXT else f"{text[: _MAX_CAUSE_TEXT - 1]}…"
