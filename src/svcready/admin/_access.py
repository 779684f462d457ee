"""Who may use the operator's surface."""

from __future__ import annotations

import hmac
import re
from enum import Enum
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Admission", "TokenGate"]

_FORWARDING = (
    *("Forwarded", "Via", "X-Real-IP", "X-Forwarded", "X-Forwarded-By"),
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port"),
    *("X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Forwarded-Scheme"),
    *("X-Forwarded-Server", "X-Forwarded-Ssl"),
)
"""What a proxy adds; each adds some, few add all."""
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "[::1]", "::1"}
_SCHEME = "bearer "
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class Admission(Enum):
    """What the gate says of a request."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    """Credentials are asked for, and these are missing or wrong: 401."""
    HIDDEN = "hidden"
    """Nothing is configured, so the path does not exist: 404."""


class TokenGate:
    """
    Admits bearers of a configured token, and in development the own machine.

    Args:
        tokens: The tokens that are admitted; empty admits nobody by token.
        configured: Whether tokens were configured, well or badly; a malformed list
            admits nobody but still asks.
        open_to_loopback: Development without tokens: a loopback peer with a loopback
            Host and no forwarding header is admitted.
    """

    def __init__(
        self, tokens: tuple[str, ...], *, configured: bool, open_to_loopback: bool
    ) -> None:
        # What is no visible ASCII stands for a malformed list, and matches nobody.
        self._tokens = tuple(t.encode() for t in tokens if _VISIBLE.fullmatch(t))
        self._configured = configured or bool(tokens)
        self._open_to_loopback = open_to_loopback and not self._configured

    def judge(self, header: Callable[[str], str | None], peer: str | None) -> Admission:
        """
        Judge a request by its headers and the address at the other end.

        Args:
            header: Returns a request header's value.
            peer: The address of the connection's other end, as the server saw it.
        """
        if self._open_to_loopback:
            local = _is_loopback(peer, header)
            return Admission.ADMITTED if local else Admission.HIDDEN

        if not self._configured:
            return Admission.HIDDEN

        return Admission.ADMITTED if any(self._matches(header)) else Admission.REFUSED

    def who(self, header: Callable[[str], str | None]) -> str:
        """Return who an admitted request comes from, for the audit: never a token."""
        matches = self._matches(header)
        return f"token {matches.index(True) + 1}" if any(matches) else "local"

    def _matches(self, header: Callable[[str], str | None]) -> list[bool]:
        """Tell of every token whether a request bears it."""
        offered = header("Authorization") or ""
        if offered[: len(_SCHEME)].lower() != _SCHEME:
            return []

        token = offered[len(_SCHEME) :].strip().encode("utf-8", "surrogateescape")
        # Every token is compared, so that the time tells nothing of which matched.
        return [hmac.compare_digest(token, known) for known in self._tokens]


def _is_loopback(peer: str | None, header: Callable[[str], str | None]) -> bool:
    if any(header(name) is not None for name in _FORWARDING):
        return False

    host = (header("Host") or "").strip().lower()
    if host.count(":") == 1 or "]:" in host:
        host = host.rpartition(":")[0]

    if host not in _LOOPBACK_NAMES or not peer:
        return False

    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return False
