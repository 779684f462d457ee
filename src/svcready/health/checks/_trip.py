"""A round trip by the application's asynchronous client, on the client's own loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from svcready.health._running._allowed import allowed_s

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from asyncio import Future as AsyncFuture
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

__all__ = ["Trip"]

T = TypeVar("T")


class Trip(Generic[T]):
    """
    At most one call at a time, which is waited for as long as a check may take.

    A client's objects belong to its event loop, which need not be the one that checks
    run on. A call that is not answered in time is neither cancelled, which may leave
    the client in a bad state, nor repeated, which would pile calls up on a connection
    that hangs: the next run waits for the same one.

    Args:
        call: Makes the call.
    """

    def __init__(self, call: Callable[[], Coroutine[object, object, T]]) -> None:
        self._call = call
        self._pending: Future[T] | None = None

    async def go(self, loop: AbstractEventLoop, limit_s: float) -> T:
        """
        Make the call on *loop*, or go on waiting for the one before.

        Raises:
            TimeoutError: There was no answer within *limit_s* seconds.
            ConnectionError: The loop does not run any more.
        """
        import asyncio

        if not loop.is_running():
            raise ConnectionError("the event loop of the client has ended")

        pending = self._pending
        if pending is None or pending.done():
            pending = asyncio.run_coroutine_threadsafe(self._call(), loop)
            self._pending = pending

        answer = asyncio.wrap_future(pending)
        answer.add_done_callback(_read)
        done, _ = await asyncio.wait({answer}, timeout=limit_s)
        if not done:
            raise TimeoutError(f"no answer within {allowed_s():g} s")

        self._pending = None
        return answer.result()


def _read(answer: AsyncFuture[T]) -> None:
    # An error that nobody asks for is logged by asyncio; a run that is over does not.
    if not answer.cancelled():
        answer.exception()
