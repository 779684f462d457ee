"""Hosts that checks are given: names and addresses."""

from __future__ import annotations

import re

from svcready.errors import DeclarationError

__all__ = ["read_host", "shown"]

# What a URL, credentials or a port would bring along is refused.
_HOST = re.compile(r"[^\s/@\[\]?#%\x00-\x20]{1,253}")


def read_host(raw: object) -> str:
    """
    Return *raw* if it is a name or an address, without the brackets of a URL.

    Raises:
        DeclarationError: It is neither.
    """
    host = raw.removeprefix("[").removesuffix("]") if isinstance(raw, str) else ""
    if _HOST.fullmatch(host) and host.count(":") != 1:
        return host

    # It may be a URL that has credentials.
    msg = "host is not allowed: use a name or an address, without scheme or port"
    raise DeclarationError(msg)


def shown(host: str, port: int) -> str:
    """Write both as people do."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
