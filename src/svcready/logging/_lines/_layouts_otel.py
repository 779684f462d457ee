"""The layout `otel`: OpenTelemetry's log data model, each line whole OTLP/JSON."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from svcready.logging._lines._layouts_flat import free_name

if TYPE_CHECKING:
    from svcready.logging._lines._cut import Json

__all__ = ["ATTRIBUTES", "RESOURCE", "SEVERITIES", "convert", "schema"]

SEVERITIES = {"DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}
"""The data model's number for each level."""

RESOURCE = {
    "service": "service.name",
    "version": "service.version",
    "environment": "deployment.environment.name",
    "instance": "service.instance.id",
}
"""Which attribute of the resource each member is."""

ATTRIBUTES = {
    "schema": "svcready.schema",
    "request_id": "svcready.request_id",
    "correlation_id": "svcready.correlation_id",
    "xray_trace_id": "svcready.xray_trace_id",
    "recorded": "svcready.recorded",
    "suppressed": "svcready.suppressed",
    "source.function": "code.function.name",
    "source.line": "code.line.number",
    "http.method": "http.request.method",
    "http.route": "http.route",
    "http.status": "http.response.status_code",
    "http.duration_ms": "svcready.duration_ms",
    "http.request_bytes": "http.request.body.size",
    "http.response_bytes": "http.response.body.size",
    "http.client": "client.address",
    "error.type": "exception.type",
    "error.message": "exception.message",
    "error.stack": "exception.stacktrace",
    "error.fingerprint": "svcready.fingerprint",
    "error.causes": "svcready.causes",
    "error.causes_cut": "svcready.causes_cut",
}
"""Which attribute of the record each member is; the others are fields of their own."""

_GROUPS = ("source", "http", "error")
_OWN_FIELDS = {"timestamp", "level", "message", "event", "trace_id", "span_id"}
_ELSEWHERE = {*_OWN_FIELDS, *RESOURCE, "source.logger", "context"}
_PLAIN: dict[type, str] = {
    str: "stringValue",
    bool: "boolValue",
    float: "doubleValue",
}
_LARGEST_INT = 2**63 - 1
_NS_PER_MS = 1_000_000


def convert(line: dict[str, Json]) -> dict[str, Json]:
    """Return a line of the standard layout in this one."""
    time_ns = _nanoseconds(str(line["timestamp"]))
    level = str(line["level"])
    record: dict[str, Json] = {
        "timeUnixNano": time_ns,
        "observedTimeUnixNano": time_ns,
        "severityNumber": SEVERITIES[level],
        "severityText": level,
        "body": _any(line["message"]),
    }
    for name, field in (
        ("event", "eventName"),
        ("trace_id", "traceId"),
        ("span_id", "spanId"),
    ):
        if name in line:
            record[field] = line[name]

    record["attributes"] = _pairs(_attributes(line))
    source = line["source"]
    logger = source["logger"] if isinstance(source, dict) else ""
    resource = {RESOURCE[name]: line[name] for name in RESOURCE if name in line}
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": _pairs(resource)},
                "scopeLogs": [{"scope": {"name": logger}, "logRecords": [record]}],
            }
        ]
    }


def _attributes(line: dict[str, Json]) -> dict[str, Json]:
    made: dict[str, Json] = {}
    for name, value in line.items():
        if name in _GROUPS and isinstance(value, dict):
            members = {f"{name}.{inner}": it for inner, it in value.items()}
        else:
            members = {name: value}

        for member, it in members.items():
            if member not in _ELSEWHERE:
                made[ATTRIBUTES.get(member) or f"svcready.{member}"] = it

    context = line.get("context")
    if isinstance(context, dict):
        for key, value in context.items():
            # A field that is called like one of the conventions' is renamed.
            taken = not key or key in made
            name = free_name("context.", key, made, context) if taken else key
            made[name] = value

    return made


def _nanoseconds(timestamp: str) -> str:
    return str(round(datetime.fromisoformat(timestamp).timestamp() * 1000) * _NS_PER_MS)


def _pairs(fields: dict[str, Json]) -> list[Json]:
    return [{"key": key, "value": _any(value)} for key, value in fields.items()]


def _any(value: Json) -> Json:
    """Return *value* as OTLP's AnyValue in JSON: 64-bit integers are strings there."""
    name = _PLAIN.get(type(value))
    if name is not None:
        return {name: value}

    if isinstance(value, int):
        return {"intValue" if value <= _LARGEST_INT else "stringValue": str(value)}

    if isinstance(value, list):
        return {"arrayValue": {"values": [_any(item) for item in value]}}

    if isinstance(value, dict):
        return {"kvlistValue": {"values": _pairs(value)}}

    return {}  # null


def schema(standard: dict[str, object]) -> dict[str, object]:
    """Return the JSON Schema of a line in this layout."""
    digits = {"type": "string", "pattern": "^[0-9]+$"}
    record = _object(
        {
            "timeUnixNano": digits,
            "observedTimeUnixNano": digits,
            "severityNumber": {"enum": list(SEVERITIES.values())},
            "severityText": {"enum": list(SEVERITIES)},
            "body": _object({"stringValue": {"type": "string"}}),
            "attributes": _list(_PAIR),
        },
        eventName={"type": "string"},
        traceId={"type": "string", "pattern": "^[0-9a-f]{32}$"},
        spanId={"type": "string", "pattern": "^[0-9a-f]{16}$"},
    )
    scope = _object(
        {"scope": _object({"name": {"type": "string"}}), "logRecords": _list(record)}
    )
    resource = _object({"attributes": _list(_PAIR)})
    logs = _object({"resource": resource, "scopeLogs": _list(scope)})
    title = f"{standard['title']}, layout otel"
    root = _object({"resourceLogs": _list(logs)})
    return {"$schema": standard["$schema"], "title": title, **root}


def _object(required: dict[str, object], **optional: object) -> dict[str, object]:
    return {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": {**required, **optional},
    }


def _list(items: dict[str, object]) -> dict[str, object]:
    return {"type": "array", "items": items}


_ANY: dict[str, object] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "stringValue": {"type": "string"},
        "boolValue": {"type": "boolean"},
        "intValue": {"type": "string", "pattern": "^-?[0-9]+$"},
        "doubleValue": {"type": "number"},
        "arrayValue": {"type": "object"},
        "kvlistValue": {"type": "object"},
    },
}
_PAIR: dict[str, object] = _object({"key": {"type": "string"}, "value": _ANY})
