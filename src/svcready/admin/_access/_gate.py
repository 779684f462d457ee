"""Who may use the operator's surface, and for what."""

from __future__ import annotations

from enum import Enum
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple, Protocol

from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.admin._access._failures import Failures
    from svcready.admin._exchange import OpsRequest

__all__ = ["FORWARDING", "Admission", "Gate", "Grant", "Verdict", "Way"]

FORWARDING = (
    *("Forwarded", "Via", "X-Real-IP", "X-Forwarded", "X-Forwarded-By"),
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port"),
    *("X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Forwarded-Scheme"),
    *("X-Forwarded-Server", "X-Forwarded-Ssl"),
)
"""What a proxy adds; each adds some, few add all."""
_SLOWED = "too_many_failures"
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "[::1]", "::1"}


class Admission(Enum):
    """What the gate says of a request."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    """Credentials are asked for, and these are missing or wrong: 401."""
    FORBIDDEN = "forbidden"
    """They are right, and allow to look but not to change: 403."""
    SLOWED = "slowed"
    """They are missing or wrong, as too often before: 429."""
    HIDDEN = "hidden"
    """Nothing is configured, so the path does not exist: 404."""


class Grant(NamedTuple):
    """What somebody may do."""

    who: str
    """What the audit log calls them; never a credential."""
    writes: bool
    """Whether they may change something, or only look."""
    guessable: bool = False
    """Whether they showed what can be found by trying, so that failures count."""


class Verdict(NamedTuple):
    """What the gate says of a request, all of it in one judgement."""

    admission: Admission
    who: str = ""
    """Whose credentials are right, as the audit log calls them."""
    writes: bool = False
    """Whether they may change something."""
    reason: str = ""
    """Why not, for the audit log and nobody else."""
    wait_s: int = 0
    """After how many seconds a peer that was refused too often is listened to."""


class Way(Protocol):
    """One way to be admitted."""

    def __call__(self, request: OpsRequest, /) -> Grant | str:
        """Return what *request* may do, or why nothing; empty if it tried nothing."""
        ...


class Gate:
    """
    Admits by any of several ways, and in development the own machine.

    Every way is asked about every request, and a peer that was refused too often is
    still judged, so that whoever has the right credentials gets through, even from
    behind the same proxy as somebody who has not. Only what can be guessed waits.

    Args:
        ways: The ways, of which one is enough. The first that allows changes counts,
            else the first that allows to look.
        configured: Whether any way was configured, well or badly; a malformed setting
            admits nobody but still asks.
        open_to_loopback: Development without any: a loopback peer with a loopback
            Host and no forwarding header is admitted.
        failures: Counts what was refused, by peer.
        slow: Whether a judgement may have to wait, so that no event loop should.
    """

    def __init__(
        self,
        ways: tuple[Way, ...],
        *,
        configured: bool,
        open_to_loopback: bool,
        failures: Failures,
        slow: bool = False,
    ) -> None:
        self._ways = ways
        self._configured = configured
        self._open_to_loopback = open_to_loopback and not configured
        self._failures = failures
        self.slow = slow
        """Whether a judgement may have to wait, so that no event loop should."""
        self.asks = configured
        """Whether somebody without credentials is told to show some."""
        self.admits_some = configured or open_to_loopback
        """Whether there is anybody whom it may admit."""

    def judge(self, request: OpsRequest, *, changes: bool = False) -> Verdict:
        """
        Say whether *request* may be answered, and to whom.

        Args:
            request: The request.
            changes: Whether it is one that changes something.
        """
        if self._open_to_loopback and _is_loopback(request.peer, request.header):
            return Verdict(Admission.ADMITTED, "local", writes=True)

        if not self._configured:
            return Verdict(Admission.HIDDEN, reason="nothing_configured")

        said = [self._ask(way, request) for way in self._ways]
        granted = [each for each in said if isinstance(each, Grant)]
        if granted:
            who, writes, guessable = max(granted, key=_strength)
            wait_s = self._failures.left_s(request.peer) if guessable else 0
            if wait_s:
                return Verdict(Admission.SLOWED, who, reason=_SLOWED, wait_s=wait_s)

            if writes or not changes:
                return Verdict(Admission.ADMITTED, who, writes=writes)

            return Verdict(Admission.FORBIDDEN, who, reason="read_only")

        tried = [each for each in said if each and isinstance(each, str)]
        reason = tried[-1] if tried else "no_credentials"
        wait_s = self._failures.note(request.peer)
        if wait_s:
            return Verdict(Admission.SLOWED, reason=_SLOWED, wait_s=wait_s)

        return Verdict(Admission.REFUSED, reason=reason)

    def _ask(self, way: Way, request: OpsRequest) -> Grant | str:
        try:
            return way(request)
        except Exception as error:  # noqa: BLE001 - a fault admits nobody this way
            report_fault("admin.access", error)
            return "fault"


def _strength(grant: Grant) -> tuple[bool, bool]:
    return grant.writes, not grant.guessable


def _is_loopback(peer: str | None, header: Callable[[str], str | None]) -> bool:
    if any(header(name) is not None for name in FORWARDING):
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
