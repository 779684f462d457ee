"""Checks a log line against its published schema, without a validator to install."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

from svcready.logging import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["assert_log_line", "violations"]

_MOST_SHOWN = 160


def assert_log_line(
    line: str | bytes | Mapping[str, object], /, *, layout: str = "standard"
) -> dict[str, object]:
    """
    Assert that *line* is a log line as svcready writes it; return it parsed.

    Args:
        line: The line as it was written, or parsed already.
        layout: What `SVCREADY_LOG_LAYOUT` said: `standard`, `ecs`, `otel` or `flat`.

    Returns:
        The line's members.

    Raises:
        AssertionError: It is not; the text says where and why.
        ValueError: No layout is called so.
    """
    rules = schema(layout)
    parsed = _parsed(line)
    wrong = list(violations(parsed, rules))
    if wrong:
        shown = json.dumps(parsed, ensure_ascii=False, default=repr)
        msg = f"no log line of layout {layout}:\n  " + "\n  ".join(wrong)
        raise AssertionError(f"{msg}\n{_short(shown)}")

    return cast("dict[str, object]", parsed)


def _parsed(line: str | bytes | Mapping[str, object]) -> object:
    if not isinstance(line, str | bytes):
        return dict(line)

    try:
        text = line.decode() if isinstance(line, bytes) else line
        text = text.removesuffix("\n")
        if "\n" in text:
            raise AssertionError(f"more than one line:\n{_short(text)}")

        return json.loads(text, parse_constant=_refused)
    except ValueError as error:
        msg = f"not JSON: {error}\n{_short(repr(line))}"
        raise AssertionError(msg) from error


def violations(
    value: object, rules: Mapping[str, object], place: str = ""
) -> Iterator[str]:
    """
    Yield what is wrong with *value* by a JSON Schema, with its place.

    Only the keywords that svcready's own schemas use are known.
    """
    said = place or "the line"
    if "const" in rules and not _same(value, rules["const"]):
        yield f"{said}: {_short(repr(value))} is not {rules['const']!r}"

    if "enum" in rules:
        words = cast("list[object]", rules["enum"])
        if not any(_same(value, word) for word in words):
            known = ", ".join(map(str, words))
            yield f"{said}: {_short(repr(value))} is none of {known}"

    kind = cast("str | None", rules.get("type"))
    if kind is not None and not _TYPES[kind](value):
        yield f"{said}: {_short(repr(value))} is no {kind}"
    elif isinstance(value, str):
        yield from _of_text(value, rules, said)
    elif isinstance(value, dict):
        yield from _of_object(value, rules, place)
    elif isinstance(value, list) and "items" in rules:
        items = cast("Mapping[str, object]", rules["items"])
        for number, item in enumerate(value):
            yield from violations(item, items, f"{place}[{number}]")
    elif _is_number(value) and "minimum" in rules:
        least = cast("float", rules["minimum"])
        if cast("float", value) < least:
            yield f"{said}: {value!r} is less than {least}"


def _of_text(value: str, rules: Mapping[str, object], said: str) -> Iterator[str]:
    pattern = cast("str | None", rules.get("pattern"))
    if pattern is not None and re.search(pattern, value) is None:
        yield f"{said}: {_short(repr(value))} is not of the form {pattern}"

    if len(value) < cast("int", rules.get("minLength", 0)):
        yield f"{said}: {value!r} is too short"

    most = cast("int | None", rules.get("maxLength"))
    if most is not None and len(value) > most:
        yield f"{said}: longer than {most} characters"


def _of_object(
    value: dict[str, object], rules: Mapping[str, object], place: str
) -> Iterator[str]:
    prefix = f"{place}." if place else ""
    for name in cast("list[str]", rules.get("required", [])):
        if name not in value:
            yield f"{prefix}{name} is missing"

    together = cast("dict[str, list[str]]", rules.get("dependentRequired", {}))
    for name, others in together.items():
        for other in others:
            if name in value and other not in value:
                yield f"{prefix}{other} is missing, as there is {prefix}{name}"

    properties = cast("dict[str, dict[str, object]]", rules.get("properties", {}))
    for name, item in value.items():
        if name in properties:
            yield from violations(item, properties[name], f"{prefix}{name}")
        elif rules.get("additionalProperties") is False:
            yield f"{prefix}{name} is not in the schema"


def _same(value: object, word: object) -> bool:
    """Tell whether both are equal as JSON has it, where True is not 1."""
    return value == word and isinstance(value, bool) == isinstance(word, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return _is_number(value) and (not isinstance(value, float) or value.is_integer())


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _refused(constant: str) -> float:
    msg = f"{constant} is no JSON"
    raise ValueError(msg)


_TYPES: dict[str, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_whole,
    "number": _is_number,
}
