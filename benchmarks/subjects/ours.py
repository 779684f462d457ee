"""svcready's side, through its public API only."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import svcready
from benchmarks.drivers import AsgiRequests
from benchmarks.workload import compile_async_loop, compile_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from benchmarks.drivers import Message, Receive, Send


FLUSH_S = 5.0
"""More than any flush needs, so that nothing is left for another round."""

_NO_FLOOD = 10**9


def start(
    app: object = None, sampled: float = 0.05, settings: Mapping[str, object] = {}
) -> Callable[[], object]:
    """
    Call `init()` as a user does and return what flushes.

    Traces leave because the environment names a collector; everything else is what
    `init()` turns on by default.

    Args:
        app: The application to attach to.
        sampled: The share of requests to sample.
        settings: Further settings, by dotted key.
    """
    chosen = {
        "tracing.sampling": f"{sampled:.0%}",
        # A loop of one line is a flood: it is counted, and all of it written.
        "log.flood_per_s": _NO_FLOOD,
        "log.flood_errors_per_s": _NO_FLOOD,
        **settings,
    }
    runtime = svcready.init(service="orders", version="1.4.2", app=app, settings=chosen)
    return functools.partial(runtime.flush, FLUSH_S)


class InRequest:
    """
    A statement's loop run inside one request, where ids are bound.

    The one request that wraps a round costs as much as a handful of operations.
    """

    def __init__(
        self,
        statement: str,
        names: Mapping[str, object],
        *,
        sampled: float,
        settings: Mapping[str, object] = {},
        awaits: bool = False,
    ) -> None:
        flush = start(sampled=sampled, settings=settings)
        self._count = 0
        self._loop: Callable[[], Coroutine[object, object, None]]
        if awaits:
            loop = compile_async_loop(statement, names)
            self._loop = lambda: loop(itertools.repeat(None, self._count))
        else:
            plain = compile_loop(statement, names)

            async def run_plain() -> None:
                plain(itertools.repeat(None, self._count))

            self._loop = run_plain

        self._requests = AsgiRequests(svcready.wrap(self._app), flush=flush)

    def run(self, count: int) -> None:
        """Send one request whose handler does the statement `count` times."""
        self._count = count
        self._requests.run(1)

    def flush(self) -> None:
        """Do what was put off."""
        self._requests.flush()

    async def _app(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return

        await self._loop()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
