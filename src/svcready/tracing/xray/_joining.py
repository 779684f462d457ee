"""What X-Ray wants to know beside finished spans, and what people are told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock
    from svcready.config._sections.xray import XraySettings
    from svcready.tracing._attributes import Attributes
    from svcready.tracing._sdk import SpanSink
    from svcready.tracing.export._exports import Exports, Lane

__all__ = ["daemon_state", "join_xray"]


def join_xray(
    exports: Exports,
    settings: XraySettings,
    sink: SpanSink,
    attributes: Attributes,
    clock: Clock,
) -> Callable[[], None]:
    """
    Watch for long requests and for exceptions that are logged, if spans go to X-Ray.

    Args:
        exports: The ways out.
        settings: Say after which time a request is long.
        sink: Tells of spans that begin.
        attributes: Redacts.
        clock: Measures.

    Returns:
        A function that ends both.
    """
    lane = _lane(exports)
    if lane is None:
        return _nothing

    from svcready.tracing.xray._exporter import XRayExporter
    from svcready.tracing.xray._log_exceptions import LogExceptions
    from svcready.tracing.xray._watch import Watch

    logged = LogExceptions(attributes)
    logged.join()
    if isinstance(lane.exporter, XRayExporter):
        lane.exporter.prepare = logged.join  # an application may set a provider later

    watch = None
    if settings.in_progress_after_s > 0:
        after_s = settings.in_progress_after_s
        watch = Watch(after_s, lane.queue.put, sink.masked, clock)
        sink.begun = watch.begun

    def leave() -> None:
        logged.close()
        sink.begun = None
        if watch is not None:
            watch.close()

    return leave


def daemon_state(settings: XraySettings, exports: Exports) -> str:
    """Say whether spans go to the daemon, and why not."""
    lane = _lane(exports)
    if lane is not None:
        cuts = getattr(lane.exporter, "cuts", None)
        told = ", ".join(
            f"{number} {reason}" for reason, number in (cuts or {}).items()
        )
        return f"sends to {lane.target}" + (f" ({told})" if told else "")

    if settings.daemon_address is None:
        return "off: no address set"

    if settings.export is False:
        return "off: switched off"

    return f"off: {settings.daemon_address} is set, but not where spans go"


def _lane(exports: Exports) -> Lane | None:
    return next((lane for lane in exports.lanes if lane.name == "xray"), None)


def _nothing() -> None:
    pass
