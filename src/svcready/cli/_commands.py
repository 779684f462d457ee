"""The table of commands, each imported when it is run."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.optional import installed
from svcready.errors import SvcreadyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["COMMANDS", "Command", "run"]

_USAGE_ERROR = 2


class Command(NamedTuple):
    """One command: where it is, and what it does."""

    module: str
    """Has a function `main(arguments) -> int`."""
    help: str
    """One line for the list of commands."""


COMMANDS = {
    "audit": Command(
        "svcready.cli.audit", "verify an audit log: is anything missing or altered"
    ),
    "config": Command(
        "svcready.cli.config", "show every setting in force and where it was said"
    ),
    "drain": Command(
        "svcready.cli.drain", "have a running service drain, as a preStop hook does"
    ),
    "health": Command(
        "svcready.cli.health", "print probe settings for Kubernetes, ECS, HAProxy …"
    ),
    "healthcheck": Command(
        "svcready.cli.healthcheck", "ask a probe, for ECS and Docker: 0 if it passes"
    ),
    "log-config": Command(
        "svcready.cli.log_config", "print the logging configuration for servers"
    ),
    "metrics": Command(
        "svcready.cli.metrics", "estimate what metrics cost on CloudWatch"
    ),
    "demo": Command("svcready.demo", "run a service and see all of it at work"),
    "schema": Command(
        "svcready.cli.schema", "print a JSON Schema, or the OpenAPI document"
    ),
}
"""Every command by its word."""


def run(words: Sequence[str]) -> int:
    """
    Run the command that *words* name.

    Args:
        words: Those after the program's name.

    Returns:
        The exit code: 0 if all is well, 2 for a wrong command line.
    """
    if words and words[0] in {"-V", "--version"}:
        print(f"svcready {version('svcready')}")
        return 0

    if not words or words[0] in {"-h", "--help", "help"}:
        print(_usage())
        return 0 if words else _USAGE_ERROR

    command = COMMANDS.get(words[0])
    if command is None:
        print(f"svcready: no command {words[0]!r}\n\n{_usage()}", file=sys.stderr)
        return _USAGE_ERROR

    try:
        main: Callable[[list[str]], int] = import_module(command.module).main
        return main(list(words[1:]))
    except SvcreadyError as error:
        print(f"svcready: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        sys.stderr.close()
        return 0


def _usage() -> str:
    there = {word: command for word, command in COMMANDS.items() if _is_there(command)}
    width = max(len(word) for word in there)
    lines = [f"  {word:<{width}}  {command.help}" for word, command in there.items()]
    options = "  --version, --help"
    return "\n".join(("usage: svcready COMMAND [options]", "", *lines, "", options))


def _is_there(command: Command) -> bool:
    return installed(command.module)
