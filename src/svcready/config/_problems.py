"""Problems: what is wrong with the configuration, said so that it can be mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Problem", "nearest", "raise_if_any", "suggestion"]

_LONGEST_COMPARED = 96


class Problem(NamedTuple):
    """One thing that is wrong with the configuration."""

    kind: str
    """
    `malformed`, `unknown`, `unreadable`, `unusable`, `secret`, `unmatched`, `restart`,
    `inert`, `idle`, `refused` or `incomplete`.
    """
    name: str
    """The variable, or the key and where it stands in the file."""
    value: str = ""
    """What was given, masked and shortened; empty if it must not be shown."""
    allowed: str = ""
    """What is allowed, or why it could not be read."""
    nearest: str = ""
    """The known name that is most like it."""
    used: str = ""
    """What is in force instead."""

    def __str__(self) -> str:
        given = f"{self.name}={self.value}" if self.value else self.name
        if self.kind == "malformed":
            text = f"{given} is not allowed: use {self.allowed}"
        elif self.kind == "unknown":
            text = f"{given} is not known"
            text += f": {self.allowed}" if self.allowed else ""
        elif self.kind == "unmatched":
            text = f"{given} names nothing that the service declares"
        elif self.kind == "inert":
            text = f"{given} has no effect in this version"
        elif self.kind == "idle":
            text = f"{given} has no effect: {self.allowed}"
        elif self.kind == "refused":
            text = f"{given} is refused {self.allowed}"
        elif self.kind == "incomplete":
            text = f"{given}{self.allowed}"
        elif self.kind == "secret":
            text = f"{given} cannot be resolved: {self.allowed}"
        elif self.kind == "restart":
            text = f"{given} has changed and takes effect after a restart"
        else:
            text = f"{given} cannot be read: {self.allowed}"

        return text + suggestion(self.nearest) + (f"; {self.used}" if self.used else "")


def suggestion(name: str) -> str:
    """Return the question that ends a message about an unknown name."""
    return f"; did you mean {name}?" if name else ""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the one of *known* that is most like *word*, or an empty string."""
    from difflib import get_close_matches  # needed only when something is wrong

    found = get_close_matches(word[:_LONGEST_COMPARED], known, 1, cutoff)
    return found[0] if found else ""


def raise_if_any(problems: Iterable[Problem]) -> None:
    """
    Raise all *problems* as one error; what strict mode does with a report.

    A setting without effect is reported and no more: its value is right, and a later
    version heeds it.

    Raises:
        ConfigurationError: There is at least one.
    """
    # What would be used instead is not: an error is raised.
    lines = tuple(
        str(problem._replace(used=""))
        for problem in problems
        if problem.kind != "inert"
    )
    if lines:
        raise ConfigurationError(lines)
