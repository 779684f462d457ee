"""Translates spans of instrumentation packages into the stable conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.trace import SpanKind, StatusCode

from svcready._core.http import OTHER_VALUE
from svcready.tracing.instrumentation import _messages, _queries, _web
from svcready.tracing.instrumentation._conventions import (
    DROPPED,
    FAMILIES,
    OLD,
    RENAMED,
    SPECIAL,
    TRANSPORTS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.util.types import AttributeValue

__all__ = ["Said", "told_by_metrics", "translated"]

_OF_METRICS = frozenset(
    (
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "network.protocol.version",
        "server.address",
        "server.port",
        "url.scheme",
    )
)
_PARTITION = "messaging.destination.partition.id"


class Said(NamedTuple):
    """What a span says of itself."""

    name: str
    kind: SpanKind
    attributes: Mapping[str, AttributeValue]


def translated(span: ReadableSpan, scope: str) -> Said:
    """
    Return a span's name, kind and attributes as the stable conventions have them.

    No old name stays beside its successor; what the package says in the stable way
    already is left so.

    Args:
        span: Ended, and made by an instrumentation package.
        scope: Which one's.
    """
    old = span.attributes or {}
    name, kind = span.name, span.kind
    if OLD.isdisjoint(old) and scope != _messages.CELERY:
        return Said(name, kind, old)

    new = _renamed(old, server=kind is SpanKind.SERVER)
    _web.complete(new, old, kind)
    if "db.system.name" in new:
        name = _queries.complete(new, old, name)
    elif _messages.is_one(new, scope):
        name, kind = _messages.complete(new, old, name, kind, scope)

    _set_error_type(new, span)
    return Said(name, kind, new)


def told_by_metrics(
    old: Mapping[str, AttributeValue],
) -> dict[str, AttributeValue]:
    """Return the attributes of an HTTP client's metric as the stable ones."""
    new = _renamed(old, server=False)
    _web.complete(new, old, SpanKind.CLIENT)
    status = new.get("http.response.status_code")
    if isinstance(status, int) and status >= 400:
        new.setdefault("error.type", str(status))

    return {key: value for key, value in new.items() if key in _OF_METRICS}


def _renamed(
    old: Mapping[str, AttributeValue], *, server: bool
) -> dict[str, AttributeValue]:
    new = {
        key: value
        for key, value in old.items()
        if key not in RENAMED and key not in SPECIAL and key not in DROPPED
    }
    for key, value in old.items():
        successor = RENAMED.get(key)
        if successor is not None:
            new.setdefault(successor, value)

    _network(new, old, server=server)
    function = old.get("code.function")
    if function is not None:
        parts = (old.get("code.namespace"), function)
        new.setdefault("code.function.name", ".".join(str(p) for p in parts if p))

    partition = new.get(_PARTITION)
    if partition is not None:
        new[_PARTITION] = str(partition)

    system = old.get("db.system")
    if system is not None:
        new.setdefault("db.system.name", system)

    return new


def _network(
    new: dict[str, AttributeValue], old: Mapping[str, AttributeValue], *, server: bool
) -> None:
    peer, local = ("client", "server") if server else ("server", "network.local")
    for side, successor in (("peer", peer), ("host", local)):
        name, port = old.get(f"net.{side}.name"), old.get(f"net.{side}.port")
        if name:
            new.setdefault(f"{successor}.address", name)

        if port is not None:
            _set_int(new, f"{successor}.port", port)

    transport = TRANSPORTS.get(str(old.get("net.transport")))
    if transport is not None:
        new.setdefault("network.transport", transport)

    family = FAMILIES.get(str(old.get("net.sock.family")))
    if family is not None:
        new.setdefault("network.type", family)


def _set_int(new: dict[str, AttributeValue], key: str, value: AttributeValue) -> None:
    try:
        new.setdefault(key, int(str(value)))
    except ValueError:
        return  # no number, no port


def _set_error_type(new: dict[str, AttributeValue], span: ReadableSpan) -> None:
    if span.status.status_code is not StatusCode.ERROR or "error.type" in new:
        return

    status = new.get("http.response.status_code")
    lowest = 500 if span.kind is SpanKind.SERVER else 400
    if isinstance(status, int) and status >= lowest:
        new["error.type"] = str(status)
        return

    for event in reversed(span.events):
        kind_of_error = (event.attributes or {}).get("exception.type")
        if kind_of_error:
            new["error.type"] = str(kind_of_error)
            return

    new["error.type"] = OTHER_VALUE
