"""A ready-made check: what it looks at, what looks, and what it keeps between runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PLAIN", "ReadyMade", "Subject", "let_go", "subject_of"]


class Subject(NamedTuple):
    """What a check looks at, as ready-made checks say it."""

    kind: str = "component"
    """`datastore`, `system` or `component`, as health+json has it."""
    measurement: str = "responseTime"
    """What it observes."""
    target: str = ""
    """Where it looks, for people."""


PLAIN = Subject()
"""What a check looks at that is not ready-made: it says nothing of it."""


class ReadyMade:
    """
    A check as an object: what it looks at, and the function that looks.

    Two of one name and one target are the same check, made twice by an application
    factory; of one name and two targets they are a mistake, which raises.

    Args:
        run: The check's function, plain or async.
        kind: `datastore`, `system` or `component`, as health+json has it.
        target: What it looks at, for people: without secrets.
        measurement: What it observes: `responseTime`, `utilization`, ...
        found: Nobody declared it: it gives way to a check of its name that somebody
            declares.
        close: Closes what it keeps between runs, when the service stops; it may run
            again afterwards, with a runtime that is started anew.
    """

    __slots__ = ("close", "found", "kind", "measurement", "run", "target")

    def __init__(
        self,
        run: Callable[[], object],
        *,
        kind: str,
        target: str,
        measurement: str = "responseTime",
        found: bool = False,
        close: Callable[[], None] | None = None,
    ) -> None:
        self.run = run
        self.close = close
        self.kind = kind
        self.target = target
        self.measurement = measurement
        self.found = found

    def __call__(self) -> object:
        """Run it; what an async one returns is awaited by whoever runs checks."""
        return self.run()


def subject_of(function: object) -> Subject:
    """Return what a check's *function* says of itself; plain ones say nothing."""
    if not isinstance(function, ReadyMade):
        return PLAIN

    return Subject(function.kind, function.measurement, function.target)


def let_go(function: object) -> None:
    """Have a check's *function* close what it keeps; only ready-made ones keep any."""
    if isinstance(function, ReadyMade) and function.close is not None:
        function.close()
