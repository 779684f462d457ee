"""What the stable conventions of HTTP want and the old ones say otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

__all__ = ["complete"]

_PORTS = {"http": 80, "https": 443}
_NUMBERS = (
    "http.response.status_code",
    "http.request.body.size",
    "http.response.body.size",
    "http.request.resend_count",
)


def complete(
    new: dict[str, AttributeValue],
    old: Mapping[str, AttributeValue],
    kind: SpanKind,
) -> None:
    """
    Add to *new* what the old attributes of HTTP say in another way.

    Args:
        new: The attributes so far.
        old: Those that the package set.
        kind: The span's.
    """
    for key in _NUMBERS:
        if key in new:
            _make_int(new, key)

    for side in ("request", "response"):
        length = old.get(f"http.{side}_content_length")
        if length is not None:  # the header's value, as headers are said
            header = f"http.{side}.header.content-length"
            new.setdefault(header, (str(length),))

    flavor = old.get("http.flavor")
    if flavor is not None:
        version = str(flavor).removeprefix("HTTP/")
        new.setdefault("network.protocol.version", version)

    url = new.get("url.full")
    if kind is SpanKind.SERVER:
        _split_target(new, str(old.get("http.target") or url or ""))
        new.pop("url.full", None)
    elif isinstance(url, str):
        _say_server(new, url)
        new.pop("url.scheme", None)  # it is in the URL

    host = old.get("http.host")
    if host and "server.address" not in new:
        _say_server(new, f"//{host}")


def _say_server(new: dict[str, AttributeValue], url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return  # no URL

    if parts.hostname:
        new.setdefault("server.address", parts.hostname)
        if port is not None:
            new.setdefault("server.port", port)


def _split_target(new: dict[str, AttributeValue], target: str) -> None:
    try:
        parts = urlsplit(target)
    except ValueError:
        return

    if parts.path:
        new.setdefault("url.path", parts.path)

    if parts.query:
        new.setdefault("url.query", parts.query)


def _make_int(new: dict[str, AttributeValue], key: str) -> None:
    try:
        new[key] = int(str(new[key]))
    except ValueError:
        del new[key]
