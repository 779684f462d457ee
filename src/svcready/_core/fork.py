"""The one registry of what a fork has to be prepared for, and what to make anew."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import MethodType
from typing import TYPE_CHECKING
from weakref import WeakMethod

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["before_fork", "install", "reset_in_child"]

_resets: list[Callable[[], Callable[[], None] | None]] = []
_preparations: list[Callable[[], Callable[[], None] | None]] = []
_installed = False
_SWEEP_AT = 256

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120
_IMPORTS = "<frozen importlib._bootstrap>"
_PAUSE_S = 0.001
_MOST_IMPORTING_S = 5.0
"""An import that takes longer may wait for the thread that forks."""
_slow: set[int] = set()
"""The threads of such imports, which later forks do not wait for again."""


def reset_in_child(reset: Callable[[], None]) -> None:
    """
    Have *reset* called in every forked child, before the child's own code runs.

    Locks may be held by a thread that the child does not have, and threads and
    sockets are the parent's: *reset* replaces them and must neither wait nor start
    anything. Resets run in the order of registration.

    Args:
        reset: A function, kept for ever, or a bound method, kept only as long as its
            object lives.
    """
    _keep(_resets, reset)


def before_fork(prepare: Callable[[], None]) -> None:
    """
    Have *prepare* called in a process that is about to fork, by the thread that does.

    It runs at every fork, of an application's too: be quick, and don't wait for what
    other threads hold.

    Args:
        prepare: Kept as `reset_in_child` keeps its own.
    """
    _keep(_preparations, prepare)


def _keep(
    into: list[Callable[[], Callable[[], None] | None]], function: Callable[[], None]
) -> None:
    if isinstance(function, MethodType):
        if len(into) % _SWEEP_AT == _SWEEP_AT - 1:
            into[:] = [reference for reference in into if reference()]

        into.append(WeakMethod(function))
    else:
        into.append(lambda: function)


def install() -> None:
    """Hook the registry into `os.fork`, once per process; a runtime does this."""
    global _installed  # noqa: PLW0603 - CPython cannot take a fork hook back
    if not _installed and hasattr(os, "register_at_fork"):
        _installed = True
        os.register_at_fork(before=_run_preparations, after_in_child=_run_resets)


def _run_preparations() -> None:
    """
    Prepare for the fork, wholly, whatever a signal's handler raises meanwhile.

    CPython prints and drops what comes out of a fork hook, and forks.
    """
    try:
        _let_imports_end()
    finally:
        try:
            _run(_preparations)  # tell what is so at the fork, not seconds before
        finally:
            _let_imports_end()  # hardly ever has one begun meanwhile


def _run_resets() -> None:
    _run(_resets)


def _run(references: list[Callable[[], Callable[[], None] | None]]) -> None:
    from svcready._core.guard import report_fault  # guard registers here itself

    for reference in tuple(references):
        function = reference()
        if function is None:
            continue

        try:
            function()
        except Exception as error:  # noqa: BLE001 - the child must come up
            report_fault("fork", error)


def _let_imports_end() -> None:
    """
    Wait while a thread of ours imports: a child could never import that module.

    CPython makes its locks of single modules anew for nobody, so a child waits for
    ever for the one that a thread of its parent held.
    """
    importing = _importing()
    _slow.intersection_update(importing)
    if importing <= _slow:
        return

    ends_s = time.monotonic() + _MOST_IMPORTING_S
    try:
        _wait_for_imports(ends_s)
    except BaseException:  # a signal's; the child must come up all the same
        _wait_for_imports(ends_s)
        raise


def _wait_for_imports(ends_s: float) -> None:
    while not (importing := _importing()) <= _slow:
        if time.monotonic() >= ends_s:
            _slow.update(importing)
            return

        time.sleep(_PAUSE_S)


def _importing() -> set[int]:
    """Return the other threads in which code of ours has something imported."""
    me, frames = threading.get_ident(), sys._current_frames()  # noqa: SLF001 - the only way
    return {each for each in frames if each != me and _imports(frames[each])}


def _imports(frame: FrameType | None) -> bool:
    """Tell whether code of ours has a thread import at this moment."""
    imports = False
    while frame is not None:
        name = frame.f_code.co_filename
        if name == _IMPORTS:
            imports = True
        elif imports and name.startswith(_OURS):
            return True

        frame = frame.f_back

    return False
