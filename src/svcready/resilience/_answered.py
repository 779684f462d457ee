"""Which errors of policies requests are answered by where no code of theirs does."""

from __future__ import annotations

from typing import TypeAlias

from svcready.errors import AttemptTimeout, DeadlineExceeded, LoadShed, Rejected
from svcready.resilience._limiting._inbound import RequestRefused

__all__ = ["ANSWERED", "Answered", "answer_policies", "is_answered", "is_meant"]

ANSWERED = (Rejected, AttemptTimeout, DeadlineExceeded, ExceptionGroup)
"""What policies raise in place of a call's outcome, and what task groups make of it."""

Answered: TypeAlias = (
    Rejected | AttemptTimeout | DeadlineExceeded | ExceptionGroup[Exception]
)

_on = False


def answer_policies(*, on: bool) -> None:
    """Have requests answered by what policies raise, or leave that to applications."""
    global _on  # noqa: PLW0603 - one service per process
    _on = on


def is_answered(error: BaseException) -> bool:
    """
    Tell whether a request is answered by *error*, which no code took care of.

    A group is, if everything in it is: one other error is what people must hear of.
    """
    if isinstance(error, ExceptionGroup):
        return all(map(is_answered, error.exceptions))

    return is_meant(error) or (_on and isinstance(error, ANSWERED))


def is_meant(error: BaseException) -> bool:
    """Tell whether *error* was raised for the request to be answered by it."""
    return isinstance(error, RequestRefused | LoadShed)
