"""The path `/admin/drain`: has the service drain, waits, and takes it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.admin._exchange import answer_json, operator_of, problem
from svcready.config._kinds import duration

if TYPE_CHECKING:
    from svcready._runtime import Runtime
    from svcready._runtime._ending._drain import Drain
    from svcready.admin._exchange import Audit, OpsRequest, OpsResponse
    from svcready.admin._surface import Route

__all__ = ["DrainRoute", "noticed"]

_DELAY = duration(0.0, 600.0)
_LOOK_S = 0.05
_BROWSERS = ("Sec-Fetch-Site", "Sec-Fetch-Mode", "Origin", "Referer", "Cookie")
"""What a browser sends by itself, and a platform's hook does not."""


def noticed(route: Route, drain: Drain) -> Route:
    """Return a probe's route that lets *drain* know that somebody probes."""
    answer, bare = route.answer, route.bare

    def answer_and_note(request: OpsRequest) -> OpsResponse:
        drain.see_probe()
        return answer(request)

    def answer_barely() -> OpsResponse:
        assert bare is not None
        drain.see_probe()
        return bare()

    return route._replace(
        answer=answer_and_note, bare=None if bare is None else answer_barely
    )


class DrainRoute:
    """
    Has the service drain and answers when the delay is over, so that a hook waits.

    POST takes `{}` or `{"delay": ...}`; DELETE has the service take requests again. GET
    drains as well, because Kubernetes' `preStop` can send nothing else; it is refused
    to whatever may be a browser, and needs credentials in a header, also where the own
    machine may ask all else without.

    Args:
        runtime: What drains.
        audit: Takes down who had it drain.
    """

    methods = ("GET", "POST", "DELETE")

    def __init__(self, runtime: Runtime, audit: Audit) -> None:
        self._runtime = runtime
        self._audit = audit

    def __call__(self, request: OpsRequest) -> OpsResponse:
        """Answer *request*."""
        if request.method == "DELETE":
            return self._resume(request)

        delay_s: float | None = None
        if request.method == "GET":
            refused = _refuse_browser(request)
            if refused is not None:
                return refused
        else:
            try:
                delay_s = _read_delay(request.body)
            except (TypeError, ValueError):
                allowed = f'Send {{}} or {{"delay": ...}}, {_DELAY.allowed}'
                return problem(400, "Not a drain", allowed)

        runtime = self._runtime
        drained_before = bool(runtime.drain.why)
        runtime.drain_orders.drain(f"/admin/drain by {request.peer}", delay_s)
        if not drained_before:
            self._tell(request, "lifecycle.drain")

        while runtime.drain.waits_for_delay():
            runtime.clock.sleep(_LOOK_S)

        return answer_json(200, self._state())

    def _resume(self, request: OpsRequest) -> OpsResponse:
        if not self._runtime.drain_orders.resume():
            return problem(409, "It does not drain, or it ends", "Nothing was changed")

        self._tell(request, "lifecycle.resume")
        return answer_json(200, self._state())

    def _tell(self, request: OpsRequest, action: str) -> None:
        resource = {"type": "service", "id": self._runtime.identity.service}
        self._audit(action, resource, operator_of(request), "success")

    def _state(self) -> dict[str, object]:
        drain = self._runtime.drain
        return {
            "draining": bool(drain.why),
            "why": drain.why or None,
            "delay_left_s": round(drain.left_s(), 3),
            "in_flight": len(self._runtime.open_requests),
        }


def _refuse_browser(request: OpsRequest) -> OpsResponse | None:
    """Refuse a GET that a page could have an operator's browser send."""
    if any(request.header(name) is not None for name in _BROWSERS):
        return problem(403, "Not for browsers", "Send POST, or GET from a hook")

    if not request.header("Authorization"):
        return problem(403, "Credentials are needed", "Send them in a header, or POST")

    return None


def _read_delay(body: bytes | None) -> float | None:
    import orjson

    said = orjson.loads(body or b"{}")
    if not isinstance(said, dict) or not said.keys() <= {"delay"}:
        raise ValueError

    raw = said.get("delay")
    if raw is None:
        return None

    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise TypeError

    return _DELAY.parse(raw)
