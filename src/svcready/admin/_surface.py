"""The routes of the operator's surface and the answers they give."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.admin._access import Admission
from svcready.admin._exchange import (
    CHANGING,
    NO_STORE,
    READING,
    TEXT,
    OpsRequest,
    OpsResponse,
    problem,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.admin._access import TokenGate
    from svcready.admin._loggers import LoggersRoute
    from svcready.health._pillar import HealthPillar
    from svcready.metrics._pillar import MetricsPillar

__all__ = ["OpsRequest", "OpsResponse", "OpsSurface"]

_HEALTH = ("content-type", "application/health+json")


class OpsSurface:
    """
    Answers the paths that belong to operators.

    Args:
        health: Answers probes and gives the deep report.
        metrics: Renders the scrape.
        gate: Says who may see `/admin`.
        admin: Whether `/admin` is served at all.
        details: Who sees the deep report: `authorised`, `never` or `always`.
        loggers: Lists and changes levels; None where there are no logs.
        cost: Says what CloudWatch is billed for; None where there are no metrics.
        decided: Told what the gate said of each request for `/admin`.
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
        loggers: LoggersRoute | None = None,
        cost: Callable[[], dict[str, object]] | None = None,
        decided: Callable[[OpsRequest, Admission], None] = lambda *_: None,
        prefix: str = "",
        probes_only: bool = False,
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._gate = gate
        self._decided = decided
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

        self._methods: dict[str, tuple[str, ...]] = {}
        if loggers is not None and admin and not probes_only:
            path = f"{prefix}/admin/loggers"
            routes[path] = self._guarded(loggers)
            self._methods[path] = loggers.methods
            slow.add(path)  # a change waits for the other workers

        if cost is not None and admin and not probes_only:
            path = f"{prefix}/admin/metrics/cost"
            routes[path] = self._guarded(lambda _: _json(cost()))
            slow.add(path)

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
        methods = self._methods.get(request.path, READING)
        if request.method not in methods:
            return OpsResponse(405, (("allow", ", ".join(methods)), TEXT), b"")

        try:
            return self.routes[request.path](request)
        except Exception as error:  # noqa: BLE001 - a probe gets an answer
            report_fault("admin", error)
            return OpsResponse(500, (TEXT, NO_STORE), b"internal error\n")

    def takes_body(self, method: str, path: str) -> bool:
        """Tell whether the adapter is to read the body of such a request."""
        return method == "POST" and method in self._methods.get(path, ())

    def _probe(self, kind: str) -> Callable[[OpsRequest], OpsResponse]:
        probe = self._health.probe  # type: ignore[union-attr]
        headers = (_HEALTH, NO_STORE)
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
        return OpsResponse(status, (_HEALTH, NO_STORE), body)

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
        gate, decided = self._gate, self._decided

        def answer_if_admitted(request: OpsRequest) -> OpsResponse:
            admission = gate.judge(request.header, request.peer)
            decided(request, admission)
            if admission is Admission.ADMITTED:
                return _refuse_change(request) or answer(request)

            if admission is Admission.HIDDEN:
                return OpsResponse(404, (TEXT, NO_STORE), b"not found\n")

            challenge = ("www-authenticate", 'Bearer realm="admin"')
            return OpsResponse(401, (challenge, TEXT, NO_STORE), b"unauthorised\n")

        return answer_if_admitted


def _json(members: dict[str, object]) -> OpsResponse:
    import orjson

    kind = ("content-type", "application/json")
    return OpsResponse(200, (kind, NO_STORE), orjson.dumps(members))


def _refuse_change(request: OpsRequest) -> OpsResponse | None:
    """Refuse what a page in an operator's browser could send without asking."""
    if request.method not in CHANGING:
        return None

    # What a form can send is no JSON, and anything else needs a preflight request,
    # which nobody answers; the origin is looked at for browsers with a hole in that.
    origin = request.header("Origin")
    if origin is not None and origin.partition("://")[2] != request.header("Host"):
        return problem(403, "Another origin", "Send it from no browser")

    if request.method != "POST":
        return None

    kind = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return problem(415, "Not JSON", "Send Content-Type: application/json")

    if request.body is None:
        return problem(413, "Too long", "A change is no longer than 64 KiB")

    return None
