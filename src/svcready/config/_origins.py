"""Origins: where each value of the configuration was said."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DEFAULT_ORIGIN", "RELAXED_ORIGIN", "Origin"]


class Origin(NamedTuple):
    """Where a value was said."""

    kind: str
    """`variable`, `standard`, `file`, `argument` or `default`."""
    name: str
    """The variable, the key, or nothing for a default."""
    place: str = ""
    """The file and its table."""

    @property
    def where(self) -> str:
        """The name and its place, as reports show them."""
        return f"{self.place} {self.name}" if self.place else self.name

    def __str__(self) -> str:
        if self.kind == "argument":
            return f"init({self.name})"

        return self.where or self.kind


DEFAULT_ORIGIN = Origin("default", "")
RELAXED_ORIGIN = Origin("default", "default in development")
