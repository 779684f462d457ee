"""What rules look at of a span that is started by OpenTelemetry's API."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NO_REQUEST", "request_of"]

NO_REQUEST = ("", "/")
"""The method and the path of a root span that is no request to this service."""


def request_of(
    attributes: Mapping[str, object],
) -> tuple[str, str, Mapping[str, object]]:
    """
    Return method, path and attributes of a server's span, as rules look at them.

    Understands the stable names of OpenTelemetry's conventions and, beneath them, the
    old ones that instrumentation packages still use.

    Args:
        attributes: Those that the span is started with.
    """
    method, path = NO_REQUEST
    for key in ("http.request.method", "http.method"):
        if key in attributes:
            method = str(attributes[key])
            break

    for key in ("url.path", "http.target", "url.full", "http.url"):
        if key in attributes:
            path = _path(str(attributes[key]), has_query=key != "url.path")
            break

    if "server.address" in attributes or "http.host" not in attributes:
        return method, path, attributes

    host = str(attributes["http.host"]).rpartition("@")[2].partition(":")[0]
    return method, path, {**attributes, "server.address": host}


def _path(text: str, *, has_query: bool) -> str:
    if not has_query:
        return text

    try:
        return urlsplit(text).path or "/"
    except ValueError:  # brackets that are no address
        return "/"
