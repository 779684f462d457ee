"""What a document is called: names, namespaces and the forms of ids."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["NAME_NAMES", "fit_name", "is_aws", "name_of", "trace_id_of"]

NAME_NAMES = frozenset(
    {
        "aws.local.service",
        "aws.remote.service",
        "aws.service",
        "db.name",
        "db.namespace",
        "http.host",
        "net.peer.name",
        "peer.service",
        "rpc.service",
        "rpc.system",
        "rpc.system.name",
        "server.address",
        "service.peer.name",
    }
)
"""What `name_of` and `is_aws` look at."""
_MAX_NAME_CHARS = 200
_MAX_KEPT = 2048
_AWS = "aws-api"
# Letters and digits of any script, space, and the signs that X-Ray takes.
_UNFIT = re.compile(r"[^\w .:/%&#=+\\\-@]")
_SPACES = re.compile(r"\s+")
_REMOTE = frozenset({SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER})
_NUMBERED = frozenset({"redis", "valkey"})
"""Databases whose `db.namespace` is a number, which names nothing."""

_fit: dict[str, str] = {}


def fit_name(name: str) -> str:
    """Return *name* in X-Ray's characters and length; `span` if nothing is left."""
    known = _fit.get(name)
    if known is None:
        known = _SPACES.sub(" ", name)
        known = _UNFIT.sub("", known)[:_MAX_NAME_CHARS].strip() or "span"
        if len(_fit) >= _MAX_KEPT:
            _fit.clear()

        _fit[name] = known

    return known


def trace_id_of(trace_id: int) -> str:
    """Return X-Ray's form of a trace id; any W3C id has one."""
    digits = f"{trace_id:032x}"
    return f"1-{digits[:8]}-{digits[8:]}"


def is_aws(attributes: Mapping[str, object]) -> bool:
    """Tell whether the span is a call of AWS's API."""
    get = attributes.get
    return get("rpc.system") == _AWS or get("rpc.system.name") == _AWS


def name_of(
    span: ReadableSpan,
    attributes: Mapping[str, object],
    resource: Mapping[str, object],
    *,
    local_root: bool,
) -> tuple[str, bool]:
    """
    Return the name of the span's document, and whether it is an AWS service's.

    The first that is there of what the collector looks at; names of services come
    before names of operations.

    Args:
        span: The span.
        attributes: Its attributes.
        resource: The resource's attributes.
        local_root: Its parent is another process's, or it has none.
    """
    kind = span.kind
    if kind is SpanKind.SERVER or (kind is SpanKind.INTERNAL and local_root):
        name = attributes.get("aws.local.service")
    elif kind in _REMOTE:
        name = _remote_service(attributes)
    else:
        name = None

    name = name or attributes.get("peer.service") or attributes.get("service.peer.name")
    if name:
        return str(name), False

    name = attributes.get("aws.service")
    if name:
        return str(name), True

    name = _database(attributes)
    if not name and kind is SpanKind.SERVER:
        name = resource.get("service.name")

    if not name:
        get = attributes.get
        name = get("rpc.service") or get("http.host") or get("net.peer.name")

    if not name and kind in _REMOTE:
        name = attributes.get("server.address")

    return str(name or span.name), False


def _remote_service(attributes: Mapping[str, object]) -> str:
    name = str(attributes.get("aws.remote.service") or "")
    if name and is_aws(attributes):
        return name.removeprefix("AWS.SDK.").removeprefix("AWS::")

    return name


def _database(attributes: Mapping[str, object]) -> str:
    name = attributes.get("db.name")
    if not name and str(attributes.get("db.system.name")) not in _NUMBERED:
        name = attributes.get("db.namespace")

    if not name:
        return ""

    host = _host_of(str(attributes.get("db.connection_string") or ""))
    host = host or str(
        attributes.get("server.address") or attributes.get("net.peer.name") or ""
    )
    return f"{name}@{host}" if host else str(name)


def _host_of(connection: str) -> str:
    try:
        return urlsplit(connection.removeprefix("jdbc:")).hostname or ""
    except ValueError:
        return ""
