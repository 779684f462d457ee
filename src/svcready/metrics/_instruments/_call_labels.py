"""The labels of a counted call: fixed, or from the call's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import CodeType, MethodType
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import report_fault
from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Labels: TypeAlias = Sequence[str] | Mapping[str, object]
    Args: TypeAlias = tuple[object, ...]
    Kwargs: TypeAlias = Mapping[str, object]
    Reader: TypeAlias = Callable[[Args, Kwargs], object]
    """Returns a label's value for a call's arguments."""
    Read: TypeAlias = Callable[[Args, Kwargs], tuple[object, ...]]
    """Returns the values of all labels for a call's arguments."""

__all__ = ["fixed_values", "label_names", "reader_of"]

_UNKNOWN = ""
_KEYWORDS = 0x08  # the code has `**kwargs`


class _Seen(NamedTuple):
    """What a function takes, as far as its code says."""

    code: CodeType
    defaults: tuple[object, ...]
    keyword_defaults: Mapping[str, object]
    bound: int
    """How many of its first parameters a call does not give."""


def label_names(labels: Labels) -> Sequence[str]:
    """Return the names of *labels*, which still have to be checked."""
    return tuple(labels) if isinstance(labels, Mapping) else labels


def fixed_values(labels: Labels) -> tuple[object, ...] | None:
    """Return the values of labels that are the same for every call; None if any not."""
    if not isinstance(labels, Mapping):
        return None if labels else ()

    values = tuple(labels.values())
    return None if any(callable(value) for value in values) else values


def reader_of(metric: str, function: Callable[..., object], labels: Labels) -> Read:
    """
    Return what makes a call's label values of its arguments; it never raises.

    Args:
        metric: The metric's name, for messages.
        function: What is called.
        labels: Names of parameters, or a mapping to values and to functions that are
            asked with a call's arguments.

    Raises:
        DeclarationError: *function* has no parameter of a label's name.
    """
    if isinstance(labels, Mapping):
        readers = [
            _asked(value) if callable(value) else _constant(value)
            for value in labels.values()
        ]
    else:
        seen = _see(function)
        readers = [_argument(metric, function, seen, label) for label in labels]

    if len(readers) == 1:
        (only,) = readers
        return lambda args, kwargs: (only(args, kwargs),)

    def read(args: Args, kwargs: Kwargs) -> tuple[object, ...]:
        return tuple([reader(args, kwargs) for reader in readers])

    return read


def _constant(value: object) -> Reader:
    return lambda _args, _kwargs: value


def _asked(ask: Callable[..., object]) -> Reader:
    def read(args: Args, kwargs: Kwargs) -> object:
        try:
            return ask(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the call is counted without it
            report_fault("metrics.counted", error)
            return _UNKNOWN

    return read


def _argument(
    metric: str, function: Callable[..., object], seen: _Seen | None, label: str
) -> Reader:
    code = None if seen is None else seen.code
    positional = () if code is None else code.co_varnames[: code.co_argcount]
    if seen is None or code is None:
        taken = False
    elif label in positional:
        place = positional.index(label)
        taken = place >= seen.bound
    else:
        place = len(positional) + code.co_kwonlyargcount
        names = code.co_varnames[len(positional) : place]
        taken = label in names or bool(code.co_flags & _KEYWORDS)

    if seen is None or not taken:
        raise DeclarationError(
            f"counted {metric!r}: {function!r} has no parameter {label!r}; name one "
            f"that it has, or give a function of its arguments: "
            f"labels={{{label!r}: lambda ...: ...}}"
        )

    if label not in positional:
        default = seen.keyword_defaults.get(label, _UNKNOWN)
        return lambda _args, kwargs: kwargs.get(label, default)

    first = len(positional) - len(seen.defaults)
    otherwise = seen.defaults[place - first] if place >= first else _UNKNOWN
    place -= seen.bound

    def read(args: Args, kwargs: Kwargs) -> object:
        return args[place] if len(args) > place else kwargs.get(label, otherwise)

    return read


def _see(function: object) -> _Seen | None:
    """Find the code that *function* finally runs, which names its parameters."""
    bound = 0
    while not isinstance(function, partial):  # it moves the arguments
        if isinstance(function, MethodType):
            function = function.__func__
            bound += 1
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif isinstance(getattr(function, "__code__", None), CodeType):
            break
        else:
            call = getattr(type(function), "__call__", None)  # noqa: B004
            if not hasattr(call, "__code__"):
                return None

            function = call
            bound += 1
    else:
        return None

    return _Seen(
        getattr(function, "__code__"),  # noqa: B009 - mypy knows it by no name
        getattr(function, "__defaults__", None) or (),
        getattr(function, "__kwdefaults__", None) or {},
        bound,
    )
