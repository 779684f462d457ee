"""The command `svcready schema`: the schemas of what a service writes and serves."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from svcready.logging import audit, schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["main"]

_LAYOUTS = ("standard", "ecs", "otel", "flat")


def main(arguments: Sequence[str]) -> int:
    """Print one JSON Schema, or the OpenAPI document; return 0."""
    parser = ArgumentParser(
        prog="svcready schema",
        description="Print the JSON Schema (draft 2020-12) of what a service writes, "
        "or the OpenAPI document of the paths that it serves to operators.",
    )
    parser.add_argument(
        "what",
        choices=["log", "audit", "health", "openapi"],
        help="log: one line of the log; audit: one entry of the audit log; health: a "
        "probe's answer or a health report; openapi: the paths for operators, as the "
        "environment has them",
    )
    parser.add_argument(
        "--layout",
        choices=_LAYOUTS,
        default="standard",
        help="the log line's layout, as SVCREADY_LOG_LAYOUT names it",
    )
    options = parser.parse_args(arguments)
    print(json.dumps(_find(options.what, options.layout), indent=2))
    return 0


def _find(what: str, layout: str) -> Mapping[str, object]:
    if what == "audit":
        return audit.schema()

    if what == "health":
        from svcready.health._schema import schema as schema_of_health

        return schema_of_health()

    if what == "openapi":
        from svcready.cli._openapi import describe_operators

        return describe_operators()

    return schema(layout)
