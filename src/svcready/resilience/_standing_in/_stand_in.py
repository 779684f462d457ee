"""What stands in for an answer: a function of the application, or a value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from svcready.errors import DeclarationError
from svcready.resilience._arguments import source_of
from svcready.resilience._layering._kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from inspect import Signature

    from svcready.resilience._layering._kinds import Kind

__all__ = ["StandIn"]

_CHANGEABLE = (list, dict, set, bytearray)


class StandIn:
    """
    Makes the answer of a call that failed.

    Two are equal if they were made from the same lines over the same values, or are
    the same value.

    Args:
        to: A function that takes the call's arguments, and the error as `error` if it
            has a parameter of that name which the call leaves free; or a value.

    Raises:
        DeclarationError: It is neither.
    """

    __slots__ = ("_error_at", "_identity", "_signature", "function", "kind")

    def __init__(self, to: object) -> None:
        if isinstance(to, (type, *_CHANGEABLE)):
            raise DeclarationError(
                f"to={to!r}: use a function of the call's arguments that makes the "
                "answer, so that every call has its own"
            )

        self._error_at: float | None = None
        self._signature: Signature | None = None
        self.kind: Kind | None = None
        self.function: Callable[..., object]
        if not callable(to):
            self.function = _giving(to)
            self._identity: object = (type(to), to)
            return

        self.kind = kind_of(to)
        self.function = cast("Callable[..., object]", to)
        self._identity = source_of(to)
        self._signature = signature = _signature_of(self.function)
        if signature is None:
            return

        for place, parameter in enumerate(signature.parameters.values()):
            if parameter.name == "error" and parameter.kind in {
                parameter.POSITIONAL_OR_KEYWORD,
                parameter.KEYWORD_ONLY,
            }:
                named_only = parameter.kind is parameter.KEYWORD_ONLY
                self._error_at = math.inf if named_only else place

    def __call__(
        self,
        error: Exception,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> object:
        """Return the answer, or what gives it when it is awaited or iterated."""
        place = self._error_at
        if place is None or len(args) > place or "error" in kwargs:
            return self.function(*args, **kwargs)

        return self.function(*args, **kwargs, error=error)

    def check(self, name: str, function: Callable[..., object]) -> None:
        """
        See that it can be called as *function* can.

        Raises:
            DeclarationError: It takes more or fewer arguments, which an outage would
                be the first to show.
        """
        ours, theirs = self._signature, _signature_of(function)
        if ours is None or theirs is None:
            return

        place = self._error_at
        every: list[object] = []
        least: list[object] = []
        named: dict[str, object] = {}
        for parameter in theirs.parameters.values():
            needed = parameter.default is parameter.empty
            if parameter.kind is parameter.KEYWORD_ONLY:
                named |= {parameter.name: None} if needed else {}
            elif parameter.kind in {
                parameter.POSITIONAL_ONLY,
                parameter.POSITIONAL_OR_KEYWORD,
            }:
                every.append(None)
                least += [None] if needed else []
            else:
                return  # it may be called in many ways

        for args in (least, every):
            free = place is not None and len(args) <= place and "error" not in named
            try:
                ours.bind(*args, **named, **({"error": None} if free else {}))
            except TypeError as problem:
                raise DeclarationError(
                    f"fallback {name!r}: {self.function!r} can't be called with the "
                    f"arguments of {function!r}: {problem}"
                ) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StandIn) and self._identity == other._identity

    __hash__ = None  # type: ignore[assignment]  # values may be anything


def _giving(value: object) -> Callable[..., object]:
    def give(*_args: object, **_kwargs: object) -> object:
        return value

    return give


def _signature_of(function: Callable[..., object]) -> Signature | None:
    """Return how *function* is called; None: nobody can tell."""
    import inspect  # where a fallback is declared only

    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None
