"""Makes the resilience pillar of a runtime, and what the runtime has around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._runtime._breakers import ForcedBreakers
from svcready._runtime._inbound import inbound_means
from svcready._runtime._judged import said_as
from svcready._runtime._refusals import Refusals
from svcready._runtime._sharing import share
from svcready.resilience._limiting._inbound_means import NO_INBOUND
from svcready.resilience._parts import DERIVED
from svcready.resilience._pillar import ResiliencePillar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready._runtime._runtime import Runtime
    from svcready.config import Settings

__all__ = ["breakers", "is_on", "refusals", "resilience"]


def breakers(runtime: Runtime) -> ForcedBreakers | None:
    """Make what holds circuit breakers; None if resilience is switched off."""
    if not is_on(runtime.settings):
        return None

    return ForcedBreakers(runtime.resilience, runtime.group, runtime.clock)


def refusals(runtime: Runtime) -> Refusals | None:
    """Make what sums up refused calls; None if there are no logs."""
    if runtime.logging is None:
        return None

    return Refusals(runtime.resilience, runtime.logging, runtime.clock)


def resilience(runtime: Runtime) -> ResiliencePillar:
    """
    Make the resilience pillar.

    Switched off it is there as well: policies that code declares have to be told.
    """
    settings = runtime.settings
    shared = share(runtime)

    def policy_values(name: str) -> Mapping[str, object]:
        # Read through the runtime, whose settings a changed file replaces.
        named = runtime.settings.named
        return named.values("POLICY", name, base=DERIVED.get(name, ""))

    def policy_variable(name: str, field: str) -> str:
        base = DERIVED.get(name, "")
        return said_as(runtime.settings, name, field, base=base)

    enabled = is_on(settings)
    return ResiliencePillar(
        enabled=enabled,
        clock=runtime.clock,
        policy_values=policy_values,
        named=policy_variable,
        inbound=inbound_means(runtime, shared) if enabled else NO_INBOUND,
        shared=shared,
    )


def is_on(settings: Settings) -> bool:
    """Return whether policies take part at all."""
    return settings.core.enabled and settings.resilience.enabled
