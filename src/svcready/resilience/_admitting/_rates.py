"""The text form of a rate, as code gives it to rate limits."""

from __future__ import annotations

from svcready._core.rates import ALLOWED, read_rate
from svcready.errors import DeclarationError
from svcready.resilience._admitting._gcra import Rate

__all__ = ["parse_rate"]


def parse_rate(text: str, argument: str = "rate") -> Rate:
    """
    Return the rate that *text* says: `100/s`, `100/minute burst 20`, `5 per second`.

    Units are ms, s, m, h and d or their words; `300/15min` has a number before one.
    Without a burst it is the number in front.

    Args:
        text: The rate.
        argument: Its argument's name, for messages.

    Raises:
        DeclarationError: It is none, or out of bounds.
    """
    try:
        return Rate(*read_rate(text))
    except ValueError as error:
        raise DeclarationError(f"{argument}={text!r}: use {ALLOWED}") from error
