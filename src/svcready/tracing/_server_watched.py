"""The server's side of traces where X-Ray asks how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.tracing._server import ServerTracer
from svcready.tracing._server_trace import ServerTrace
from svcready.tracing.sampling._central._anomalies import judge_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.config._adaptive import AdaptiveSampling
    from svcready.tracing.propagation._inbound import B3Headers
    from svcready.tracing.sampling._central._anomalies import Judge
    from svcready.tracing.sampling._central._central_rules import CentralRules
    from svcready.tracing.sampling._central._state import RuleState

    Describe = Callable[[], Mapping[str, object]]

__all__ = ["WatchedServerTracer", "WatchedTrace"]


class WatchedTrace(ServerTrace):
    """
    The trace of one request whose end X-Ray's rule is told of.

    Args:
        inner: The trace itself.
        rule: The rule that decided about it.
        method: The request's.
        judge: Tells whether it was an anomaly.
        now: The monotonic clock.
    """

    __slots__ = ("_inner", "_judge", "_method", "_now", "_rule", "_started_s")

    ends = True

    def __init__(
        self,
        inner: ServerTrace,
        rule: RuleState,
        method: str,
        judge: Judge,
        now: Callable[[], float],
    ) -> None:
        ids = inner.trace_id, inner.span_id
        super().__init__(ids, inner.flags, inner.context, inner.asked)
        self._inner = inner
        self._rule: RuleState | None = rule
        self._method = method
        self._judge = judge
        self._now = now
        self._started_s = now()

    @property
    def sampled(self) -> bool:  # type: ignore[override]
        """Whether the request's span is recorded."""
        return self._inner.sampled

    def end(
        self, route: str | None, status: int | None, error: BaseException | None
    ) -> None:
        """End the request's span, and tell the rule how."""
        rule, self._rule = self._rule, None
        if rule is None:
            return

        self._inner.end(route, status, error)
        try:
            operation = f"{self._method} {route or ''}".rstrip()
            took_s = self._now() - self._started_s
            anomaly = self._judge(operation, status, error, took_s)
            rule.ended(anomaly=anomaly, sampled=self._inner.sampled)
        except Exception as fault:  # noqa: BLE001 - telemetry never raises
            report_fault("tracing.sampling", fault)


class WatchedServerTracer(ServerTracer):
    """
    Begins the traces of requests while X-Ray's central rules decide.

    Args:
        inner: Begins them.
        central: Whose rules decide; as long as one may be boosted, it is told how
            traces end.
        adaptive: What is an anomaly.
        now: The monotonic clock.
    """

    def __init__(
        self,
        inner: ServerTracer,
        central: CentralRules,
        adaptive: AdaptiveSampling | None,
        now: Callable[[], float],
    ) -> None:
        self._inner = inner
        self._central = central
        self._judge = judge_of(adaptive)
        self._now = now

    def begin(
        self,
        method: str,
        path: str,
        traceparent: str | None,
        tracestate: str | None,
        xray: str | None,
        baggage: str | None,
        describe: Describe,
        b3: B3Headers | None = None,
    ) -> ServerTrace:
        """Begin the trace of one request; `activate` makes it current."""
        central = self._central
        watching = central.watching
        if watching:
            central.watched()  # what another decision of this thread has left

        trace = self._inner.begin(
            method, path, traceparent, tracestate, xray, baggage, describe, b3
        )
        rule = central.watched() if watching else None
        if rule is None:
            return trace

        return WatchedTrace(trace, rule, method, self._judge, self._now)
