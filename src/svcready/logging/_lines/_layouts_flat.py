"""The layout `flat`: the standard one with the context's fields at the top."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from svcready.logging._lines._cut import Json

__all__ = ["RESERVED", "convert", "free_name", "schema"]

RESERVED = frozenset(
    {
        *("schema", "timestamp", "level", "message", "event", "service", "version"),
        *("environment", "instance", "request_id", "correlation_id", "trace_id"),
        *("span_id", "xray_trace_id", "recorded", "suppressed", "source", "http"),
        *("context", "error"),
        "log_type",  # by which the lines of the audit log are told from these
    }
)
"""Names that a field of the context never takes."""


def convert(line: dict[str, Json]) -> dict[str, Json]:
    """Return a line of the standard layout in this one."""
    context = line.pop("context", None)
    made = line
    if isinstance(context, dict):
        for key, value in context.items():
            taken = key in RESERVED or key in made
            name = free_name("context_", key, made, context) if taken else key
            made[name] = value

    return made


def free_name(
    prefix: str, key: str, made: dict[str, Json], context: dict[str, Json]
) -> str:
    """Return a name made of *key* that neither the line nor the context has."""
    name = prefix + key
    while name in made or name in context or name in RESERVED:
        name += "_"

    return name


def schema(standard: dict[str, object]) -> dict[str, object]:
    """Return the JSON Schema of a line in this layout."""
    properties = dict(cast("dict[str, object]", standard["properties"]))
    del properties["context"]
    return {
        **standard,
        "title": f"{standard['title']}, layout flat",
        "additionalProperties": True,
        "properties": properties,
    }
