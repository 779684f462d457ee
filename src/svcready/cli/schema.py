"""The command `svcready schema`: the published schemas of what a service writes."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from svcready.logging import audit, schema

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_LAYOUTS = ("standard", "ecs", "otel", "flat")


def main(arguments: Sequence[str]) -> int:
    """Print one JSON Schema; return 0."""
    parser = ArgumentParser(
        prog="svcready schema",
        description="Print the JSON Schema (draft 2020-12) of what a service writes.",
    )
    parser.add_argument(
        "what",
        choices=["log", "audit"],
        help="log: one line of the log; audit: one entry of the audit log",
    )
    parser.add_argument(
        "--layout",
        choices=_LAYOUTS,
        default="standard",
        help="the log line's layout, as SVCREADY_LOG_LAYOUT names it",
    )
    options = parser.parse_args(arguments)
    asked = audit.schema() if options.what == "audit" else schema(options.layout)
    print(json.dumps(asked, indent=2))
    return 0
