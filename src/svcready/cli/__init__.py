"""The command line, `svcready`: a health check at once, all else by a table."""

from __future__ import annotations

import sys

# `typing` alone would be a tenth of what a health check may cost.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready.cli._commands import COMMANDS, Command

__all__ = ["COMMANDS", "Command", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Args:
        argv: The words after the program's name; those of the process by default.

    Returns:
        The exit code: 0 if all is well, 2 for a wrong command line.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["healthcheck"]:  # is run every few seconds, beside the service
        from svcready.cli.healthcheck import main as check

        return check(words[1:])

    from svcready.cli._commands import run

    return run(words)


def __getattr__(name: str) -> object:
    if name not in {"COMMANDS", "Command"}:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)

    from svcready.cli import _commands

    return getattr(_commands, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
