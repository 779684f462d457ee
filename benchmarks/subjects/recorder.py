"""A request with twenty debug lines that nobody will read."""

from __future__ import annotations

import logging
from logging.handlers import MemoryHandler
from typing import TYPE_CHECKING

import svcready
from benchmarks.drivers import AsgiRequests
from benchmarks.subjects.logs import EXTRA, FIELDS
from benchmarks.subjects.ours import InRequest, start
from benchmarks.workload import Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.drivers import Message, Receive, Send
    from benchmarks.workload import Workload

LINES = 20
RECORDER: Mapping[str, object] = {"log.flight_recorder": 200}
WRITTEN: Mapping[str, object] = {"log.level": "DEBUG", "log.allow_debug": True}
NAMES: Mapping[str, object] = {
    "log": svcready.get_logger("orders"),
    "std": logging.getLogger("orders"),
}


class Requests:
    """Requests whose handler logs and answers 200."""

    def __init__(
        self, settings: Mapping[str, object], handle: Callable[[], object]
    ) -> None:
        self._handle = handle
        flush = start(sampled=0.0, settings=settings)
        self._requests = AsgiRequests(svcready.wrap(self._app), flush=flush)

    def run(self, count: int) -> None:
        """Send `count` requests."""
        self._requests.run(count)

    def flush(self) -> None:
        """Do what was put off."""
        self._requests.flush()

    async def _app(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return

        self._handle()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def nothing() -> Workload:
    """Make requests without a line, the recorder off."""
    return Requests({}, bool)


def kept() -> Workload:
    """Keep the lines of svcready's own logger, and throw them away."""
    return Requests(RECORDER, _twenty(f'log.debug("looked", {FIELDS})'))


def kept_plain() -> Workload:
    """Keep lines without fields, with one argument."""
    return Requests(RECORDER, _twenty('log.debug("looked for %s", "bolts")'))


def kept_stdlib() -> Workload:
    """Keep the lines of an unchanged stdlib logger."""
    return Requests(RECORDER, _twenty(f'std.debug("looked", {EXTRA})'))


def written() -> Workload:
    """Write the same lines, as the level DEBUG does."""
    return Requests(WRITTEN, _twenty(f'log.debug("looked", {FIELDS})'))


def written_plain() -> Workload:
    """Write the lines without fields."""
    return Requests(WRITTEN, _twenty('log.debug("looked for %s", "bolts")'))


def written_stdlib() -> Workload:
    """Write the lines of an unchanged stdlib logger."""
    return Requests(WRITTEN, _twenty(f'std.debug("looked", {EXTRA})'))


def memory_handler() -> Workload:
    """Keep the lines in stdlib's MemoryHandler, and throw them away."""
    logger = logging.getLogger("kept")
    handler = MemoryHandler(10_000, flushLevel=logging.ERROR)
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    log_all = _twenty(f'std.debug("looked", {EXTRA})', {"std": logger})

    def handle() -> None:
        log_all()
        handler.buffer.clear()

    return Requests({}, handle)


def disabled_outside() -> Workload:
    """Use a level that is off, the recorder on, outside any request."""
    start(sampled=0.0, settings=RECORDER)
    return Statement('log.debug("looked")', NAMES)


def disabled_library() -> Workload:
    """Use a level that is off and not kept, in a request that is recorded."""
    names = {"log": logging.getLogger("opentelemetry.library")}
    statement = 'log.debug("looked")'
    return InRequest(statement, names, sampled=0.0, settings=RECORDER)


def _twenty(
    statement: str, names: Mapping[str, object] = NAMES
) -> Callable[[], object]:
    loop = Statement(statement, names)
    return lambda: loop.run(LINES)
