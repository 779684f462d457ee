"""Threads and executors that take context along unasked, until it is undone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from opentelemetry.context import Context

from svcready._core import fork
from svcready._core.context import activate, deactivate
from svcready.tracing import _otel
from svcready.tracing._carry import Carried

if TYPE_CHECKING:
    from collections.abc import Callable

    Inner = Callable[..., object]

__all__ = ["follow"]

_OURS = "svcready"
"""Begins the names of our own threads, which belong to no request."""
_NOTHING = Context()


def follow() -> Callable[[], None]:
    """
    Have context follow into threads and thread pools that are started from now on.

    `threading.Thread` (timers too), `ThreadPoolExecutor.submit` and what is built on
    it: `map`, `loop.run_in_executor`. A pool's threads keep nothing of the work that
    they were started for.

    Returns:
        What undoes it; the last of several callers puts everything back.
    """
    _PATCH.begin()
    done = False

    def undo() -> None:
        nonlocal done
        if not done:
            done = True
            _PATCH.end()

    return undo


class _Patch:
    """The two methods that are wrapped, once however many ask for it."""

    def __init__(self) -> None:
        self._users = 0
        self._lock = threading.Lock()
        self._wrapped: dict[tuple[type, str], tuple[object, object]] = {}
        fork.reset_in_child(self._reset_lock)

    def begin(self) -> None:
        """Wrap, for the first who asks."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._wrap(threading.Thread, "start", _start)
                self._wrap(ThreadPoolExecutor, "submit", _submit)

    def end(self) -> None:
        """Put back, for the last who asked."""
        with self._lock:
            self._users -= 1
            if self._users:
                return

            for (kind, name), (original, ours) in list(self._wrapped.items()):
                if vars(kind).get(name) is ours:
                    setattr(kind, name, original)
                    del self._wrapped[kind, name]

    def _wrap(self, kind: type, name: str, wrapper: Callable[..., object]) -> None:
        if (kind, name) in self._wrapped:  # somebody's wrapper around it keeps it
            return

        import wrapt

        def call(
            inner: Inner,
            instance: object,
            args: tuple[object, ...],
            kwargs: dict[str, object],
        ) -> object:
            carried = Carried() if self._users else None
            if not carried:
                return inner(*args, **kwargs)

            return wrapper(carried, inner, instance, args, kwargs)

        original = vars(kind)[name]
        ours = wrapt.FunctionWrapper(original, call)
        setattr(kind, name, ours)
        self._wrapped[kind, name] = original, ours

    def _reset_lock(self) -> None:
        self._lock = threading.Lock()


def _start(
    carried: Carried,
    inner: Inner,
    thread: threading.Thread,
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> object:
    if not _is_fresh(thread):
        return inner(*args, **kwargs)

    # On the thread itself, because a subclass may have a `run` of its own.
    own = vars(thread).get("run")
    run = thread.run

    def put_back() -> None:
        vars(thread).pop("run", None)
        if own is not None:
            vars(thread)["run"] = own

    def run_carried() -> None:
        put_back()
        carried.run(run)

    vars(thread)["run"] = run_carried
    try:
        return inner(*args, **kwargs)
    except BaseException:
        put_back()
        raise


def _is_fresh(thread: threading.Thread) -> bool:
    """Tell whether *thread* is somebody else's, and can be started at all."""
    try:
        return thread.ident is None and not thread.name.startswith(_OURS)
    except AssertionError:  # a subclass that did not call its base; `start` says so
        return False


def _submit(
    carried: Carried,
    inner: Inner,
    executor: ThreadPoolExecutor,  # noqa: ARG001 - as wrapt calls
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> object:
    if not args:  # its own error
        return inner(*args, **kwargs)

    function, *rest = args
    # A thread that the pool starts for this work outlives it, and takes nothing along.
    token = activate(None)
    attached = _otel.attach(_NOTHING)
    try:
        return inner(carried.run, function, *rest, **kwargs)
    finally:
        _otel.detach(attached, _NOTHING)
        deactivate(token)


_PATCH = _Patch()
