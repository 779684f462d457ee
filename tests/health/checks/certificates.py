"""Certificates of every kind that a peer may have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KEY", "make", "save"]

KEY = ec.generate_private_key(ec.SECP256R1())
_CA_KEY = ec.generate_private_key(ec.SECP256R1())


def make(
    before: datetime,
    after: datetime,
    *,
    names: tuple[str, ...] = (),
    addresses: tuple[str, ...] = (),
    authority: bool = False,
) -> x509.Certificate:
    """
    Make a certificate.

    Args:
        before: It is not valid before.
        after: Nor after.
        names: The hosts' names that it is for, and
        addresses: their addresses; with neither it names none.
        authority: Whether it is signed by a private authority rather than by itself.
    """
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ours")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer if authority else name)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(before)
        .not_valid_after(after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if names or addresses:
        subject = [
            *(x509.DNSName(name) for name in names),
            *(x509.IPAddress(ip_address(address)) for address in addresses),
        ]
        builder = builder.add_extension(
            x509.SubjectAlternativeName(subject), critical=not names
        )

    return builder.sign(_CA_KEY if authority else KEY, hashes.SHA256())


def save(
    directory: Path,
    *,
    days: float,
    since: float = -30,
    names: tuple[str, ...],
    authority: bool = True,
) -> Path:
    """Write a certificate that has *days* left, with its key, to one file."""
    now = datetime.now(UTC)
    made = make(
        now + timedelta(days=since),
        now + timedelta(days=days),
        names=names,
        authority=authority,
    )
    file = directory / "peer.pem"
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.public_bytes(Encoding.PEM) + KEY.private_bytes(*form))
    return file
