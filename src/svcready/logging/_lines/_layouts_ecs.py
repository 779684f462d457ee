"""The layout `ecs`: a line's members under the names of Elastic Common Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from svcready.logging._lines._cut import Json

__all__ = ["NAMES", "VERSION", "convert", "schema"]

VERSION = "8.17.0"

NAMES = {
    "timestamp": "@timestamp",
    "level": "log.level",
    "message": "message",
    "event": "event.action",
    "service": "service.name",
    "version": "service.version",
    "environment": "service.environment",
    "instance": "service.node.name",
    "request_id": "http.request.id",
    "correlation_id": "svcready.correlation_id",
    "trace_id": "trace.id",
    "span_id": "span.id",
    "xray_trace_id": "svcready.xray_trace_id",
    "recorded": "svcready.recorded",
    "suppressed": "svcready.suppressed",
    "source.logger": "log.logger",
    "source.function": "log.origin.function",
    "source.line": "log.origin.file.line",
    "http.method": "http.request.method",
    "http.route": "svcready.route",
    "http.status": "http.response.status_code",
    "http.duration_ms": "event.duration",
    "http.request_bytes": "http.request.body.bytes",
    "http.response_bytes": "http.response.body.bytes",
    "http.client": "client.address",
    "error.type": "error.type",
    "error.message": "error.message",
    "error.stack": "error.stack_trace",
    "error.fingerprint": "svcready.fingerprint",
    "error.causes": "svcready.causes",
    "error.causes_cut": "svcready.causes_cut",
    "context": "context",
    "schema": "svcready.schema",
}
"""
Where each member of a line goes. Names that begin with `svcready` or `context` are no
fields of ECS, which asks for a proper name there.
"""

_GROUPS = ("source", "http", "error")
_PATHS = {name: tuple(path.split(".")) for name, path in NAMES.items()}
_NS_PER_MS = 1_000_000


def convert(line: dict[str, Json]) -> dict[str, Json]:
    """Return a line of the standard layout in this one."""
    made: dict[str, Json] = {}
    for name, value in line.items():
        if name in _GROUPS and isinstance(value, dict):
            for inner, it in value.items():
                _put(made, f"{name}.{inner}", it)
        else:
            _put(made, name, value)

    made["ecs"] = {"version": VERSION}
    return made


def _put(made: dict[str, Json], name: str, value: Json) -> None:
    if name == "level" and isinstance(value, str):
        value = value.lower()
    elif name == "http.duration_ms" and isinstance(value, int | float):
        value = round(value * _NS_PER_MS)

    *groups, last = _PATHS.get(name) or ("svcready", *name.split("."))
    place = made
    for group in groups:
        place = cast("dict[str, Json]", place.setdefault(group, {}))

    place[last] = value


def schema(standard: dict[str, object]) -> dict[str, object]:
    """Return the JSON Schema of a line in this layout."""
    root = _object()
    for name, path in _PATHS.items():
        field, required = _member(standard, name)
        node = root
        for group in path[:-1]:
            if required:
                _require(node, group)

            properties = cast("dict[str, dict[str, object]]", node["properties"])
            node = properties.setdefault(group, _object())

        cast("dict[str, object]", node["properties"])[path[-1]] = field
        if required:
            _require(node, path[-1])

    ecs = {**_object(), "properties": {"version": {"const": VERSION}}}
    ecs["required"] = ["version"]
    cast("dict[str, object]", root["properties"])["ecs"] = ecs
    _require(root, "ecs")
    title = f"{standard['title']}, layout ecs"
    return {"$schema": standard["$schema"], "title": title, **root}


def _object() -> dict[str, object]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _require(node: dict[str, object], name: str) -> None:
    names = cast("list[str]", node.setdefault("required", []))
    if name not in names:
        names.append(name)


def _member(standard: dict[str, object], name: str) -> tuple[dict[str, object], bool]:
    """Return the schema of a member, and whether every line has it."""
    group, _, inner = name.partition(".")
    properties = cast("dict[str, dict[str, object]]", standard["properties"])
    required = group in cast("list[str]", standard["required"])
    field = properties[group]
    if inner:
        required = required and inner in cast("list[str]", field["required"])
        field = cast("dict[str, dict[str, object]]", field["properties"])[inner]

    if name == "level":
        words = cast("list[str]", field["enum"])
        return {**field, "enum": [word.lower() for word in words]}, required

    if name == "http.duration_ms":
        said = f"{field['description']}, in nanoseconds"
        return {"type": "integer", "minimum": 0, "description": said}, required

    return field, required
