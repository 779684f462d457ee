"""The routes of the operator's surface and the answers they give."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import report_fault
from svcready.admin._access import Admission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.admin._access import TokenGate
    from svcready.health._pillar import HealthPillar
    from svcready.metrics._pillar import MetricsPillar

__all__ = ["OpsRequest", "OpsResponse", "OpsSurface"]

_JSON = ("content-type", "application/health+json")
_TEXT = ("content-type", "text/plain; charset=utf-8")
_NO_STORE = ("cache-control", "no-store")
_READING = ("GET", "HEAD")


class OpsRequest(NamedTuple):
    """A request to the operator's surface, as any framework can give it."""

    method: str
    path: str
    query: str
    header: Callable[[str], str | None]
    """Returns a request header's value, by its name in any case."""
    peer: str | None
    """The address of the connection's other end."""


class OpsResponse(NamedTuple):
    """An answer of the operator's surface."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case; without `content-length`, which the adapter adds."""
    body: bytes


class OpsSurface:
    """
    Answers the paths that belong to operators.

    Args:
        health: Answers probes and gives the deep report.
        metrics: Renders the scrape.
        gate: Says who may see `/admin`.
        admin: Whether `/admin` is served at all.
        details: Who sees the deep report: `authorised`, `never` or `always`.
        prefix: Put before every path.
        probes_only: Whether metrics and admin live on another port.
    """

    def __init__(
        self,
        *,
        health: HealthPillar | None,
        metrics: MetricsPillar | None,
        gate: TokenGate,
        admin: bool,
        details: str,
        prefix: str = "",
        probes_only: bool = False,
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._gate = gate
        self._details = details
        routes: dict[str, Callable[[OpsRequest], OpsResponse]] = {}
        slow: set[str] = set()
        if health is not None:
            for kind in health.groups:
                routes[f"{prefix}/health/{kind}"] = self._probe(kind)

        if metrics is not None and not probes_only:
            routes[f"{prefix}/metrics"] = self._scrape
            slow.add(f"{prefix}/metrics")

        if health is not None and admin and details != "never" and not probes_only:
            routes[f"{prefix}/admin/health"] = self._guarded(self._report)

        self.routes: Mapping[str, Callable[[OpsRequest], OpsResponse]] = (
            MappingProxyType(routes)
        )
        """Path to answer, matched exactly."""
        self.public = frozenset(
            p for p in routes if not p.startswith(f"{prefix}/admin")
        )
        """Paths that anybody may ask."""
        self.slow = frozenset(slow)
        """Paths whose answer takes long enough to keep off an event loop."""

    def answer(self, request: OpsRequest) -> OpsResponse:
        """Answer a request whose path is one of `routes`."""
        if request.method not in _READING:
            return OpsResponse(405, (("allow", "GET, HEAD"), _TEXT), b"")

        try:
            return self.routes[request.path](request)
        except Exception as error:  # noqa: BLE001 - a probe gets an answer
            report_fault("admin", error)
            return OpsResponse(500, (_TEXT, _NO_STORE), b"internal error\n")

    def _probe(self, kind: str) -> Callable[[OpsRequest], OpsResponse]:
        probe = self._health.probe  # type: ignore[union-attr]
        headers = (_JSON, _NO_STORE)
        last: tuple[object, OpsResponse] = (None, OpsResponse(503, headers, b""))

        def answer(_: OpsRequest) -> OpsResponse:
            nonlocal last
            kept = last  # replaced whole, so that threads need no lock
            said = probe(kind)
            if kept[0] is not said:
                last = kept = (said, OpsResponse(said.status, headers, said.body))

            return kept[1]

        def answer_in_full(request: OpsRequest) -> OpsResponse:
            status, _ = probe(kind)
            return OpsResponse(status, headers, self._report(request).body)

        return answer_in_full if self._details == "always" else answer

    def _report(self, _: OpsRequest) -> OpsResponse:
        import orjson

        assert self._health is not None
        status, _body = self._health.probe("readiness")
        body = orjson.dumps(self._health.report(details=True), default=str)
        return OpsResponse(status, (_JSON, _NO_STORE), body)

    def _scrape(self, request: OpsRequest) -> OpsResponse:
        from urllib.parse import parse_qs

        assert self._metrics is not None
        names = tuple(parse_qs(request.query).get("name[]", ()))
        kind, encoding, body = self._metrics.prometheus.render(
            request.header("Accept"), request.header("Accept-Encoding"), names
        )
        headers = [("content-type", kind), ("vary", "Accept, Accept-Encoding")]
        if encoding is not None:
            headers.append(("content-encoding", encoding))

        return OpsResponse(200, tuple(headers), body)

    def _guarded(
        self, answer: Callable[[OpsRequest], OpsResponse]
    ) -> Callable[[OpsRequest], OpsResponse]:
        gate = self._gate

        def answer_if_admitted(request: OpsRequest) -> OpsResponse:
            admission = gate.judge(request.header, request.peer)
            if admission is Admission.ADMITTED:
                return answer(request)

            if admission is Admission.HIDDEN:
                return OpsResponse(404, (_TEXT, _NO_STORE), b"not found\n")

            challenge = ("www-authenticate", 'Bearer realm="admin"')
            return OpsResponse(401, (challenge, _TEXT, _NO_STORE), b"unauthorised\n")

        return answer_if_admitted
