"""How long the run of a check may take, for the clients that it uses."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["allowed_s", "set_allowed"]

_DEFAULT_S = 2.0
_allowed_s: ContextVar[float] = ContextVar("svcready_check_allowed_s")


def allowed_s() -> float:
    """
    Return the time-out of the check that is running, in seconds.

    A client that a check uses gets this as its own time-out, so that a run ends by
    itself and leaves no thread waiting; 2 outside a check.
    """
    return _allowed_s.get(_DEFAULT_S)


def set_allowed(timeout_s: float) -> None:
    """Say in the run's own context, or on its own thread, how long it may take."""
    _allowed_s.set(timeout_s)
