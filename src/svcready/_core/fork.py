"""The one registry of what must be made anew in a forked child."""

from __future__ import annotations

import os
from types import MethodType
from typing import TYPE_CHECKING
from weakref import WeakMethod

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["install", "reset_in_child"]

_resets: list[Callable[[], Callable[[], None] | None]] = []
_installed = False
_SWEEP_AT = 256


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
    if isinstance(reset, MethodType):
        if len(_resets) % _SWEEP_AT == _SWEEP_AT - 1:
            _resets[:] = [reference for reference in _resets if reference()]

        _resets.append(WeakMethod(reset))
    else:
        _resets.append(lambda: reset)


def install() -> None:
    """Hook the registry into `os.fork`, once per process; a runtime does this."""
    global _installed  # noqa: PLW0603 - CPython cannot take a fork hook back
    if not _installed and hasattr(os, "register_at_fork"):
        _installed = True
        os.register_at_fork(after_in_child=_run_resets)


def _run_resets() -> None:
    from svcready._core.guard import report_fault  # guard registers here itself

    for reference in tuple(_resets):
        reset = reference()
        if reset is None:
            continue

        try:
            reset()
        except Exception as error:  # noqa: BLE001 - the child must come up
            report_fault("fork", error)
