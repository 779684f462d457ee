"""Whose work is running: the task's, or else the thread's."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING
from weakref import ref

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable

__all__ = ["running_loop", "whose"]

_THREAD = threading.local()
_loop_now: Callable[[], AbstractEventLoop | None] | None = None
_task_now: Callable[[AbstractEventLoop], Task[object] | None]


class _Thread:
    """Stands for one thread; a thread's number is given to another after its end."""

    __slots__ = ()


def running_loop() -> AbstractEventLoop | None:
    """Return the event loop that the calling thread runs, if it does."""
    return None if _loop_now is None and not _look() else _loop_now()  # type: ignore[misc]


def whose() -> object:
    """
    Return what stands for the running task, or else for the thread.

    It can be hashed, is equal only to itself, and keeps no task alive: a task that its
    loop has forgotten must be collected for what it holds to be given back.
    """
    if _loop_now is not None or _look():
        loop = _loop_now()  # type: ignore[misc]
        if loop is not None:
            task = _task_now(loop)
            if task is not None:
                return ref(task)

    try:
        return _THREAD.me
    except AttributeError:
        me = _THREAD.me = _Thread()
        return me


def _look() -> bool:
    """Return whether somebody has loaded asyncio: without it no loop can run."""
    global _loop_now, _task_now
    asyncio = sys.modules.get("asyncio")
    if not hasattr(asyncio, "run"):  # not loaded, or not wholly yet
        return False

    from asyncio import _get_running_loop, current_task

    _loop_now, _task_now = _get_running_loop, current_task
    return True
