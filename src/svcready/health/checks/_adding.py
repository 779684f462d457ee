"""What all ready-made checks have in common: their options and their declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from svcready.health._check import check
from svcready.health._subject import ReadyMade

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["Options", "ReadyMade", "add"]


class Options(TypedDict, total=False):
    """What every ready-made check takes besides its subject, as `health.check` does."""

    critical: bool
    criticality: str
    groups: tuple[str, ...]
    timeout: float | timedelta | str
    interval: float | timedelta | str
    fail_after: int
    recover_after: int


def add(name: str, ready: ReadyMade, options: Options) -> None:
    """
    Declare a ready-made check.

    Args:
        name: Its name: 1-64 characters of `a-z 0-9 _ . -`.
        ready: What it does.
        options: What the caller said of it.

    Raises:
        DeclarationError: An option is wrong, or another check has the name.
    """
    check(name, **options)(ready)
