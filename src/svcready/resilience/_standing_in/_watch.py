"""Who keeps a call's answer hears of stand-ins that it was made of."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from contextvars import Token

__all__ = ["Seen", "look_away", "stood_in", "watch"]

Seen: TypeAlias = "list[bool]"
"""Of one call: empty, until a stand-in answers in it."""

_WATCHING: ContextVar[Seen | None] = ContextVar("svcready.stand_ins", default=None)

watch = _WATCHING.set
"""Have stand-ins from now on, in copied contexts too, be known as those of a call."""


def look_away(token: Token[Seen | None]) -> None:
    """Undo `watch`; in another context there is nothing to be undone."""
    try:
        _WATCHING.reset(token)
    except ValueError:
        return


def stood_in() -> None:
    """Tell the innermost call that is being watched that a stand-in answered."""
    seen = _WATCHING.get()
    if seen is not None and not seen:  # tasks that it left may go on for ever
        seen.append(True)
