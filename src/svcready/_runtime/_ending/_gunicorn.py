"""gunicorn: finds the worker that this process is, and stands before its SIGTERM."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Protocol, cast

from svcready._core.guard import guard
from svcready._core.imports import when_imported

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from types import FrameType, ModuleType

    from svcready._runtime._ending._servers import WorkerLike
    from svcready._runtime._ending._signals import TermHandler

    MakeHandler = Callable[
        [Callable[..., None], Callable[[TermHandler], None]], TermHandler
    ]

__all__ = ["chain_in_loop", "find_worker"]

_MODULE = "gunicorn.workers.base"
_hooked = False
_guarded = guard("runtime.gunicorn")


class _AsyncWorker(Protocol):
    """A worker of gunicorn's own for ASGI, whose event loop gets the signals."""

    loop: AbstractEventLoop

    def handle_exit_signal(self) -> None: ...


def find_worker(take: Callable[[WorkerLike], None]) -> Callable[[], None]:
    """
    Have *take* called with the worker that this process is or will be.

    A worker sets its handlers, which end what was set before the fork, and loads the
    application after that. So if the application is being loaded now the worker is
    found among the callers, and if it is loaded before the fork (`--preload`) or
    gunicorn is imported later, each worker tells when it has set its handlers.

    Returns:
        What ends the waiting for gunicorn.
    """
    return when_imported(_MODULE, lambda: _hook(sys.modules[_MODULE], take))


def chain_in_loop(worker: WorkerLike, handler_before: MakeHandler) -> bool:
    """
    Stand before the handler of a worker that has its event loop take the signals.

    Args:
        worker: Any worker.
        handler_before: Makes our handler from the worker's own, and from what has it
            called again.

    Returns:
        False if it is no such worker.
    """
    loop = getattr(worker, "loop", None)
    if loop is None or not hasattr(worker, "handle_exit_signal"):
        return False

    own = cast("_AsyncWorker", worker)

    def again(handler: TermHandler) -> None:
        own.loop.call_soon_threadsafe(handler, signal.SIGTERM, None)

    handler = handler_before(lambda *_: own.handle_exit_signal(), again)
    own.loop.add_signal_handler(signal.SIGTERM, handler, signal.SIGTERM, None)
    return True


def _hook(module: ModuleType, take: Callable[[WorkerLike], None]) -> None:
    global _hooked  # noqa: PLW0603 - a class of gunicorn's is wrapped once
    process = module.Worker.init_process
    running = _running_worker(process.__code__)
    if running is not None:
        take(running)
        return

    if _hooked:
        return

    _hooked = True

    def init_process(self: WorkerLike) -> None:
        """Go on as gunicorn does, and take note when the handlers are set."""
        set_handlers = self.init_signals  # type: ignore[attr-defined]

        def init_signals() -> None:
            set_handlers()
            with _guarded:
                take(self)

        self.init_signals = init_signals  # type: ignore[attr-defined]
        process(self)

    module.Worker.init_process = init_process


def _running_worker(code: object) -> WorkerLike | None:
    """Return the worker that is loading the application on this thread's stack."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - it is kept nowhere else
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back

    worker: WorkerLike | None = None if frame is None else frame.f_locals["self"]
    return worker
