"""The path `/admin/tasks`: what every asyncio task of the application does."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

from svcready.admin._exchange import answer_json
from svcready.admin._routes._frames import Served, line_of, stack_of
from svcready.admin._surface import Route

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from contextvars import Context

    from svcready._runtime import Runtime
    from svcready.admin._exchange import OpsRequest, OpsResponse

__all__ = ["tasks_route"]

_MOST_TASKS = 500
_MOST_AWAITS = 32
_WAIT_S = 1.0


class _Seen(NamedTuple):
    """A task, as it was found on its loop's thread."""

    name: str
    coroutine: str
    state: str
    stack: list[str]
    waits_for: str | None
    context: Context | None


def tasks_route(runtime: Runtime) -> Route:
    """
    Make the path that lists tasks by event loop.

    They are looked at on the loop's own thread, within a second; a loop that has no
    time for it is blocked, and what blocks it is shown instead.

    Args:
        runtime: Knows the loops.
    """

    def answer(_: OpsRequest) -> OpsResponse:
        loops = [_loop(runtime, *each) for each in tuple(runtime.loops.items())]
        return answer_json(200, {"pid": os.getpid(), "loops": loops})

    return Route("/admin/tasks", answer, guarded=True, slow=True)


def _loop(runtime: Runtime, loop: AbstractEventLoop, thread: int) -> dict[str, object]:
    if loop.is_closed() or not loop.is_running():
        return {"state": "stopped", "tasks": []}

    seen: list[_Seen] = []
    total: list[int] = []
    done = threading.Event()

    def look() -> None:
        try:
            _look(loop, seen, total)
        finally:
            done.set()

    if threading.get_ident() == thread:  # asked on the loop itself
        look()
    else:
        try:
            loop.call_soon_threadsafe(look)
        except RuntimeError:  # it has closed
            return {"state": "stopped", "tasks": []}

        if not done.wait(_WAIT_S):
            stack = stack_of(sys._current_frames().get(thread))  # noqa: SLF001
            return {"state": "blocked", "blocked_at": stack, "tasks": []}

    served, redact = Served(runtime), runtime.redactor.text
    tasks = [
        {
            "name": redact(each.name),
            "coroutine": each.coroutine,
            "state": each.state,
            "waits_for": each.waits_for,
            "serves": served.by_context(each.context),
            "stack": each.stack,
        }
        for each in seen
    ]
    left_out = sum(total) - len(tasks)
    return {"state": "running", "tasks": tasks, "left_out": left_out}


def _look(loop: AbstractEventLoop, seen: list[_Seen], total: list[int]) -> None:
    from asyncio import all_tasks

    tasks = all_tasks(loop)
    total.append(len(tasks))
    for task in tasks:
        if len(seen) >= _MOST_TASKS:
            return

        seen.append(_see(task))


def _see(task: Task[object]) -> _Seen:
    coroutine: object = task.get_coro()
    name = getattr(coroutine, "__qualname__", type(coroutine).__qualname__)
    stack: list[str] = []
    awaited: object = coroutine
    while awaited is not None and len(stack) < _MOST_AWAITS:
        # Of coroutines, generators and asynchronous generators, each its own words.
        frame, inner = None, None
        for kind in ("cr", "gi", "ag"):
            if hasattr(awaited, f"{kind}_frame"):
                frame = getattr(awaited, f"{kind}_frame")
                word = "yieldfrom" if kind == "gi" else "await"
                inner = getattr(awaited, f"{kind}_{word}")

        if frame is None:
            break

        stack.append(line_of(frame))
        awaited = inner

    # Of every task of asyncio's and uvloop's; for others, what its coroutine awaits.
    waits_for: object = getattr(task, "_fut_waiter", awaited)
    state = "ready" if waits_for is None else "waits"
    context = getattr(task, "get_context", lambda: None)()  # since Python 3.12
    return _Seen(
        task.get_name()[:256],
        str(name)[:256],
        "cancelling" if task.cancelling() else state,
        stack[::-1],
        None if waits_for is None else type(waits_for).__qualname__,
        context,
    )
