"""What adapters share around the plan's admissions: limits, load shedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from svcready._core.guard import guard
from svcready.resilience._limiting._inbound import INBOUND

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.adapters._lifecycle import Request
    from svcready.resilience._limiting._inbound import Refusal

__all__ = [
    "BARE",
    "NOWHERE",
    "Ahead",
    "Taken",
    "admitted_headers",
    "begin_asking",
    "keep_route",
    "pay",
    "pay_async",
    "spelt",
]

T = TypeVar("T")

_guarded = guard("http.admission")


class Taken(NamedTuple):
    """The route that a request takes."""

    template: str | None
    """Its template; None: there is no such route."""
    endpoint: object = None
    """The function or class that serves it; None: not known."""


NOWHERE = Taken(None)
"""No route."""


class Ahead(NamedTuple, Generic[T]):
    """What limits ask of a framework before it has routed."""

    route: Callable[[T], Taken] | None
    """Tells the route that a scope or environ will take; None: it declares none."""
    native: Callable[[T], object]
    """Makes the framework's own request of it, for resolvers."""
    catch: Callable[[T], None] | None = None
    """Has the application that serves a scope answer what limits in it raise."""


def _as_it_is(given: object) -> object:
    return given


BARE: Ahead[Any] = Ahead(None, _as_it_is)
"""Of a bare callable, which declares no routes."""


def begin_asking(request: Request) -> None:
    """Make a request known to the code that serves it."""
    request.admitted = []
    request.refused = request.streamed = False
    request.rejected = 0
    request.owing = request.taken = None
    INBOUND.set(request)


def keep_route(request: Request, key: object, find: Callable[[], Taken]) -> Taken:
    """
    Return the route that *request* takes, found once as long as *key* is the same.

    Args:
        request: The request.
        key: What it depends on; middleware may change a path before it is routed.
        find: Finds it.
    """
    kept = request.taken
    if kept is None or kept[0] != key:
        request.taken = kept = (key, find())

    return kept[1]


def pay(request: Request, status: int) -> None:
    """Take what an answer costs that none of ours is, and nothing was asked before."""
    owed, request.owing = request.owing, None
    if owed is not None and not request.refused:
        with _guarded:
            owed.pay(status)


async def pay_async(request: Request, status: int) -> None:
    """Do as `pay`, on an event loop."""
    owed, request.owing = request.owing, None
    if owed is not None and not request.refused:
        with _guarded:
            await owed.pay_async(status)


def admitted_headers(request: Request) -> list[tuple[str, str]]:
    """Return what a response carries of what admitted its request."""
    told: list[tuple[str, str]] = []
    for one in request.admitted:
        pairs = one.headers()
        if pairs:
            told += pairs

    return told


def spelt(refusal: Refusal) -> list[tuple[bytes, bytes]]:
    """Return a refusal's headers as ASGI spells them."""
    length = ("content-length", str(len(refusal.body)))
    return [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in (*refusal.headers, length)
    ]
