"""What a circuit breaker makes of an error that a call raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience._arguments import Matcher

if TYPE_CHECKING:
    from svcready.resilience._arguments import Errors

__all__ = ["EVERY_ERROR", "Judge"]


class Judge:
    """
    Says which outcome an error is: a failure, save what the code named otherwise.

    The first that names an error wins: what never left the process, what is an
    answer, what says nothing. Two are equal if all that they were given is.

    Args:
        ignore: What says nothing about the dependency.
        success: What the dependency answered with, so that it works.
        inconclusive: What never reached the dependency.

    Raises:
        DeclarationError: One names nothing that an `except Exception` would catch.
    """

    __slots__ = ("_matchers",)

    def __init__(
        self, ignore: Errors = (), success: Errors = (), inconclusive: Errors = ()
    ) -> None:
        self._matchers = (
            ("inconclusive", Matcher("inconclusive", inconclusive)),
            ("success", Matcher("success", success)),
            ("ignored", Matcher("ignore", ignore)),
        )

    def __call__(self, error: Exception) -> str:
        """Return `failure`, `inconclusive`, `success` or `ignored`."""
        for outcome, names in self._matchers:
            if names(error):
                return outcome

        return "failure"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Judge) and self._matchers == other._matchers

    __hash__ = None  # type: ignore[assignment]  # matchers have none


EVERY_ERROR = Judge()
"""Takes every error for a failure."""
