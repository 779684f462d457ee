"""How a runtime learns that its process ends, whoever ends it."""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING
from weakref import WeakSet

from svcready._core.guard import guard
from svcready._runtime._early import begin_with
from svcready._runtime._ending._gunicorn import chain_in_loop, find_worker
from svcready._runtime._ending._hypercorn import hold_shutdown
from svcready._runtime._ending._servers import GunicornWorker
from svcready._runtime._ending._signals import TermHandler, chain

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._runtime._ending._servers import WorkerLike
    from svcready._runtime._runtime import Runtime

__all__ = ["flush_at_end_of_child", "meet_server", "unwatch", "watch"]

_watched: WeakSet[Runtime] = WeakSet()
_waits: list[Callable[[], None]] = []
"""What ends the waiting for servers that are imported later."""
_registered = False
_guarded = guard("runtime.exit")


def watch(runtime: Runtime) -> None:
    """
    Have *runtime* drained at SIGTERM and flushed at exit.

    The handler that is there is chained, never replaced; it can be set in the main
    thread only. A server that sets its own afterwards is met again when it begins to
    serve, and gunicorn's workers and hypercorn's where they set theirs.
    """
    global _registered  # noqa: PLW0603 - atexit keeps one entry for the process
    _watched.add(runtime)
    if not _registered:
        _registered = True
        atexit.register(_at_exit)

    if not _waits:
        _waits.extend((find_worker(_serve_in), hold_shutdown(_all)))

    meet_server(runtime)


def meet_server(runtime: Runtime) -> None:
    """Stand before the handler of SIGTERM that is there now, if it is the server's."""
    with _guarded:
        chain(runtime, _all, _at_exit)


def _serve_in(worker: WorkerLike) -> None:
    """Take note of the worker of gunicorn's that this process is."""
    begin_with(worker)
    for runtime in _all():
        runtime.drain.serve_in(GunicornWorker(worker))

    def handler(
        before: Callable[..., None], again: Callable[[TermHandler], None]
    ) -> TermHandler:
        return TermHandler(before, _all, _at_exit, again)

    if not chain_in_loop(worker, handler):
        for runtime in _all():
            meet_server(runtime)


def _all() -> tuple[Runtime, ...]:
    return tuple(_watched)


def unwatch(runtime: Runtime) -> None:
    """Forget *runtime*."""
    _watched.discard(runtime)
    if not _watched:
        while _waits:
            _waits.pop()()


def flush_at_end_of_child(flush: Callable[[], None]) -> None:
    """Have *flush* called when this forked child ends, which skips atexit."""

    def end() -> None:
        with _guarded:
            flush()

    # Each keeps a list of its own; billiard is Celery's.
    for name in ("multiprocessing.util", "billiard.util"):
        finalize = getattr(sys.modules.get(name), "Finalize", None)
        if finalize is not None:
            finalize(None, end, exitpriority=0)


def _at_exit() -> None:
    with _guarded:
        for runtime in tuple(_watched):
            runtime.close()
