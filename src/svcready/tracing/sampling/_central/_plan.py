"""Whether X-Ray's central rules are asked for, and of whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.config._sampling import SAFE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready._transport.xray_api import SamplingApi
    from svcready.config._sections.tracing import TracingSettings
    from svcready.config._sections.xray import XraySettings
    from svcready.tracing.sampling._central._central_rules import CentralRules
    from svcready.tracing.sampling._service import Service

__all__ = ["plan_central"]

_DAEMON = ("127.0.0.1", 2000)
_LAMBDA = "AWS::Lambda::Function"


def plan_central(
    tracing: TracingSettings,
    xray: XraySettings,
    service: Service,
    clock: Clock,
    quiet: Callable[[], AbstractContextManager[None]],
) -> CentralRules | None:
    """
    Return X-Ray's central rules; None if nobody wants them.

    Args:
        tracing: The section TRACING.
        xray: The section XRAY.
        service: Rules for others are never matched.
        clock: Drives them.
        quiet: Keeps instrumented clients from making spans inside.
    """
    if not tracing.enabled or not _are_wanted(tracing, xray, service):
        return None

    from svcready._core.worker import Worker
    from svcready.tracing.sampling._central._central_rules import CentralRules

    return CentralRules(
        _api(xray),
        service,
        clock,
        Worker("svcready-xray-sampling", clock),
        interval_s=xray.sampling_interval_s,
        quiet=quiet,
    )


def _are_wanted(tracing: TracingSettings, xray: XraySettings, service: Service) -> bool:
    if xray.sampling is not None:
        return xray.sampling

    if tracing.sampling.central:
        return True

    # On Lambda the address is always set, and its service has decided already.
    unsaid = tracing.sampling == SAFE_RATE and not tracing.rules
    unsaid = unsaid and not tracing.rules_file.rules and service.kind != _LAMBDA
    is_named = bool(xray.sampling_endpoint) or xray.daemon_address is not None
    return unsaid and is_named


def _api(xray: XraySettings) -> SamplingApi:
    from svcready._transport.xray_api import ProxyApi, SignedApi

    if xray.sampling_endpoint == "aws":
        return SignedApi(xray.region)

    if xray.sampling_endpoint:
        return ProxyApi(xray.sampling_endpoint)

    host, port = _DAEMON if xray.daemon_address is None else xray.daemon_address.tcp
    return ProxyApi(
        f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    )
