"""Signatures that frameworks can read off a wrapper, whose module is another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

__all__ = ["sign"]


def sign(wrapper: Callable[..., object], function: FunctionType) -> None:
    """
    Give *wrapper* the signature of *function*, annotations that are text evaluated.

    FastAPI before 0.120 looks for their names in the wrapper's module, which is ours.
    What can't be evaluated yet, or ever, stays text.
    """
    try:
        annotations = function.__annotations__
        if not any(isinstance(each, str) for each in annotations.values()):
            return

        import inspect

        names = inspect.unwrap(function).__globals__
        known = inspect.signature(function)
        wrapper.__signature__ = known.replace(  # type: ignore[attr-defined]
            parameters=[
                each.replace(annotation=_value(each.annotation, names))
                for each in known.parameters.values()
            ],
            return_annotation=_value(known.return_annotation, names),
        )
    except Exception:  # noqa: BLE001, S110 - it is as it is without a signature
        pass


def _value(annotation: object, names: dict[str, object]) -> object:
    if not isinstance(annotation, str):
        return annotation

    try:
        return eval(annotation, names)  # noqa: S307 - the application's own source
    except Exception:  # noqa: BLE001 - of type checkers only, or declared later
        return annotation
