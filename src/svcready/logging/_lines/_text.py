"""Texts of messages and values whose own code may fail."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["kind_name", "message_text", "safe_repr", "safe_text"]

_MAX_REPR = 1024 * 1024
_NAME = type.__dict__["__name__"]


def kind_name(value: object) -> str:
    """Return the name of the value's type, whatever its metaclass says."""
    name: str = _NAME.__get__(type(value))
    return name


def safe_text(value: object) -> str:
    """Return `str(value)`, or words that say that it failed."""
    try:
        return str.__str__(str(value))  # a subclass may come back
    except Exception:  # noqa: BLE001 - the object's own code
        return f"<{kind_name(value)} that str() fails on>"


def safe_repr(value: object) -> str:
    """
    Return `repr(value)`, or words that say that it failed.

    It is as long as it is, up to 1 MiB: to be cut once its secrets are hidden.
    """
    try:
        return str.__str__(repr(value))[:_MAX_REPR]
    except Exception:  # noqa: BLE001 - the object's own code
        return f"<{kind_name(value)} that repr() fails on>"


def message_text(message: object, args: tuple[object, ...]) -> str:
    """
    Return a message with its `%` arguments in place.

    Arguments that don't fit are put behind the message, which a reader understands
    better than nothing.
    """
    # The type is asked, not the value: a lazy object would do its work for it.
    text = (
        str.__str__(message) if issubclass(type(message), str) else safe_text(message)
    )
    if not args:
        return text

    try:
        only = args[0]
        if len(args) == 1 and issubclass(type(only), Mapping) and only:
            return str.__str__(text % only)

        return str.__str__(text % args)
    except Exception:  # noqa: BLE001 - the arguments' own code, or a wrong template
        said = ", ".join(safe_repr(arg) for arg in args)
        return f"{text} ({said}{',' if len(args) == 1 else ''})"
