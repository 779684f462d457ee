"""Cutting a line that is too long or too wide down to its limits, with a marker."""

from __future__ import annotations

from typing import TypeAlias

import orjson

__all__ = ["MAX_FIELDS", "SURELY_FEW_BYTES", "Json", "may_exceed", "to_limits"]

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

MAX_FIELDS = 200
"""What CloudWatch Logs Insights finds in one event; its documentation says so."""

SURELY_FEW_BYTES = 300
"""JSON of fewer bytes has no more than half as many fields, and no member too many."""

_OF_OTHERS = 1
"""Fields that another layout needs and the standard one doesn't: `ecs.version`."""
_MAX_CONTEXT = 256 * 1024
_MAX_CAUSES = 16
_SURELY_FEW = 150
_MARKER_ROOM = 48
_LEAST_TEXT = 16
_LEAST_NAME = 48
_IDS = {"timestamp", "trace_id", "span_id", "xray_trace_id", "fingerprint"}
_CAUSE = b'"relation":'
_FIELDS_OF_CAUSE = 5


def may_exceed(context: bytes, error: bytes = b"") -> bool:
    """Tell quickly whether a line with these members may have too many fields."""
    causes = error.count(_CAUSE)
    fields = context.count(b",") + causes * _FIELDS_OF_CAUSE
    return fields > _SURELY_FEW or causes > _MAX_CAUSES or len(context) > _MAX_CONTEXT


def to_limits(line: dict[str, Json], max_bytes: int) -> tuple[bytes, list[str]]:
    """
    Return *line* as JSON within all limits, with its newline, and what was cut.

    Args:
        line: A line of the standard layout; it is changed.
        max_bytes: The most bytes of the line, its newline included.

    Returns:
        The line, and a word for each kind of cut: `fields_cut`, `context_cut`,
        `line_cut`.
    """
    reasons = []
    if _cut_width(line):
        reasons.append("fields_cut")

    context = line.get("context")
    if isinstance(context, dict) and _size(context) > _MAX_CONTEXT:
        line["context"] = _cut_fields(context, _MAX_CONTEXT)
        reasons.append("context_cut")

    text = orjson.dumps(line) + b"\n"
    if len(text) > max_bytes:
        text = _shorten(line, max_bytes)
        reasons.append("line_cut")

    return text, reasons


def _cut_width(line: dict[str, Json]) -> bool:
    """Leave out fields beyond the most that a line has; the envelope's never are."""
    error = line.get("error")
    cut = isinstance(error, dict) and _cut_causes(error)
    context = line.get("context")
    if isinstance(context, dict):
        room = MAX_FIELDS - _OF_OTHERS - (_width(line) - _width(context))
        if _width(context) > room:
            line["context"] = _narrow(context, room)
            cut = True

    return cut


def _cut_causes(error: dict[str, Json]) -> bool:
    causes = error.get("causes")
    if not isinstance(causes, list) or len(causes) <= _MAX_CAUSES:
        return False

    before = error.get("causes_cut")
    gone = len(causes) - _MAX_CAUSES + (before if isinstance(before, int) else 0)
    error["causes"] = causes[:_MAX_CAUSES]
    error["causes_cut"] = gone
    return True


def _width(value: Json) -> int:
    """Return how many fields *value* is: what holds no further ones counts."""
    if isinstance(value, dict):
        return sum(map(_width, value.values())) or 1

    if isinstance(value, list):
        return sum(map(_width, value)) or 1

    return 1


def _narrow(value: Json, room: int) -> Json:
    """Return *value* with at most *room* fields, its marker for the rest included."""
    if _width(value) <= room:
        return value

    if isinstance(value, list):
        return _narrow_list(value, room)

    return _narrow_dict(value, room) if isinstance(value, dict) else value


def _narrow_list(items: list[Json], room: int) -> Json:
    kept: list[Json] = []
    room -= 1
    for item in items:
        width = _width(item)
        if width > room:
            if not kept and room > 1:
                kept.append(_narrow(item, room))

            break

        kept.append(item)
        room -= width

    return [*kept, f"[cut: {len(items) - len(kept)} items]"]


