"""SIGTERM: what stands before the server's own handler, and calls it in the end."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from typing import TYPE_CHECKING, cast

from svcready._core.guard import guard
from svcready._runtime._ending._servers import GunicornWorker, UvicornServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from svcready._runtime._ending._drain import Drain
    from svcready._runtime._ending._servers import ServerLike, WorkerLike
    from svcready._runtime._runtime import Runtime

    Handler = Callable[[int, FrameType | None], object] | int | None

__all__ = ["TermHandler", "chain", "in_background"]

_LOOPS = ("asyncio.unix_events", "uvloop._noop")
"""Where the handlers come from that event loops put in place of nothing."""
_PATIENCE_S = 6.0
"""As long as a flush may take by default, and a second more."""
_guarded = guard("runtime.exit")


class TermHandler:
    """
    Has the runtimes drained at SIGTERM, then lets the handler before it act.

    It is called by the signal, perhaps between any two steps of the main thread, which
    may hold any lock, the application's own included. So it sets flags and leaves all
    else to a thread, which raises the signal again when the server may stop: then, as
    at a second SIGTERM, the handler before acts at once.

    Args:
        before: The handler that was there.
        watched: Returns the runtimes.
        last: Called where no handler was there, before the default action.
        again: Has this called again, from another thread.
        patience_s: How long what comes last may take while the main thread waits.
    """

    def __init__(
        self,
        before: Handler,
        watched: Callable[[], Iterable[Runtime]],
        last: Callable[[], None],
        again: Callable[[TermHandler], None] | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._before = before
        self._watched = watched
        self._last = last
        self._again = again or _raise_in_main_thread
        self._patience_s = patience_s
        self._is_preparing = self._is_due = False
        self.stood: Handler = None
        """Whose handler the last signal reached, which may call this one."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Hold the signal back while something is to be waited for."""
        with _guarded:
            runtimes = tuple(self._watched())
            drains = [runtime.drain for runtime in runtimes]
            if self._before == signal.SIG_DFL and _are_led(runtimes):
                _hurry(drains)
                return  # hypercorn ends what is left as soon as one worker has ended

            is_due, self._is_due = self._is_due, False
            if not is_due and drains and all(drain.echoes() for drain in drains):
                return

            self.stood = signal.getsignal(signal.SIGTERM)
            # All are told, also if the first of them holds.
            held = [drain for drain in drains if drain.holds()]
            if held and in_background(held, "SIGTERM", self._let_go):
                return

            if runtimes and not self._prepared(runtimes):
                return

        if callable(self._before):
            self._before(number, frame)
        elif self._before == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _prepared(self, runtimes: tuple[Runtime, ...]) -> bool:
        """
        Do on a thread what comes before the end; the interrupted one waits for that.

        Returns:
            False if it waits in vain, maybe because it holds a lock that is needed: it
            has to go on first, and is interrupted again when all is done, or when that
            has had all the time that it may take.
        """
        if self._is_preparing:
            return True  # a signal meanwhile is obeyed at once

        done = _thread.allocate_lock()
        done.acquire()

        def prepare() -> None:
            try:
                self._prepare(runtimes)
            finally:
                self._is_preparing = False
                done.release()

        self._is_preparing = True
        if not _start(prepare):
            prepare()
        elif not done.acquire(timeout=self._patience_s):
            flushes_s = (each.settings.lifecycle.flush_timeout_s for each in runtimes)
            most_s = self._patience_s + max(flushes_s)

            def wait() -> None:
                done.acquire(timeout=most_s)
                self._let_go()

            return not _start(wait)

        return True

    def _prepare(self, runtimes: tuple[Runtime, ...]) -> None:
        with _guarded:
            for runtime in runtimes:
                runtime.drain.announce("SIGTERM", 0.0)
                # The handler before may be the one that ends the process (a tool's
                # that was loaded first), and says so to nobody.
                runtime.ended()

            if self._before == signal.SIG_DFL and not _are_led(runtimes):
                self._last()  # nobody else serves here, and atexit is skipped

    def _let_go(self) -> None:
        self._is_due = True
        self._again(self)


class _Listener:
    """
    Stands where an event loop put nothing, and has a second signal obeyed at once.

    Args:
        before: What was there.
        watched: Returns the runtimes.
    """

    def __init__(
        self, before: Handler, watched: Callable[[], Iterable[Runtime]]
    ) -> None:
        self._before = before
        self._watched = watched

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Hurry a drain that goes on; the loop does all else."""
        with _guarded:
            _hurry([runtime.drain for runtime in self._watched()])

        if callable(self._before):
            self._before(number, frame)


def _hurry(drains: list[Drain]) -> None:
    """Have those that were told before end now."""
    for drain in drains:
        if drain.told and not drain.echoes():
            drain.holds()


def _are_led(runtimes: tuple[Runtime, ...]) -> bool:
    return any(runtime.drain.is_led for runtime in runtimes)


def in_background(
    drains: list[Drain], why: str, let_go: Callable[[], None], *, always: bool = False
) -> bool:
    """
    Run *drains* on a thread, and then call *let_go* on it.

    Args:
        drains: What is to be waited for.
        why: Who told the server to end.
        let_go: Has the server end.
        always: Also if the server is ending by then, because it was told once more.

    Returns:
        False if no thread can be had any more.
    """

    def run() -> None:
        go_on = [drain.run(why) for drain in drains]
        with _guarded:
            if always or all(go_on):
                let_go()

    return _start(run)


def _start(run: Callable[[], None]) -> bool:
    try:
        # Not `threading`'s, which takes a lock that the interrupted thread may hold.
        _thread.start_new_thread(run, ())
    except RuntimeError:
        return False

    return True


def chain(
    runtime: Runtime,
    watched: Callable[[], Iterable[Runtime]],
    last: Callable[[], None],
) -> None:
    """
    Stand before the handler of SIGTERM that is there now, once; on the main thread.

    Args:
        runtime: Is told which server the handler belongs to.
        watched: Returns the runtimes that are told of the signal.
        last: Called before the default action, where there is no handler.
    """
    if threading.current_thread() is not threading.main_thread():
        return

    before = signal.getsignal(signal.SIGTERM)
    # None is a handler of the embedding server's, which nobody here could call.
    if before is None or isinstance(before, TermHandler | _Listener):
        return

    owner = getattr(before, "__self__", None)
    if _is(owner, "gunicorn.workers.base", "Worker"):
        runtime.drain.serve_in(GunicornWorker(cast("WorkerLike", owner)))
    elif _is(owner, "uvicorn.server", "Server"):
        runtime.drain.serve_in(UvicornServer(cast("ServerLike", owner)))
    elif getattr(before, "__module__", "") in _LOOPS:
        # The loop has its own handler called, whoever stands before this one.
        signal.signal(signal.SIGTERM, _Listener(before, watched))
        return

    signal.signal(signal.SIGTERM, TermHandler(before, watched, last))
    if _is(owner, "gunicorn.workers.base", "Worker"):
        # As gunicorn has it: system calls go on after the signal.
        signal.siginterrupt(signal.SIGTERM, False)


def _is(thing: object, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(thing, kind)


def _raise_in_main_thread(handler: TermHandler) -> None:
    # If somebody else took the signal meanwhile, the server is past its own stop.
    if signal.getsignal(signal.SIGTERM) is handler.stood:
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, signal.SIGTERM)
