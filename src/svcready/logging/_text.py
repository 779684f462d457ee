"""Texts of messages and values whose own code may fail."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["message_text", "safe_repr", "safe_text"]

_MAX_REPR = 2048


def safe_text(value: object) -> str:
    """Return `str(value)`, or words that say that it failed."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - the object's own code
        return f"<{type(value).__name__} that str() fails on>"


def safe_repr(value: object) -> str:
    """Return `repr(value)`, bounded, or words that say that it failed."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the object's own code
        return f"<{type(value).__name__} that repr() fails on>"

    if len(text) > _MAX_REPR:
        return f"{text[:_MAX_REPR]}… ({len(text)} characters)"

    return text


def message_text(message: object, args: tuple[object, ...]) -> str:
    """
    Return a message with its `%` arguments in place.

    Arguments that don't fit are put behind the message, which a reader understands
    better than nothing.
    """
    text = str.__str__(message) if isinstance(message, str) else safe_text(message)
    if not args:
        return text

    try:
        if len(args) == 1 and isinstance(args[0], Mapping) and args[0]:
            return text % args[0]

        return text % args
    except Exception:  # noqa: BLE001 - the arguments' own code, or a wrong template
        return f"{text} {safe_repr(args)}"
