"""Takes the request plan from a runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.adapters._lifecycle import RequestPlan

if TYPE_CHECKING:
    from svcready._runtime import Runtime

__all__ = ["build_plan"]


def build_plan(runtime: Runtime) -> RequestPlan | None:
    """
    Return the plan that *runtime*'s requests follow.

    Returns:
        None if the library or its request lifecycle is switched off.
    """
    http = runtime.settings.http
    if not http.enabled or not runtime.settings.core.enabled:
        return None

    logging = runtime.logging
    return RequestPlan(
        now=runtime.clock.monotonic,
        tracer=runtime.tracing.server,
        access=logging.access_log() if logging is not None and http.access_log else None,
        log_error=logging.log_exception if logging is not None else _log_nothing,
        metrics=runtime.metrics.http if runtime.metrics is not None else None,
        ops=runtime.ops,
        serving=runtime,
        redact_query=runtime.redact_query,
        request_id_header=http.request_id_header,
        correlation_id_header=http.correlation_id_header,
        send_headers=http.response_headers,
        trusted_hops=http.trusted_hops,
    )


def _log_nothing(error: BaseException) -> None:
    del error
