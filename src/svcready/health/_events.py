"""The events of health: what the other parts are told."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CheckChanged", "CheckRan", "LifecycleChanged"]


class CheckChanged(NamedTuple):
    """A check's settled status is another than before."""

    name: str
    """The check's name."""
    before: str
    """`pending`, `pass`, `warn` or `fail`."""
    after: str
    """`pass`, `warn` or `fail`."""
    reason: str
    """Why, with secrets hidden; empty if it simply passes."""
    critical: bool
    """Whether its failure takes the service out of rotation."""


class CheckRan(NamedTuple):
    """A run of a check has ended, or its time is up."""

    name: str
    """The check's name."""
    status: str
    """What this run says, before thresholds: `pass`, `warn` or `fail`."""
    duration_s: float
    """How long it took; the time-out if it is not back."""


class LifecycleChanged(NamedTuple):
    """The service has gone on to the next state of its life."""

    before: str
    """`starting`, `ready`, `draining` or `stopped`."""
    after: str
    """The same."""
