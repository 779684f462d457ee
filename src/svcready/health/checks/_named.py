"""Names that ready-made checks have when they are given none."""

from __future__ import annotations

import re

__all__ = ["derive_name", "name_for"]

_UNFIT = re.compile(r"[^a-z0-9_.]+")
_UNFIT_OF_DATABASES = re.compile(r"[^a-z0-9_.-]+")
_MAX_NAME = 64
_DIGITS = 8


def name_for(kind: str, *parts: str | int) -> str:
    """
    Return a valid name of a check: `tcp-cache.internal-6379`.

    Args:
        kind: What comes first: `http`, `tcp`, `disk`.
        parts: What it looks at, without secrets; beyond 64 characters their tail and
            8 hex digits of a hash are kept.
    """
    whole = "-".join((kind, *(str(part) for part in parts)))
    return _fitting(kind, _UNFIT.sub("-", whole.lower()).strip("-"))


def derive_name(kind: str, part: str, also: str = "") -> str:
    """
    Return a valid name of a database's check: `sqlalchemy.orders`.

    Args:
        kind: What comes first.
        part: What it is about; what names cannot hold becomes `_`, and beyond 64
            characters the tail and 8 hex digits of a hash are kept.
        also: What tells it apart from another of the name, if need be.
    """
    whole = ".".join((kind, *(p for p in (part, also) if p)))
    return _fitting(kind, _UNFIT_OF_DATABASES.sub("_", whole.lower()))


def _fitting(kind: str, name: str) -> str:
    if len(name) <= _MAX_NAME:
        return name

    from hashlib import blake2s  # loads OpenSSL, for long names only

    digest = blake2s(name.encode(), digest_size=_DIGITS // 2).hexdigest()
    begin, rest = name[: len(kind) + 1], name[len(kind) + 1 :]
    tail = rest[len(begin) + _DIGITS + 1 - _MAX_NAME :].lstrip("-._")
    return f"{begin}{tail}-{digest}"
