"""Resolvers: how the application tells whose request it is."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from svcready._core.declarations import Register, check_name
from svcready._core.guard import report_fault, report_foreign
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.resilience._limiting._limit_keys import KeyPart, parse_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from svcready.resilience._limiting._inbound import Inbound

    Resolver = Callable[[Any], "str | Awaitable[str | None] | None"]
    R = TypeVar("R", bound=Resolver)

__all__ = ["RESOLVERS", "resolve", "resolver", "wait_for"]

RESOLVERS: Register[Resolver] = Register("resolver")
"""All that the process declared, by name."""


def resolver(name: str) -> Callable[[R], R]:
    """
    Tell limits `by=name` whose request it is; decorates a function of the request.

    It is called once per request that such a limit is for, at the route: behind the
    application's own middleware, so that what authentication left there is known. It
    gets the framework's request (Starlette's, Flask's, Django's; a scope or an
    environ where a bare callable is wrapped) and returns who it is, or None for
    nobody known, who is limited by address. On ASGI it may be a coroutine function,
    which a limit on a plain function waits for in its thread; where it can't, as on
    the event loop itself, that is an error. An error is reported, and the request is
    limited by address.

    Args:
        name: `principal`, which limits by `client` take; `tenant`, `api_key`, ...

    Raises:
        DeclarationError: The name is taken, or means something else.
    """
    check_name("resolver", name)
    if parse_key(name)[0] != KeyPart("resolver", name):
        raise DeclarationError(f"resolver name {name!r} means something else already")

    place = calling_place()

    def declare(function: R) -> R:
        if not callable(function):
            raise DeclarationError(f"resolver {name!r}: {function!r} is no function")

        RESOLVERS.declare(
            name, function, lambda: function, place=place, replace=_is_made_again
        )
        return function

    return declare


def _is_made_again(known: Resolver, new: Resolver) -> bool:
    """Tell whether an application factory has made the same function anew."""
    names = ("__module__", "__qualname__")
    return all(getattr(known, n, known) == getattr(new, n, new) for n in names)


def resolve(name: str, request: object) -> object:
    """
    Return what the resolver *name* says of a framework's request, maybe an awaitable.

    Returns:
        None without one, or if it fails.
    """
    function = RESOLVERS.get(name)
    if function is None:
        return None

    try:
        return function(request)
    except Exception as error:  # noqa: BLE001 - the request is limited by address
        report_foreign("limits.resolver", error)
        return None


def wait_for(request: Inbound, name: str, told: Awaitable[object]) -> object:
    """
    Return what a coroutine function says of *request* to a plain one, in its thread.

    Returns:
        None if it fails, or where no event loop can run it meanwhile.
    """
    try:
        return request.wait_for(told)
    except Exception as error:  # noqa: BLE001 - the request is limited by address
        if inspect.iscoroutine(told):
            told.close()

        if isinstance(error, DeclarationError):
            text = f"resolver {name!r} of a limit: {error}; the address stands in"
            report_fault("limits.resolver", DeclarationError(text))
        else:
            report_foreign("limits.resolver", error)

        return None
