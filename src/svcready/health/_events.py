"""The events of health: what the other parts are told."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "CheckChanged",
    "CheckFound",
    "CheckRan",
    "LifecycleChanged",
    "StartupTaskEnded",
    "StartupTaskLate",
]


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
    criticality: str
    """What its failure does: `critical`, `degraded` or `informational`."""


class CheckRan(NamedTuple):
    """A run of a check has ended, or its time is up."""

    name: str
    """The check's name."""
    status: str
    """What this run says, before thresholds: `pass`, `warn` or `fail`."""
    duration_s: float
    """How long it took; the time-out if it is not back."""


class CheckFound(NamedTuple):
    """A check was found by itself in a service that runs, or counts otherwise now."""

    name: str
    """The check's name."""
    criticality: str
    """`critical` or `degraded`."""
    target: str
    """What it looks at, without secrets."""


class LifecycleChanged(NamedTuple):
    """The service has gone on to the next state of its life."""

    before: str
    """`starting`, `ready`, `draining`, `stopped` or `broken`."""
    after: str
    """The same."""
    reason: str = ""
    """Why it is broken; empty for anything else."""


class StartupTaskEnded(NamedTuple):
    """A try at a startup task has ended."""

    name: str
    """The task's name."""
    duration_s: float
    """How long it took."""
    reason: str
    """Why it failed, with secrets hidden; empty if it is done."""


class StartupTaskLate(NamedTuple):
    """A startup task was declared when the service was ready already."""

    name: str
    """The task's name."""
