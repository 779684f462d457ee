"""A connection to Redis for one event loop, which all of its tasks share."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from svcready._transport.redis._hello import check_greeted, greeting
from svcready._transport.redis._resp import RedisError, Replies, packed
from svcready._transport.redis._tls import made_tls_context

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Transport
    from collections.abc import AsyncGenerator, Sequence

    from svcready._transport.redis._resp import Command, Reply
    from svcready.config._redis_address import RedisAddress

__all__ = ["LoopLink", "dial_on_loop"]

# A loop that something held up may end the wait before it reads what has come: what
# is there is read in the next turn, and given on in the one after it.
_LATE_TURNS = 3


class LoopLink:
    """
    One connection; what is asked at the same time goes out one behind the other.

    An asyncio protocol. A task that is cancelled leaves its place in the queue, so the
    others still get their own replies; one whose time is over ends the connection.

    Args:
        loop: The loop that it belongs to.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.is_over = False
        """It is of no more use."""
        self._loop = loop
        self._replies = Replies()
        self._waiting: deque[Future[Reply]] = deque()
        self._transport: Transport | None = None
        self._keeper: AsyncGenerator[None, None] | None = None

    async def ask(self, commands: Sequence[Command], ends_s: float) -> list[Reply]:
        """
        Send *commands* and return their replies.

        Args:
            commands: At least one.
            ends_s: Until when there is time, by `time.monotonic`.

        Raises:
            RedisError: They did not come in time, or never will.
        """
        import asyncio

        if self.is_over or self._transport is None:
            raise RedisError("connection", "the connection is closed")

        left_s = ends_s - time.monotonic()
        if left_s <= 0.0:
            raise RedisError("busy", "no time was left to ask")

        places = [self._loop.create_future() for _ in commands]
        self._waiting += places
        self._transport.write(packed(commands))
        try:
            await asyncio.wait(places, timeout=left_s)
            for _ in range(_LATE_TURNS):
                if places[-1].done():  # replies come in order
                    break

                await asyncio.sleep(0)
            else:
                self.end("timeout", "no answer in time")

            return [place.result() for place in places]
        finally:
            for place in places:
                if not place.cancel() and not place.cancelled():
                    place.exception()  # nobody waits for it any more

    async def end_with_loop(self) -> None:
        """Have it closed when its loop ends, as `asyncio.run` ends one."""
        # A loop closes its asynchronous generators then, and knows of nothing else
        # that it could tell; a task would have to be cancelled by whoever ends it.
        self._keeper = self._kept()
        await anext(self._keeper)

    async def _kept(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.end("connection", "the loop ends")

    def retire(self) -> None:
        """Ask nothing more over it, and close it once what was asked is answered."""
        self.is_over = True
        if not self._waiting and self._transport is not None:
            self._transport.close()

    def end(self, reason: str, text: str) -> None:
        """Close the connection and fail everyone who waits; on its loop's thread."""
        self.is_over = True
        if self._transport is not None:
            self._transport.abort()

        waiting, self._waiting = self._waiting, deque()
        for place in waiting:
            if not place.done():
                place.set_exception(RedisError(reason, text))

    def connection_made(self, transport: Transport) -> None:
        """Begin."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand each reply to whoever asked for it."""
        try:
            self._replies.feed(data)
            while (reply := self._replies.take()) is not None:
                if not self._waiting:
                    raise RedisError("garbage", "more was answered than asked")

                place = self._waiting.popleft()
                if not place.done():
                    place.set_result(reply[0])

            if self.is_over:
                self.retire()
        except RedisError as error:
            self.end(error.reason, str(error))

    def eof_received(self) -> None:
        """Let the connection close."""

    def connection_lost(self, error: Exception | None) -> None:
        """Fail everyone who waits."""
        name = "the server closed it" if error is None else type(error).__name__
        self.end("connection", name)

    def pause_writing(self) -> None:
        """Go on: what waits to be written is gone within the time-out."""

    def resume_writing(self) -> None:
        """Go on."""


async def dial_on_loop(
    address: RedisAddress, hosts: Sequence[str], ends_s: float
) -> LoopLink:
    """
    Connect, encrypt, log in, and see that the server answers, on the running loop.

    Args:
        address: Where.
        hosts: The host's addresses, looked up already; none for a socket's path.
        ends_s: Until when there is time, by `time.monotonic`.

    Raises:
        RedisError: It did not come about.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    link: LoopLink | None = None
    answers = False
    try:
        async with asyncio.timeout(ends_s - time.monotonic()):
            link = await _connected(loop, address, hosts)
            check_greeted(await link.ask(greeting(address), ends_s))
            await link.end_with_loop()
            answers = True
            return link
    except TimeoutError as error:
        raise RedisError("timeout", "no connection in time") from error
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or type(error).__name__
        raise RedisError("connection", text) from error
    finally:
        if link is not None and not answers:
            link.end("connection", "it never began")


async def _connected(
    loop: AbstractEventLoop, address: RedisAddress, hosts: Sequence[str]
) -> LoopLink:
    def made() -> LoopLink:
        return LoopLink(loop)

    if address.path:
        _, link = await loop.create_unix_connection(made, address.path)  # type: ignore[type-var]
        return link

    context = made_tls_context(address) if hosts else None
    name = address.host if context is not None else None
    for last, host in enumerate(hosts, 1 - len(hosts)):
        try:
            _, link = await loop.create_connection(  # type: ignore[type-var]
                made, host, address.port, ssl=context, server_hostname=name
            )
        except OSError:
            if not last:
                raise
        else:
            return link

    raise RedisError("resolve", "nobody knows the host")
