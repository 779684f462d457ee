"""What a certificate says of its validity and its hosts, read from its DER bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Certificate", "is_for", "read_certificate"]

# The standard library reads a certificate's fields only once it has verified it, which
# an expired or a private one does not survive.

_OCTETS = 0x04
_OID = 0x06
_UTC_TIME = 0x17
_GENERALIZED_TIME = 0x18
_SEQUENCE = 0x30
_VERSION = 0xA0
_EXTENSIONS = 0xA3
_DNS_NAME = 0x82
_IP_ADDRESS = 0x87
_SUBJECT_ALT_NAME = b"\x55\x1d\x11"  # 2.5.29.17
_VALIDITY = 3  # after serial number, signature and issuer
_MOST_LENGTH_BYTES = 4


class Certificate(NamedTuple):
    """The part of a certificate that a check needs."""

    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    """The DNS names that it is for, wildcards included."""
    addresses: tuple[bytes, ...]
    """The IP addresses that it is for, as 4 or 16 bytes."""


def read_certificate(der: bytes) -> Certificate:
    """
    Read an X.509 certificate, without judging it.

    Follows RFC 5280, sections 4.1 and 4.2.1.6, and X.690 for DER.

    Raises:
        ValueError: It is none.
    """
    try:
        return _read(der)
    except ValueError as error:
        msg = "these bytes are no certificate"
        raise ValueError(msg) from error


def is_for(certificate: Certificate, host: str) -> bool:
    """
    Tell whether *certificate* is for *host*.

    Follows RFC 9525: only the subject's alternative names count, and a wildcard stands
    for the whole first label.
    """
    try:
        return ip_address(host).packed in certificate.addresses
    except ValueError:
        wanted = _ascii(host).rstrip(".").lower()

    rest = wanted.partition(".")[2]
    return any(
        name == wanted or (name.startswith("*.") and rest == name[2:])
        for name in (name.rstrip(".").lower() for name in certificate.names)
    )


def _read(der: bytes) -> Certificate:
    tbs = _inside(_first(_inside(_first(der), _SEQUENCE)), _SEQUENCE)
    fields = list(_elements(tbs))
    if fields and fields[0][0] == _VERSION:
        fields = fields[1:]

    if len(fields) <= _VALIDITY:
        raise ValueError

    not_before, not_after = list(_elements(_inside(fields[_VALIDITY], _SEQUENCE)))[:2]
    names, addresses = _subject_alt_names(fields)
    return Certificate(_time(*not_before), _time(*not_after), names, addresses)


def _ascii(host: str) -> str:
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of what stands one after another in *data*."""
    at = 0
    while at < len(data):
        tag = data[at]
        if tag & 0x1F == 0x1F:  # of several bytes: no certificate has one
            raise ValueError

        length, at = _length(data, at + 1)
        if at + length > len(data):
            raise ValueError

        yield tag, data[at : at + length]
        at += length


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise ValueError

    first = data[at]
    if first < 0x80:
        return first, at + 1

    count = first & 0x7F
    end = at + 1 + count
    if not 1 <= count <= _MOST_LENGTH_BYTES or end > len(data):
        raise ValueError

    return int.from_bytes(data[at + 1 : end], "big"), end


def _first(data: bytes) -> tuple[int, bytes]:
    for element in _elements(data):
        return element

    raise ValueError


def _inside(element: tuple[int, bytes], tag: int) -> bytes:
    if element[0] != tag:
        raise ValueError

    return element[1]


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME and len(text) == 13:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME or len(text) != 15:
        raise ValueError

    if not (text.endswith("Z") and text[:14].isdigit()):
        raise ValueError

    year, month, day, hour, minute, second = (
        int(text[start:end])
        for start, end in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))
    )
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def _subject_alt_names(
    fields: list[tuple[int, bytes]],
) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    names: list[str] = []
    addresses: list[bytes] = []
    for tag, content in fields:
        if tag != _EXTENSIONS:
            continue

        for extension in _elements(_inside(_first(content), _SEQUENCE)):
            parts = list(_elements(_inside(extension, _SEQUENCE)))
            if parts[:1] == [(_OID, _SUBJECT_ALT_NAME)]:
                for kind, value in _elements(
                    _inside(_first(_inside(parts[-1], _OCTETS)), _SEQUENCE)
                ):
                    if kind == _DNS_NAME:
                        names.append(value.decode("ascii", "replace"))
                    elif kind == _IP_ADDRESS:
                        addresses.append(value)

    return tuple(names), tuple(addresses)
