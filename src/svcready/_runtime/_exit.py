"""How a runtime learns that its process ends, whoever ends it."""

from __future__ import annotations

import atexit
import signal
import sys
import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

from svcready._core.guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from svcready._runtime._runtime import Runtime

    Handler = Callable[[int, FrameType | None], object] | int | None

__all__ = ["flush_at_end_of_child", "unwatch", "watch"]

_watched: WeakSet[Runtime] = WeakSet()
_registered = False
_guarded = guard("runtime.exit")


class _TermHandler:
    """Tells the runtimes of a SIGTERM, then lets the handler before it act."""

    def __init__(self, before: Handler) -> None:
        self._before = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        with _guarded:
            for runtime in tuple(_watched):
                runtime.drain()
                # The handler before may be the one that ends the process (a tool's
                # that was loaded first), and says so to nobody.
                runtime.ended()

        if callable(self._before):
            self._before(number, frame)
        elif self._before == signal.SIG_DFL:
            # Nobody else serves here, and the default action skips atexit.
            _at_exit()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def watch(runtime: Runtime) -> None:
    """
    Have *runtime* drained at SIGTERM and flushed at exit.

    The handler that is there is chained, never replaced; it can be set in the main
    thread only. A server that sets its own afterwards has its own way to tell us: the
    lifespan, or an orderly exit.
    """
    global _registered  # noqa: PLW0603 - atexit keeps one entry for the process
    _watched.add(runtime)
    if not _registered:
        _registered = True
        atexit.register(_at_exit)

    if threading.current_thread() is threading.main_thread():
        before = signal.getsignal(signal.SIGTERM)
        # None is a handler of the embedding server's, which nobody here could call.
        if before is not None and not isinstance(before, _TermHandler):
            signal.signal(signal.SIGTERM, _TermHandler(before))


def unwatch(runtime: Runtime) -> None:
    """Forget *runtime*."""
    _watched.discard(runtime)


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
