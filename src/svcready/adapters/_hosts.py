"""The host that a request was sent to, as its Host header names it."""

from __future__ import annotations

import re

__all__ = ["server_of"]

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,64}\]|[^\s:/?#@\[\]]{1,255})(?::(\d{1,5}))?")


def server_of(header: str | None) -> dict[str, str | int] | None:
    """
    Return `server.address` and `server.port`, as OpenTelemetry's conventions ask.

    The address that a server listens on is behind a proxy's name, which callers and
    sampling rules know.

    Args:
        header: The Host header.

    Returns:
        None if there is no valid one; no port if the header has none.
    """
    match = None if header is None else _HOST.fullmatch(header)
    if match is None:
        return None

    address: dict[str, str | int] = {"server.address": match[1].strip("[]")}
    return address if match[2] is None else {**address, "server.port": int(match[2])}
