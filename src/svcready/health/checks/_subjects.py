"""Refuses what a ready-made check is given and cannot ask."""

from __future__ import annotations

from svcready._core.optional import installed
from svcready.errors import DeclarationError, MissingExtraError

__all__ = ["check_text", "needs", "refuse"]


def refuse(function: str, takes: str, given: object) -> DeclarationError:
    """
    Return the error that says what would have been taken.

    Args:
        function: The one that was called: `add_redis`.
        takes: `a client of redis-py`.
        given: What it was given. Only its type is told, since a URL holds a password.
    """
    kind = type(given).__name__
    return DeclarationError(f"health.{function} takes {takes}, not {kind}")


def check_text(function: str, takes: str, given: object) -> None:
    """
    Refuse what is no text, or an empty one.

    Raises:
        DeclarationError: It is none.
    """
    if not isinstance(given, str):
        raise refuse(function, takes, given)

    if not given:
        msg = f"health.{function} takes {takes}, not an empty text"
        raise DeclarationError(msg)


def needs(function: str, module: str) -> None:
    """
    Refuse to declare what no installed package can ask.

    Args:
        function: The one that was called.
        module: The package's name, in Python and for pip.

    Raises:
        MissingExtraError: It is not installed; the message is the pip command.
    """
    if not installed(module):
        msg = (
            f"health.{function} needs the package {module!r}, which is not installed: "
            f"pip install {module}"
        )
        raise MissingExtraError(msg, name=module)
