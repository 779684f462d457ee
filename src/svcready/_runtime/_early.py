"""Begins before the first request, where only a server knows that it serves."""

from __future__ import annotations

from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from weakref import ref

from svcready._core.guard import guard
from svcready._runtime._cells import begin_all, current

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from svcready._runtime._cells import PlanCell
    from svcready._runtime._ending._servers import WorkerLike

__all__ = ["begin_in_loop", "begin_with", "running_loop"]

P = TypeVar("P")

_THREADED = "gunicorn.workers.gthread"
_SYNC = "gunicorn.workers.sync"
_beginning = guard("runtime.begin")


def begin_with(worker: WorkerLike) -> None:
    """
    Have a worker of gunicorn's begin when its main loop does.

    A WSGI server tells its application nothing but requests. An orchestrator that asks
    the operator's port whether the service is ready, before it sends any, would wait
    for ever.

    Args:
        worker: The one that this process is, before it runs.
    """
    run = worker.run

    def begin_and_run() -> None:
        with _beginning:
            _begin(worker)

        run()

    worker.run = begin_and_run  # type: ignore[method-assign]


def _begin(worker: WorkerLike) -> None:
    runtime = current()
    if runtime is None:
        return

    modules = {kind.__module__ for kind in type(worker).__mro__}
    if _THREADED in modules:
        runtime.stalls.threads = worker.cfg.threads
    elif _SYNC in modules:
        runtime.stalls.threads = 1

    if runtime.ops.wanted:
        begin_all()


def running_loop() -> AbstractEventLoop | None:
    """Return the event loop that this thread runs at this moment."""
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def begin_in_loop(cell: PlanCell[P]) -> None:
    """
    Have *cell* begin with the event loop that loads the application, if one does.

    uvicorn imports the application within its loop, and some frameworks take no
    lifespan that would tell when serving begins.
    """
    loop = running_loop()
    if loop is not None:
        loop.call_soon(partial(_begin_cell, ref(cell)), context=Context())


def _begin_cell(found: ref[PlanCell[P]]) -> None:
    with _beginning:
        cell, runtime = found(), current()
        if cell is None or runtime is None or not runtime.ops.wanted:
            return

        if cell.begin is not None and cell.plan is None:
            cell.begin()
