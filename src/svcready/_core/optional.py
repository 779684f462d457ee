"""Imports of optional packages, whose absence is answered with the pip command."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from svcready.errors import MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["installed", "require"]


def require(module: str, *, extra: str, needed_for: str) -> ModuleType:
    """
    Import *module*, which belongs to the extra named *extra*.

    Args:
        module: The dotted name to import.
        extra: The extra that installs it.
        needed_for: What asked for it, for the message ("the `aws` transport").

    Raises:
        MissingExtraError: It is not installed; the message is the pip command.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        msg = (
            f"{needed_for} needs the package {missing!r}, which is not installed: "
            f'pip install "svcready[{extra}]"'
        )
        raise MissingExtraError(msg, name=missing) from error


def installed(module: str) -> bool:
    """Tell whether *module* can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):
        return False
