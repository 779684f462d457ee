"""Cutting a line that is too long down to its limit, with a marker for each cut."""

from __future__ import annotations

from typing import TypeAlias

import orjson

__all__ = ["shorten"]

_Json: TypeAlias = "str | int | float | bool | list[_Json] | dict[str, _Json] | None"

_MARKER_ROOM = 48
_LEAST_TEXT = 16


def shorten(line: dict[str, _Json], max_bytes: int) -> bytes:
    """
    Return *line* as JSON of at most *max_bytes* with its newline.

    The envelope (who, when, where, ids) stays whole. The message gets up to a quarter
    of the room, the stack up to half, the rest belongs to the context, whose first
    fields win: a text is cut in its middle, a container or field that doesn't fit is
    left out, and `context._cut` says how many were.
    """
    message = str(line["message"])
    context = line.pop("context", None)
    error = line.get("error")
    stack = ""
    if isinstance(error, dict):
        stack = str(error.get("stack", ""))
        error["stack"] = ""
        error["message"] = _cut_text(str(error.get("message", "")), max_bytes // 8)

    line["message"] = ""
    room = max_bytes - 1 - len(orjson.dumps(line)) - len(',"context":{}')
    line["message"] = _cut_text(message, room // 4)
    room -= _size(line["message"])
    if isinstance(error, dict):
        share = room if context is None else max(room // 2, room - _size(context))
        error["stack"] = _cut_text(stack, share)
        room -= _size(error["stack"])

    if isinstance(context, dict):
        line["context"] = _cut_fields(context, room)

    return orjson.dumps(line) + b"\n"


def _cut_text(text: str, room: int) -> str:
    """Return *text*, its middle cut out if its JSON is longer than *room* bytes."""
    if _size(text) <= room + 2:
        return text

    keep = max(0, room - _MARKER_ROOM)
    while True:
        head, tail = keep // 3, keep - keep // 3
        gone = len(text) - keep
        cut = f"{text[:head]}… [{gone} characters cut] …{text[len(text) - tail :]}"
        if keep <= _LEAST_TEXT or _size(cut) <= room + 2:
            return cut if keep > _LEAST_TEXT else f"[{len(text)} characters cut]"

        keep = keep * 3 // 4


def _cut_fields(fields: dict[str, _Json], room: int) -> _Json:
    kept: dict[str, _Json] = {}
    room -= _MARKER_ROOM
    gone = 0
    for index, (key, value) in enumerate(fields.items()):
        # What is left is shared, so that one long value does not push out the rest.
        share = max(room // min(4, len(fields) - index), 0)
        short = _cut_value(value, share - len(key))
        size = _size(key) + _size(short) + 2
        if size > room:
            gone += 1
            continue

        kept[key] = short
        room -= size

    return {**kept, "_cut": f"{gone} fields left out"} if gone else kept


def _cut_value(value: _Json, room: int) -> _Json:
    if isinstance(value, str):
        return _cut_text(value, room)

    size = _size(value)
    return value if size <= room else f"[{size} bytes cut]"


def _size(value: _Json) -> int:
    return len(orjson.dumps(value))
