"""Waiting for a client, which is told of only where there is something to wait for."""

from __future__ import annotations

from types import coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from svcready.resilience._limiting._inbound import Inbound

__all__ = ["wait_for_client"]

T = TypeVar("T")


def _resume(request: Inbound) -> None:
    for one in request.admitted:
        one.resume()


@coroutine
def wait_for_client(
    request: Inbound,
    client: Awaitable[T],
    go_on: Callable[[Inbound], None] = _resume,
) -> Generator[Any, Any, T]:
    """
    Await *client*, with whatever admitted *request* paused as long as that waits.

    Most sends and receives return at once, and nobody can run meanwhile to whom a
    place would be of use. So the first step is taken here; a wait begins where that
    yields. What follows is `yield from` (PEP 380) with a first value taken already.

    Args:
        request: The request.
        client: What is waited for.
        go_on: Called when it has come; a wait that was given up goes on as it was.
    """
    steps = client.__await__()
    try:
        waits_for = next(steps)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]

    for one in request.admitted:
        one.pause()

    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 - it is the other's to mind
                waits_for = _thrown(steps, error)
            else:
                waits_for = next(steps) if sent is None else steps.send(sent)
    except StopIteration as done:
        go_on(request)
        return done.value  # type: ignore[no-any-return]
    except BaseException:
        _resume(request)  # nothing came that could be refused
        raise


def _thrown(steps: Generator[Any, Any, T], error: BaseException) -> Any:
    throw = getattr(steps, "throw", None)
    if throw is None:  # an iterator that has no such thing
        raise error

    return throw(error)
