"""What a receiver of OTLP answers, whichever way it was asked."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MAX_ANSWER_BYTES", "Reply", "said"]

MAX_ANSWER_BYTES = 65536
_LONGEST_DETAIL = 200


class Reply(NamedTuple):
    """One answer, or what came instead of one."""

    status: int
    """What HTTP calls it; 0 if there was none."""
    detail: str = ""
    """What the receiver or the network said."""
    content: bytes = b""
    """The message, at most 64 KiB of it."""
    again: bool = False
    """The same request may be taken later."""
    retry_after_s: float | None = None
    """When, as the receiver asks for it."""


def said(words: str) -> str:
    """Return *words* of somebody else on one line of bounded length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return line if len(line) <= _LONGEST_DETAIL else f"{line[:_LONGEST_DETAIL]}…"
