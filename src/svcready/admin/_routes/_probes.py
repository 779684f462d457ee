"""The paths of health: probes, which only read, and the deep report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from svcready._core.guard import report_fault
from svcready.admin._exchange import NO_STORE, OpsResponse
from svcready.admin._openapi._operation import HEALTH, Operation, Response
from svcready.admin._surface import Route
from svcready.config import PROBE_ALIASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from svcready.admin._exchange import OpsRequest
    from svcready.config._sections.health import HealthSettings
    from svcready.health._board import Probe
    from svcready.health._running._demand import Demand

__all__ = ["Health", "probe_routes", "report_route"]

_HEADERS = (("content-type", "application/health+json"), NO_STORE)
_QUESTIONS = {
    "liveness": "Does the process work? If not, restart it",
    "readiness": "Can it take requests? If not, send none",
    "startup": "Has it started? If not, wait",
}
_FAILED = OpsResponse(503, _HEADERS, b'{"status":"fail"}')


class Health(Protocol):
    """What the paths of health ask: this process's, or that of all workers."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The names that `probe` answers."""
        ...

    def probe(self, name: str, /) -> Probe:
        """Answer a probe, from what is known."""
        ...

    def asks(self, name: str, /) -> bool:
        """Tell whether a probe has to `refresh` first, which takes time."""
        ...

    def refresh(self, name: str | None = None, /) -> bool:
        """Run the checks of a probe, or all, where they run on demand."""
        ...

    def demand(self, name: str | None = None, /) -> Demand | None:
        """Begin what `refresh` waits for; None if there is nothing to wait for."""
        ...

    def report(self, *, group: str = "") -> dict[str, object]:
        """Describe the service's health, or a group's, in full."""
        ...


def probe_routes(
    health: Health, settings: HealthSettings, *, gated: bool
) -> Iterator[Route]:
    """
    Make the paths that anybody may ask: the three probes and each group.

    Args:
        health: Answers.
        settings: Says where, and who sees details.
        gated: Whether there are credentials that somebody could show.
    """
    # A group's path yields to a probe's that was put in its place: of two routes of
    # one path the last counts.
    yield from (
        _route(health, settings, name, f"/health/{name}", gated=gated)
        for name in health.groups
        if name not in PROBE_ALIASES
    )
    for name, alias in PROBE_ALIASES.items():
        path: str = getattr(settings, f"{name}_path")
        route = _route(health, settings, name, path, gated=gated)
        if settings.aliases and path != alias:
            yield route._replace(path=alias, alias=True)

        yield route


def report_route(health: Health) -> Route:
    """Make the path of the deep report, for operators."""

    def answer(_: OpsRequest) -> OpsResponse:
        health.refresh()
        return _tell(health, "readiness", health.report())

    slow = health.asks("readiness")
    media = {"application/health+json": HEALTH}
    operation = Operation(
        "What each check found, and what else is known of the service's health",
        {
            200: Response("The service passes, or warns", media),
            503: Response("It fails", media),
        },
    )
    return Route(
        "/admin/health", answer, guarded=True, slow=slow, operations={"GET": operation}
    )


def _route(
    health: Health, settings: HealthSettings, name: str, path: str, *, gated: bool
) -> Route:
    bare = _bare(health, name)

    def answer(_: OpsRequest) -> OpsResponse:
        health.refresh(name)
        return bare()

    def begin(then: Callable[[], None]) -> float:
        try:
            demand = health.demand(name)
        except Exception as error:  # noqa: BLE001 - a probe gets an answer
            report_fault("admin.probe", error)
            return 0.0

        if demand is None:
            return 0.0

        demand.tell(then)
        return settings.total_timeout_s

    def in_full(_: OpsRequest) -> OpsResponse:
        health.refresh(name)
        return told()

    def told() -> OpsResponse:
        try:
            return _tell(health, name, health.report(group=name))
        except Exception as error:  # noqa: BLE001 - what anybody gets is better
            report_fault("admin.probe", error)
            return bare()

    operations = {"GET": _operation(name)}
    slow = health.asks(name)  # its checks have to run first
    if settings.details == "always":
        route = Route(path, in_full, slow=slow, bare=told, operations=operations)
    else:
        gated = gated and settings.details == "authorised"
        detailed = in_full if gated else None
        route = Route(
            path, answer, slow=slow, bare=bare, detailed=detailed, operations=operations
        )

    return route._replace(begin=begin) if slow else route


def _operation(name: str) -> Operation:
    """Return what the OpenAPI document says of a probe."""
    media = {"application/health+json": HEALTH}
    what = _QUESTIONS.get(name, f"Does everything of the group {name} work?")
    up, down = Response("It passes, or warns", media), Response("It fails", media)
    return Operation(what, {200: up, 503: down})


def _bare(health: Health, name: str) -> Callable[[], OpsResponse]:
    last: tuple[object, OpsResponse] = (None, _FAILED)

    def answer() -> OpsResponse:
        nonlocal last
        try:
            kept = last  # replaced whole, so that threads need no lock
            said = health.probe(name)
            if kept[0] is not said:
                last = kept = (said, OpsResponse(said.status, _HEADERS, said.body))

            return kept[1]
        except Exception as error:  # noqa: BLE001 - a probe is 200 or 503
            report_fault("admin.probe", error)
            return _FAILED

    return answer


def _tell(health: Health, name: str, report: Mapping[str, object]) -> OpsResponse:
    import orjson

    status = health.probe(name).status
    return OpsResponse(status, _HEADERS, orjson.dumps(report, default=str))
