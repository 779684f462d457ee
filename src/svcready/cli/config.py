"""The command `svcready config`: every setting in force, and what is wrong."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from svcready._core.release import own_version
from svcready._runtime._judged import beforehand, harmless
from svcready._transport.aws import SecretResolver
from svcready.cli._style import style_for
from svcready.config import describe, load, report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready.cli._style import Style
    from svcready.config import Row, Settings

__all__ = ["main"]

_DEADLINE_S = 5.0
_WIDEST_VALUE = 48


def main(arguments: Sequence[str]) -> int:
    """
    Print the settings that a service started here and now would have.

    What its code says by `init(settings=...)` is not known here; everything else is.

    As checkers do, `--check` prints what is wrong and no more, and the count last.

    Returns:
        0, or 1 with `--check` if anything is wrong.
    """
    parser = ArgumentParser(
        prog="svcready config",
        description="Show every setting in force, where it was said, and what is "
        "wrong: environment and file. What the code says is beneath both and not "
        "known here.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--check",
        action="store_true",
        help="print only what is wrong, and exit with 1 if anything is",
    )
    parser.add_argument(
        "--all", action="store_true", help="with --check: print every setting as well"
    )
    options = parser.parse_args(arguments)
    settings = load(environ=os.environ, resolve_secret=SecretResolver(_DEADLINE_S))
    unfit = beforehand(settings)
    passed = harmless(settings)
    problems = [*map(str, settings.problems), *unfit]
    wrong = [problem for problem in problems if problem not in passed]
    if options.json:
        print(json.dumps(report(settings, unfit), indent=2))
    else:
        style = style_for(sys.stdout, os.environ)
        lines = [] if options.check and not options.all else _table(settings, style)
        head = f"svcready {own_version()} | {settings.service.environment}"
        told = [problem for problem in problems if problem in passed]
        print("\n".join((style(head, "bold"), *lines, *_verdict(wrong, told, style))))

    return 1 if options.check and wrong else 0


def _table(settings: Settings, style: Style) -> list[str]:
    rows = describe(settings)
    names = max(len(_name(row)) for row in rows)
    values = min(max(len(_value(row)) for row in rows), _WIDEST_VALUE)
    lines: list[str] = []
    section = ""
    for row in rows:
        if row.key.partition(".")[0] != section:
            section = row.key.partition(".")[0]
            lines += ["", style(section, "bold")]

        lines.append(_line(row, names, values, style))

    if settings.pinned:
        lines += ["", "In the file, but the environment decides:"]
        lines += [f"  {key}: {said}" for key, said in settings.pinned.items()]

    return [*lines, ""]


def _verdict(wrong: list[str], told: list[str], style: Style) -> list[str]:
    """Return what is wrong, a line each, and how much that is as the last line."""
    lines = [f"  {style('-', 'yellow')} {each} (fails no check)" for each in told]
    lines += [f"  {style('!', 'red')} {each}" for each in wrong]
    if not wrong:
        return [*lines, style("no problems", "green")]

    count = "1 problem" if len(wrong) == 1 else f"{len(wrong)} problems"
    return [*lines, style(count, "bold", "red")]


def _line(row: Row, names: int, values: int, style: Style) -> str:
    plain = f"  {_name(row):<{names}}  {_value(row):<{values}}  "
    if row.is_default:
        return style(f"{plain}{row.origin}", "dim")

    return f"{plain}{style(row.origin, 'yellow')}"


def _name(row: Row) -> str:
    """Return the variable that sets it."""
    return row.variable


def _value(row: Row) -> str:
    text = row.value or "-"
    return f"{text} {row.unit}" if row.unit and row.value else text
