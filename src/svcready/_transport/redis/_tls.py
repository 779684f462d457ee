"""The encryption of connections to Redis, whose certificates are read once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl import SSLContext

    from svcready.config._redis_address import RedisAddress

    Stamp = tuple[tuple[int, int, int], ...]

__all__ = ["made_tls_context", "tls_context"]

_MADE: dict[tuple[str, str, str], tuple[Stamp, SSLContext]] = {}
"""By the files that each was made of."""


def tls_context(address: RedisAddress) -> SSLContext | None:
    """
    Return how the connection is encrypted, or None; made anew if its files changed.

    Making one reads the authorities that the system trusts, which takes some 20 ms.

    Raises:
        OSError: A certificate's file can't be read.
    """
    if not address.tls:
        return None

    files = _files(address)
    stamp = tuple(map(_stamp, filter(None, files)))
    made = _MADE.get(files)
    if made is None or made[0] != stamp:
        made = _MADE[files] = (stamp, _make(address))

    return made[1]


def made_tls_context(address: RedisAddress) -> SSLContext | None:
    """
    Do as `tls_context`, with what a thread has made: for event loops.

    Raises:
        OSError: There is none yet, and a certificate's file can't be read.
    """
    made = _MADE.get(_files(address)) if address.tls else None
    return tls_context(address) if made is None else made[1]


def _make(address: RedisAddress) -> SSLContext:
    import ssl

    context = ssl.create_default_context(cafile=address.ca_file or None)
    if address.certificate_file:
        context.load_cert_chain(address.certificate_file, address.key_file or None)

    return context


def _files(address: RedisAddress) -> tuple[str, str, str]:
    return address.ca_file, address.certificate_file, address.key_file


def _stamp(file: str) -> tuple[int, int, int]:
    found = Path(file).stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
