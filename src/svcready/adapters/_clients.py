"""Who called, as far as the proxies in front can be trusted to tell."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FORWARDED", "client_reader"]

FORWARDED = "forwarded"
"""The header of RFC 7239, in place of X-Forwarded-For."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = rf'({_WORD})=({_WORD}|"[^"\\]*")'
_ELEMENT = re.compile(rf"{_PAIR}(?:\s*;\s*{_PAIR})*\s*;?")
_PAIRS = re.compile(_PAIR)
_PORT = r"(?::\d{1,5})?"
_ADDRESS = re.compile(rf"\[([0-9A-Fa-f:.]{{2,45}})\]{_PORT}|([^:\[\]]+){_PORT}")


def client_reader(
    hops: int, header: str
) -> Callable[[str | None, str | None], str | None]:
    """
    Return what tells the client's address from the peer's and the proxies' header.

    Each proxy appends the address that it saw, so the client is as many from the
    right as proxies are ours; what stands further left, anybody may have written.

    Args:
        hops: How many proxies are ours; 0: the peer is the client.
        header: Which header they write, in lower case.
    """
    return partial(_forwarded if header == FORWARDED else _appended, hops)


def _appended(hops: int, peer: str | None, header: str | None) -> str | None:
    if not hops or not header:
        return peer

    seen = [part.strip() for part in header.split(",")]
    # Fewer than our proxies write: it came past one of them, and may be made up.
    return seen[-hops] if len(seen) >= hops else peer


def _forwarded(hops: int, peer: str | None, header: str | None) -> str | None:
    if not hops or not header:
        return peer

    # Split at every comma: a quotation mark further left must not swallow what our
    # proxies wrote, who have no comma in theirs.
    seen = header.split(",")
    if len(seen) < hops:
        return peer

    element = seen[-hops].strip()
    if not _ELEMENT.fullmatch(element):
        return peer

    found = [value for name, value in _PAIRS.findall(element) if name.lower() == "for"]
    match = _ADDRESS.fullmatch(found[0].strip('"')) if len(found) == 1 else None
    return (match[1] or match[2]) if match else peer
