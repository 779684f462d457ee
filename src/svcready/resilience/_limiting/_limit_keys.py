"""Whose requests share a limit: addresses, headers, routes, and what resolvers tell."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import report_foreign
from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BUILT_IN",
    "CLIENT",
    "NOBODY",
    "KeyPart",
    "address_key",
    "digest",
    "keep",
    "parse_key",
]

NOBODY = "-"
"""The key of those whose address is not known, or is none: they share one."""
CLIENT = "principal"
"""The resolver that `client` asks, where there is one."""
BUILT_IN = ("address", "all", "client", "route")
"""What `by=` means without a resolver, beside `header:<name>`."""
_PART = re.compile(r"header:[!#$%&'*+.^_`|~0-9a-z-]{1,64}|[a-z0-9_.-]{1,64}")
_MOST_PARTS = 4
_V6_PREFIX = 64
_V4_BITS = 32
_TRANSLATED = int(IPv6Address("64:ff9b::")) >> _V4_BITS
_LONGEST_ADDRESS = 64


class KeyPart(NamedTuple):
    """One of what tells callers apart."""

    kind: str
    """`address`, `all`, `client`, `header`, `route` or `resolver`."""
    of: str
    """The header's or the resolver's name."""

    def __str__(self) -> str:
        if self.kind == "header":
            return f"header:{self.of}"

        return self.of if self.kind == "resolver" else self.kind


def parse_key(text: object) -> tuple[KeyPart, ...]:
    """
    Return what `by=` means: `address`, `header:x-api-key`, `tenant+route`.

    Raises:
        DeclarationError: It is no such text.
    """
    words = text.lower().split("+") if isinstance(text, str) else []
    if not 1 <= len(words) <= _MOST_PARTS or not all(map(_PART.fullmatch, words)):
        raise DeclarationError(
            f"by={text!r}: use address, client, route, all, header:<name> or a "
            "resolver's name, or some of them with + in between"
        )

    return tuple(_part(word) for word in words)


def _part(word: str) -> KeyPart:
    if word in BUILT_IN:
        return KeyPart(word, CLIENT if word == "client" else "")

    kind, colon, name = word.partition(":")
    return KeyPart(kind, name) if colon else KeyPart("resolver", word)


def address_key(client: str | None) -> str:
    """
    Return what addresses are limited by: an IPv6 network of 64 bits, or the address.

    A household or a machine of a cloud has at least such a network to itself; all of
    IPv4 is in one where a translator is in front (RFC 6052), and goes by its own
    addresses. What is no address has one key for all.
    """
    if not client or len(client) > _LONGEST_ADDRESS:
        return NOBODY

    try:
        address = ip_address(_bare(client))
    except ValueError:
        return NOBODY

    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped
        if int(address) >> _V4_BITS == _TRANSLATED:
            inner = IPv4Address(int(address) & ((1 << _V4_BITS) - 1))

        if inner is not None:
            return str(inner)

        return f"{int(address) >> (128 - _V6_PREFIX):x}::/{_V6_PREFIX}"

    return str(address)


def _bare(text: str) -> str:
    """Return an address without its port, brackets and zone."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]

    return text.partition("%")[0]


def digest(parts: Iterable[str]) -> str:
    """Return what stands for values in a store: no secret, and of one length."""
    from hashlib import blake2b  # loads OpenSSL; where something is limited only

    # With their lengths, so that no value can pass for two, nor two for others.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    data = text.encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=16).hexdigest()


def keep(told: dict[str, str], name: str, value: object) -> None:
    """Keep what a resolver tells, as text; what is nothing, or no text, is not kept."""
    try:
        text = "" if value is None else str(value)
    except Exception as error:  # noqa: BLE001 - an object of the application's own
        report_foreign("limits.resolver", error)
        return

    if text:
        told[name] = text
