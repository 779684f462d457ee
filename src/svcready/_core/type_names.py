"""How the class of an exception is named, wherever one is counted or recorded."""

from __future__ import annotations

__all__ = ["type_name"]


def type_name(error: BaseException) -> str:
    """Return the qualified name of *error*'s class, as semantic conventions want it."""
    kind = type(error)
    if kind.__module__ in {"builtins", "__main__"}:
        return kind.__qualname__

    return f"{kind.__module__}.{kind.__qualname__}"
