"""What Elastic Common Schema 8.17 says of the fields and names that matter here."""

from __future__ import annotations

TYPES = {
    "@timestamp": "date",
    "message": "text",
    "client.address": "keyword",
    "ecs.version": "keyword",
    "error.message": "text",
    "error.stack_trace": "wildcard",
    "error.type": "keyword",
    "event.action": "keyword",
    "event.duration": "long",
    "http.request.body.bytes": "long",
    "http.request.id": "keyword",
    "http.request.method": "keyword",
    "http.response.body.bytes": "long",
    "http.response.status_code": "long",
    "log.level": "keyword",
    "log.logger": "keyword",
    "log.origin.file.line": "long",
    "log.origin.function": "keyword",
    "service.environment": "keyword",
    "service.name": "keyword",
    "service.node.name": "keyword",
    "service.version": "keyword",
    "span.id": "keyword",
    "trace.id": "keyword",
}
"""The types of those of its fields that a log line may use."""

FIELD_SETS = frozenset(
    {
        *("labels", "tags", "agent", "as", "client", "cloud", "code_signature"),
        *("container", "data_stream", "destination", "device", "dll", "dns", "ecs"),
        *("elf", "email", "error", "event", "faas", "file", "geo", "group", "hash"),
        *("host", "http", "interface", "log", "macho", "network", "observer"),
        *("orchestrator", "organization", "os", "package", "pe", "process"),
        *("registry", "related", "risk", "rule", "server", "service", "source"),
        *("span", "threat", "tls", "trace", "transaction", "url", "user"),
        *("user_agent", "vlan", "volume", "vulnerability", "x509"),
    }
)
"""The names at the top that are its own."""
