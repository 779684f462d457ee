"""The deadline that an inbound request brings, put in force while it is served."""

from __future__ import annotations

import math
import threading
from collections import Counter
from contextlib import suppress
from ipaddress import ip_network
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.addresses import ADDRESS_HEADERS, address_of, mentions
from svcready.resilience._http._deadline_fields import left_s
from svcready.resilience._limiting._inbound import Refusal
from svcready.resilience._timing._deadline import UNTIL_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Token
    from ipaddress import IPv4Network, IPv6Network

    from svcready._core.addresses import Address
    from svcready.config._sections.http import HttpSettings
    from svcready.resilience._limiting._inbound import Inbound, Verdict

__all__ = [
    "DeadlineCounts",
    "InboundDeadline",
    "deadline_counts",
    "inbound_deadline",
]

_ENVOY = "X-Envoy-Expected-Rq-Timeout-Ms"
_GRPC = "grpc-timeout"
_BODY = (
    b'{"type":"about:blank","title":"Gateway Timeout","status":504,'
    b'"detail":"The time that the caller gives for this request is over."}'
)
_SPENT = Refusal(
    504,
    (("content-type", "application/problem+json"), ("cache-control", "no-store")),
    _BODY,
)


class DeadlineCounts:
    """How many requests' deadlines had each fate, since the process began."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._counts: Counter[str] = Counter()
        fork.reset_in_child(self._reset_in_child)

    def add(self, outcome: str) -> None:
        """Count one."""
        with self._lock:
            self._counts[outcome] += 1

    def totals(self) -> dict[str, int]:
        """Return how many there were, by outcome."""
        with self._lock:
            return dict(self._counts)

    def _reset_in_child(self) -> None:
        self._lock = threading.RLock()
        self._counts.clear()  # the parent tells of them


class InboundDeadline:
    """
    Asked before the application: puts the deadline of a trusted caller in force.

    Read are the configured field, Envoy's and gRPC's; the least of them holds, clamped.
    One that nobody can read is ignored and counted, as is what an untrusted caller
    sends. Where none is left the default holds, if there is one. A deadline that is
    spent is answered with 504.

    Args:
        field: The configured field's name.
        networks: Those of the callers that are believed; what is no network believes
            nobody.
        hops: How many proxies that are ours tell the caller's address.
        told_in: In which header they do.
        max_s: The longest that a caller's deadline leaves, in seconds.
        default_s: What a request has without one; 0: no bound.
        now: Monotonic time.
        counts: Takes what became of them: `applied`, `clamped`, `spent`, `untrusted`,
            `malformed`, `default`.
    """

    __slots__ = (
        "_count",
        "_default_s",
        "_fields",
        "_hops",
        "_max_s",
        "_networks",
        "_now",
        "_told_in",
    )

    def __init__(
        self,
        *,
        field: str,
        networks: Sequence[str],
        hops: int,
        told_in: str,
        max_s: float,
        default_s: float,
        now: Callable[[], float],
        counts: DeadlineCounts,
    ) -> None:
        self._fields = ((field, False), (_ENVOY, False), (_GRPC, True))
        self._networks = _parsed(networks)
        self._hops = hops
        self._told_in = told_in
        self._max_s = max_s
        self._default_s = default_s
        self._now = now
        self._count = counts.add

    def enter(self, request: Inbound) -> Verdict:
        """Put the request's deadline in force, or refuse it."""
        given_s = self._given_s(request)
        if given_s is not None and given_s <= 0.0:
            self._count("spent")
            return _SPENT

        if given_s is not None:
            self._count("clamped" if given_s > self._max_s else "applied")
            until_s = self._now() + min(given_s, self._max_s)
        elif self._default_s:
            self._count("default")
            until_s = self._now() + self._default_s
        else:
            until_s = math.inf

        # Set and not narrowed: what a thread still has of a request before, which was
        # closed elsewhere, is nobody's any more.
        return _Bound(UNTIL_S.set(until_s))

    @property
    def waits(self) -> bool:
        """It doesn't."""
        return False

    async def enter_async(self, request: Inbound) -> Verdict:
        """Do the same; it waits for nothing."""
        return self.enter(request)

    def _given_s(self, request: Inbound) -> float | None:
        """Return what the caller leaves, in seconds; None: nothing that is believed."""
        given: list[float] = []
        trusted: bool | None = None
        for name, grpc in self._fields:
            text = request.header(name)
            if text is None:
                continue

            if trusted is None:
                trusted = self._is_trusted(request)
                if not trusted:
                    self._count("untrusted")
                    return None

            seconds = left_s(text.strip(), grpc=grpc)
            if seconds is None:
                self._count("malformed")
            else:
                given.append(seconds)

        return min(given) if given else None

    def _is_trusted(self, request: Inbound) -> bool:
        client = address_of(request.client)
        if client is None or not self._networks:
            return False

        if not self._told_by_ours(request, client):
            # A server took it from there (uvicorn's `--proxy-headers` does, werkzeug's
            # ProxyFix), where anybody may write.
            for name in ADDRESS_HEADERS:
                if mentions(request.header(name), client):
                    return False

        return any(client in network for network in self._networks)

    def _told_by_ours(self, request: Inbound, client: Address) -> bool:
        """Tell whether the outermost proxy of ours wrote this address."""
        told = (request.header(self._told_in) or "").split(",")
        hops = self._hops
        return 0 < hops <= len(told) and mentions(told[-hops], client)


class _Bound:
    """A request whose deadline is in force, until its response has left."""

    __slots__ = ("_token",)

    def __init__(self, token: Token[float]) -> None:
        self._token: Token[float] | None = token

    late = False

    def headers(self) -> Sequence[tuple[str, str]]:
        return ()

    def at_route(self) -> Refusal | None:
        return None

    async def at_route_async(self) -> Refusal | None:
        return None

    def left(
        self,
        status: int,
        error: BaseException | None,
        duration_s: float,
        *,
        streamed: bool,
    ) -> None:
        del status, error, duration_s, streamed
        self.dropped()

    def streams(self) -> None:
        """Hold on: a stream's pieces are made under the deadline too."""

    def pause(self) -> None:
        """Go on: the time runs."""

    resume = readmit = pause

    def dropped(self) -> None:
        token, self._token = self._token, None
        if token is not None:
            with suppress(ValueError):  # it ends in another context than it began in
                UNTIL_S.reset(token)


_COUNTS: list[DeadlineCounts] = []


def deadline_counts() -> DeadlineCounts:
    """Return the process's counts, which all runtimes share."""
    if not _COUNTS:
        _COUNTS.append(DeadlineCounts())

    return _COUNTS[0]


def inbound_deadline(
    http: HttpSettings, now: Callable[[], float], counts: DeadlineCounts
) -> InboundDeadline:
    """
    Return what reads deadlines as the operator says.

    Args:
        http: The section HTTP.
        now: Monotonic time.
        counts: Takes what became of them.
    """
    return InboundDeadline(
        field=http.deadline_header,
        networks=http.deadline_trusted,
        hops=http.trusted_hops,
        told_in=http.trusted_header,
        max_s=http.deadline_max_s,
        default_s=http.deadline_default_s,
        now=now,
        counts=counts,
    )


def _parsed(texts: Sequence[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks; what stands for a malformed list is none."""
    found = []
    for text in texts:
        with suppress(ValueError):
            found.append(ip_network(text))

    return tuple(found)
