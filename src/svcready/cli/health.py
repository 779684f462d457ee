"""The command `svcready health`: what platforms must be told of the probes."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import TYPE_CHECKING

from svcready.cli._manifests import FORMATS
from svcready.cli._probe_plan import Asked, contradictions, make_plan
from svcready.config import load
from svcready.config._kinds import duration, integer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from svcready.config._kinds import Kind

__all__ = ["main"]

_PORT_VARIABLES = ("UVICORN_PORT", "PORT")


def main(arguments: Sequence[str]) -> int:
    """
    Print a manifest.

    Returns:
        0, or 1 if the settings contradict each other: then nothing is printed but
        what is wrong.
    """
    options = _parser().parse_args(arguments)
    settings = load(environ=os.environ, resolve_secret=lambda _: "unresolved")
    for problem in settings.problems:
        print(f"svcready: note: {problem}", file=sys.stderr)

    asked = Asked(
        options.port,
        options.period,
        options.timeout,
        options.failures,
        options.grace,
        names_port=options.port != _usual_port(),
    )
    plan = make_plan(settings, options.name or settings.service.name, asked)
    wrong = contradictions(plan, options.format)
    if wrong:
        for each in wrong:
            print(f"svcready: {each}", file=sys.stderr)

        return 1

    print(FORMATS[options.format](plan), end="")
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="svcready health",
        description="What platforms have to be told of a service's probes. Run it "
        "with the service's own variables.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    manifest = commands.add_parser(
        "manifest",
        help="print probe settings that fit the service's",
        description="Print settings of probes and of the end that fit the service's "
        "own, with the reason of each number; exit with 1 and say why if they "
        "contradict each other.",
    )
    manifest.add_argument("--format", required=True, choices=FORMATS)
    manifest.add_argument("--name", help="the service's name")
    manifest.add_argument(
        "--port",
        type=_of(integer(1, 65535)),
        default=_usual_port(),
        help="the application's port (UVICORN_PORT, PORT or 8000)",
    )
    manifest.add_argument(
        "--period",
        type=_of(duration(0.1, 3600)),
        help="from one question to the next, as 10s",
    )
    manifest.add_argument(
        "--timeout", type=_of(duration(0.1, 3600)), help="how long an answer may take"
    )
    manifest.add_argument(
        "--failures", type=_of(integer(1, 1000)), help="failures in a row that count"
    )
    manifest.add_argument(
        "--grace",
        type=_of(duration(1, 86400)),
        help="from SIGTERM to SIGKILL (SVCREADY_LIFECYCLE_GRACE_S)",
    )
    return parser


def _of(kind: Kind[int] | Kind[float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            return kind.parse(text)
        except ValueError:
            raise ArgumentTypeError(f"use {kind.allowed}") from None

    return parse


def _usual_port() -> int:
    for name in _PORT_VARIABLES:
        text = os.environ.get(name, "")
        if text.isdecimal() and text.isascii() and 0 < int(text) <= 65535:
            return int(text)

    return 8000
