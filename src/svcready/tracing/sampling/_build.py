"""Builds the one decision of a process out of its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.config._sampling import SAFE_RATE
from svcready.tracing.sampling._decider import Decider
from svcready.tracing.sampling._layers import local_layers
from svcready.tracing.sampling._rate import Rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready._core.clock import Clock
    from svcready.config._sections.tracing import TracingSettings
    from svcready.tracing.sampling._layers import Layer
    from svcready.tracing.sampling._service import Service

__all__ = ["build_decider"]


def build_decider(
    settings: TracingSettings,
    clock: Clock,
    service: Service,
    central: Sequence[Layer] = (),
) -> Decider:
    """
    Build what decides: the variable's rules, the file's, X-Ray's, then the setting.

    Args:
        settings: The section TRACING.
        clock: Drives the reservoirs.
        service: Rules for others are left out.
        central: X-Ray's central rules, if they are asked for. While they have none,
            what X-Ray itself takes for safe counts, whatever the setting says.
    """
    sampling = SAFE_RATE if central else settings.sampling
    ratio = settings.ratio if sampling.ratio is None else sampling.ratio
    first, last = local_layers(
        settings.rules, settings.rules_file.rules, clock, service
    )
    return Decider(
        Rate(sampling.per_second, ratio, clock),
        settings.trust_inbound,
        settings.inbound_max_per_s,
        clock,
        [*first, *central, *last],
    )
