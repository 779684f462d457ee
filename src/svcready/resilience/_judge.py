"""Says which outcome an error is to a circuit breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.errors import DeclarationError
from svcready.resilience._arguments import Matcher, source_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.resilience._arguments import Errors

__all__ = ["Judge"]

_OUTCOMES = frozenset(("success", "failure", "ignored", "inconclusive"))


class Judge:
    """
    Says which outcome an error is, by what the code declared.

    Two are equal if they were made by the same lines over the same values.

    Args:
        ignore: What says nothing about the dependency.
        outcome: Says what every other error is; None: a failure.

    Raises:
        DeclarationError: One of them is nothing of the kind.
    """

    __slots__ = ("_ignores", "_key", "_outcome")

    def __init__(
        self, ignore: Errors, outcome: Callable[[Exception], str] | None
    ) -> None:
        if outcome is not None and not callable(outcome):
            raise DeclarationError(
                f"outcome={outcome!r}: use a function that takes the exception and "
                "returns success, failure, ignored or inconclusive"
            )

        self._ignores = Matcher("ignore", ignore)
        self._outcome = outcome
        self._key = source_of(outcome)

    def __call__(self, error: Exception) -> str:
        """Return the outcome that *error* is; a function that fails says `failure`."""
        if self._ignores(error):
            return "ignored"

        if self._outcome is None:
            return "failure"

        try:
            outcome = self._outcome(error)
            if outcome not in _OUTCOMES:
                raise ValueError(f"{outcome!r} is no outcome")
        except Exception as fault:  # noqa: BLE001 - the call's own error must get out
            report_fault("resilience.outcome", fault)
            return "failure"

        return outcome

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Judge):
            return NotImplemented

        return self._ignores == other._ignores and self._key == other._key

    __hash__ = None  # type: ignore[assignment]  # closures may hold anything
