"""hypercorn: holds its shutdown back while the service drains."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from svcready._core.guard import guard
from svcready._core.imports import when_imported
from svcready._runtime._ending._signals import in_background

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Awaitable, Callable, Iterable
    from types import ModuleType

    from svcready._runtime._runtime import Runtime

    Trigger = Callable[..., Awaitable[object]]
    Wait = Callable[[Trigger], Awaitable[None]]

__all__ = ["hold_shutdown"]

_MODULE = "hypercorn.asyncio.run"
_CONNECTION = "worker_serve.<locals>._server_callback"
_PATIENCE_S = 3.0
"""What hypercorn gives to those in flight, besides the drain, if nobody says more."""
_hooked = False
_guarded = guard("runtime.hypercorn")


def hold_shutdown(watched: Callable[[], Iterable[Runtime]]) -> Callable[[], None]:
    """
    Have hypercorn drain before it stops.

    Its workers hear of the end by an event of its own, not by a signal, and look up
    what waits for that event when the application has started; so that is wrapped.

    Args:
        watched: Returns the runtimes that drain.

    Returns:
        What ends the waiting for hypercorn.
    """
    return when_imported(_MODULE, lambda: _hook(sys.modules[_MODULE], watched))


def _hook(module: ModuleType, watched: Callable[[], Iterable[Runtime]]) -> None:
    global _hooked  # noqa: PLW0603 - a function of hypercorn's is wrapped once
    if _hooked:
        return

    _hooked = True
    wait: Wait = module.__dict__["raise_shutdown"]

    def raise_shutdown(trigger: Trigger) -> Awaitable[None]:
        """Raise what ends the server, once that may be."""
        # Its caller has the configuration, which it hands on to nobody.
        config = sys._getframe(1).f_locals.get("config")  # noqa: SLF001
        patience_s = getattr(config, "graceful_timeout", None)
        return end(trigger, _PATIENCE_S if patience_s is None else patience_s)

    async def end(trigger: Trigger, patience_s: float) -> None:
        try:
            await wait(trigger)
        except Exception:
            # A worker that has served its number of requests is replaced; the
            # service goes on.
            owner = getattr(trigger, "__self__", None)
            if type(owner).__name__ != "EventWrapper":
                await _drain(watched, patience_s)

            raise

    module.__dict__["raise_shutdown"] = raise_shutdown


async def _drain(watched: Callable[[], Iterable[Runtime]], patience_s: float) -> None:
    import asyncio  # a coroutine runs here, so it is loaded already

    with _guarded:
        loop = asyncio.get_running_loop()
        drained = loop.create_future()
        drains = [runtime.drain for runtime in watched()]
        # By a signal that went to the whole group, this one may be told already.
        held = [drain for drain in drains if drain.echoes() or drain.holds()]
        for drain in drains:
            drain.is_led = True

        def let_go() -> None:
            loop.call_soon_threadsafe(drained.set_result, None)

        if held and in_background(held, "shutdown of hypercorn", let_go, always=True):
            await drained

        if sys.version_info >= (3, 12):
            # A server that is closed waits for all of its connections, and hypercorn
            # begins to lose its patience with those only after that.
            loop.call_later(patience_s, _cut, asyncio.all_tasks)


def _cut(tasks: Callable[[], Iterable[Task[object]]]) -> None:
    """Cancel the connections that are left, as hypercorn means to."""
    for task in tasks():
        if getattr(task.get_coro(), "__qualname__", "") == _CONNECTION:
            task.cancel()
