"""Daemon threads of our own, of which an interpreter that ends starts no more."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["start_daemon"]

_AT_THE_END = "interpreter shutdown"
"""What Python says then; where nobody can tell, as long as other threads still run."""


def start_daemon(
    target: Callable[[], None], name: str, component: str
) -> threading.Thread | None:
    """
    Start a daemon thread.

    Args:
        target: What it runs.
        name: The thread's name.
        component: Who is named in the report if the system has no room for a thread.

    Returns:
        None if it can't be started: reported, unless it is only that the interpreter
        ends, which since Python 3.12 refuses new threads.
    """
    thread = threading.Thread(target=target, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        if _AT_THE_END not in str(error):
            report_fault(component, error)

        return None

    return thread
