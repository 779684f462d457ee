"""Translates spans of instrumentation packages into the stable conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from svcready.tracing.instrumentation import _messages, _queries, _web
from svcready.tracing.instrumentation._conventions import (
    DROPPED,
    FAMILIES,
    OLD,
    RENAMED,
    SPECIAL,
    TRANSPORTS,
)
from svcready.tracing.instrumentation._doubles import SCOPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

__all__ = ["translated"]

_OTHER = "_OTHER"
_PARTITION = "messaging.destination.partition.id"


def translated(span: ReadableSpan) -> ReadableSpan:
    """
    Return *span* as the stable conventions name it and its attributes.

    A span of an instrumentation package comes back as a copy, if anything about it is
    old; any other is returned as it is. No old name stays beside its successor, and
    what the package says in the stable way already is left so.
    """
    scope = span.instrumentation_scope
    if scope is None or not scope.name.startswith(SCOPES):
        return span

    old = span.attributes or {}
    if OLD.isdisjoint(old) and scope.name != _messages.CELERY:
        return span

    new = _renamed(old, server=span.kind is SpanKind.SERVER)
    name, kind = span.name, span.kind
    _web.complete(new, old, kind)
    if "db.system.name" in new:
        name = _queries.complete(new, old, name)
    elif _messages.is_one(new, scope.name):
        name, kind = _messages.complete(new, old, name, kind, scope.name)

    _set_error_type(new, span, kind)
    return ReadableSpan(
        name=name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=new,
        events=span.events,
        links=span.links,
        kind=kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=scope,
    )


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


def _set_error_type(
    new: dict[str, AttributeValue], span: ReadableSpan, kind: SpanKind
) -> None:
    if span.status.status_code is not StatusCode.ERROR or "error.type" in new:
        return

    status = new.get("http.response.status_code")
    lowest = 500 if kind is SpanKind.SERVER else 400
    if isinstance(status, int) and status >= lowest:
        new["error.type"] = str(status)
        return

    for event in reversed(span.events):
        kind_of_error = (event.attributes or {}).get("exception.type")
        if kind_of_error:
            new["error.type"] = str(kind_of_error)
            return

    new["error.type"] = _OTHER
