"""Bodies of httpx's answers that give back a permit when they are closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from svcready.resilience._http._exchange import Exchange

__all__ = ["HeldAsyncStream", "HeldStream"]


class HeldStream(httpx.SyncByteStream):
    """A response's body that gives back a permit when it is closed."""

    def __init__(
        self, inner: httpx.SyncByteStream, exchange: Exchange[httpx.Response]
    ) -> None:
        self._inner = inner
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        yield from self._inner

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._exchange.release()


class HeldAsyncStream(httpx.AsyncByteStream):
    """The same of an async client."""

    def __init__(
        self, inner: httpx.AsyncByteStream, exchange: Exchange[httpx.Response]
    ) -> None:
        self._inner = inner
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            self._exchange.release()