def _narrow_dict(fields: dict[str, Json], room: int) -> Json:
    widths = {key: _width(value) for key, value in fields.items()}
    room -= 1
    # The narrow ones first, so that one wide value does not push out the others; of
    # equal ones the first.
    shares: dict[str, int] = {}
    for index, key in enumerate(sorted(widths, key=widths.__getitem__)):
        share = min(widths[key], max(room // (len(widths) - index), min(room, 1)))
        if share > 1 or (share == 1 and widths[key] == 1):
            shares[key] = share
            room -= share

    made = {key: _narrow(fields[key], shares[key]) for key in fields if key in shares}
    gone = len(fields) - len(made)
    return {**made, "_cut": f"{gone} fields left out"} if gone else made


def _shorten(line: dict[str, Json], max_bytes: int) -> bytes:
    """
    Return *line* as JSON of at most *max_bytes* with its newline.

    The envelope (who, when, where, ids) stays whole. The message has a quarter of the
    room for sure and the stack half of the rest, or what the others leave; what remains
    belongs to the context, whose first fields win: a text is cut in its middle, a
    container or field that doesn't fit is left out, and `context._cut` says how many.
    """
    message = str(line["message"])
    context = line.pop("context", None)
    error = line.get("error")
    stack = ""
    if isinstance(error, dict):
        stack = str(error.get("stack", ""))
        error["stack"] = ""
        error["message"] = _cut_text(str(error.get("message", "")), max_bytes // 8)
        _shorten_causes(error, max_bytes // 8)

    line["message"] = ""
    room = max_bytes - 1 - len(orjson.dumps(line)) - len(',"context":{}')
    others = _size(context) + _size(stack)
    line["message"] = _cut_text(message, max(room // 4, room - others))
    room -= _size(line["message"])
    if isinstance(error, dict):
        share = room if context is None else max(room // 2, room - _size(context))
        error["stack"] = _cut_text(stack, share)
        room -= _size(error["stack"])

    if isinstance(context, dict):
        line["context"] = _cut_fields(context, room)

    text = orjson.dumps(line) + b"\n"
    if len(text) > max_bytes:  # what names the place is longer than the limit
        text = orjson.dumps(_shorten_names(line)) + b"\n"

    return text


def _shorten_names(line: dict[str, Json]) -> dict[str, Json]:
    return {
        name: _shorten_names(value)
        if isinstance(value, dict)
        else f"{value[:_LEAST_NAME]}…"
        if isinstance(value, str) and len(value) > _LEAST_NAME and name not in _IDS
        else value
        for name, value in line.items()
    }


def _shorten_causes(error: dict[str, Json], room: int) -> None:
    causes = error.get("causes")
    if not isinstance(causes, list) or not causes:
        return

    kept: list[Json] = []
    share = room // min(len(causes), 4)
    for cause in causes:
        if isinstance(cause, dict):
            message = str(cause.get("message", ""))
            cause["message"] = ""
            cause["message"] = _cut_text(message, share - _size(cause))

        room -= _size(cause)
        if room < 0:
            break

        kept.append(cause)

    gone = len(causes) - len(kept)
    error["causes"] = kept
    if gone:
        before = error.get("causes_cut")
        error["causes_cut"] = gone + (before if isinstance(before, int) else 0)


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


def _cut_fields(fields: dict[str, Json], room: int) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    room -= _MARKER_ROOM
    sizes = [_size(key) + _size(value) + 2 for key, value in fields.items()]
    fair = room // 4
    small = sum(size for size in sizes if size <= fair)
    large = sum(size > fair for size in sizes)
    gone = 0
    for index, (key, value) in enumerate(fields.items()):
        # What is left is shared, so that one long value does not push out the rest.
        share = room // min(4, len(fields) - index)
        if sizes[index] > fair:
            share = max(share, (room - small) // large)
            large -= 1
        else:
            small -= sizes[index]

        short = _cut_value(value, max(share, 0) - len(key))
        size = _size(key) + _size(short) + 2
        if size > room:
            gone += 1
            continue

        kept[key] = short
        room -= size

    return {**kept, "_cut": f"{gone} fields left out"} if gone else kept


def _cut_value(value: Json, room: int) -> Json:
    if isinstance(value, str):
        return _cut_text(value, room)

    size = _size(value)
    return value if size <= room else f"[{size} bytes cut]"


def _size(value: Json) -> int:
    return len(orjson.dumps(value))
