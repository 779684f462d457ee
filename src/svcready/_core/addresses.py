"""Addresses as headers tell them, and whether a header tells of one."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

__all__ = ["ADDRESS_HEADERS", "Address", "address_of", "mentions"]

Address: TypeAlias = "IPv4Address | IPv6Address"

ADDRESS_HEADERS = ("X-Forwarded-For", "X-Real-IP", "Forwarded")
"""The headers from which servers take an address as the connection's own."""
_LONGEST = 4096
_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([0-9.]+))(?::\d{1,5})?")
_WORD = re.compile(r"[0-9A-Fa-f:.]+")


def address_of(text: str | None) -> Address | None:
    """Read an address, with or without a port; one of IPv4 within IPv6 is of IPv4."""
    if not text or len(text) > 64:
        return None

    match = _PORT.fullmatch(text)
    try:
        address = ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        return None

    if isinstance(address, IPv4Address):
        return address

    if address.ipv4_mapped is not None:
        return address.ipv4_mapped

    return IPv6Address(int(address)) if address.scope_id else address


def mentions(header: str | None, peer: Address) -> bool:
    """Tell whether a header has this address anywhere, in whatever spelling."""
    if header is None:
        return False

    if len(header) > _LONGEST:  # nobody's proxies write so much
        return True

    return any(address_of(word) == peer for word in _WORD.findall(header))
