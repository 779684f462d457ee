"""The environment of the demo's processes: production, with times that fit the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["cost_environ", "service_environ", "tuning"]

_ROOM = "20000"


def service_environ(inherited: Mapping[str, str], collector_url: str) -> dict[str, str]:
    """
    Return the environment of a service.

    Args:
        inherited: The demo's own environment; what is not set here stays, so that a
            variable can be tried out on the demo.
        collector_url: Where spans go.
    """
    return {
        **_production(inherited, collector_url),
        "SVCREADY_TRACING_SAMPLING": "100%",
        "SVCREADY_TRACING_INBOUND_MAX_PER_S": "1000",
        "SVCREADY_TRACING_EXPORT_DELAY_S": "0.2",
        "SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "0",
    }


def tuning(seconds: float) -> dict[str, str]:
    """
    Return how an operator tunes the orders service for a run of so many seconds.

    What takes 10 s in production is to be seen here several times.
    """
    open_s = seconds / 20
    interval_s = max(0.1, seconds / 80)
    return {
        "SVCREADY_POLICY__PAYMENTS__RETRY_BASE_S": "20ms",
        "SVCREADY_POLICY__PAYMENTS__BREAKER_WINDOW_S": f"{max(1.0, seconds / 10):.2f}",
        "SVCREADY_POLICY__PAYMENTS__BREAKER_MIN_CALLS": "10",
        "SVCREADY_POLICY__PAYMENTS__BREAKER_OPEN_S": f"{open_s:.2f}",
        "SVCREADY_POLICY__PAYMENTS__BREAKER_OPEN_MAX_S": f"{open_s * 1.2:.2f}",
        "SVCREADY_CHECK__DATABASE__INTERVAL_S": f"{interval_s:.2f}",
        "SVCREADY_CHECK__DATABASE__FAIL_AFTER": "2",
        "SVCREADY_CHECK__PAYMENTS__INTERVAL_S": f"{interval_s:.2f}",
        "SVCREADY_CHECK__PAYMENTS__FAIL_AFTER": "2",
    }


def cost_environ(inherited: Mapping[str, str], collector_url: str) -> dict[str, str]:
    """
    Return the environment in which the cost is measured: as svcready comes.

    Args:
        inherited: The demo's own environment.
        collector_url: Where spans go.
    """
    return {
        **_production(inherited, collector_url),
        # Nothing is sent until it is asked for, which is measured apart: as often as
        # the application's turns come, requests of the network would be too many.
        "SVCREADY_TRACING_QUEUE_SPANS": _ROOM,
        "SVCREADY_TRACING_BATCH_SPANS": _ROOM,
        "SVCREADY_TRACING_EXPORT_DELAY_S": "300",
    }


def _production(inherited: Mapping[str, str], collector_url: str) -> dict[str, str]:
    return {
        **inherited,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "SVCREADY_SERVICE_ENVIRONMENT": "production",
        "SVCREADY_LOG_FORMAT": "json",
        "SVCREADY_CORE_START_SUMMARY": "line",
        "SVCREADY_TRACING_EXPORTER": "otlp",
        "SVCREADY_OTLP_ENDPOINT": collector_url,
    }
