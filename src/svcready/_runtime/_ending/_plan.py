"""The plan of the end: how long each part may take, by settings and servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready._runtime._ending._servers import Server
    from svcready.config._sections.lifecycle import LifecycleSettings

__all__ = ["Plan", "make_plan"]


class Plan(NamedTuple):
    """How long each part of the end may take, in seconds."""

    delay_s: float
    timeout_s: float
    flush_s: float
    reason: str = ""
    """Why there is no delay, if there is none."""

    @property
    def total_s(self) -> float:
        """Return how long the end may take in all."""
        return self.delay_s + self.timeout_s + self.flush_s


def make_plan(
    lifecycle: LifecycleSettings, servers: Iterable[Server], *, probed: bool
) -> Plan:
    """
    Make the plan of an end that begins now.

    Args:
        lifecycle: What is configured.
        servers: What this process runs in; one may kill it before the end is over.
        probed: Whether a load balancer may look at readiness.
    """
    delay_s, reason = lifecycle.drain_delay_s, ""
    if any(server.reloads for server in servers):
        delay_s, reason = 0.0, "the server reloads"
    elif not probed and delay_s:
        delay_s, reason = 0.0, "no probe was ever seen"

    timeout_s, flush_s = lifecycle.drain_timeout_s, lifecycle.flush_timeout_s
    for server in servers:
        if server.kills_after_s is not None:
            left_s = server.kills_after_s - delay_s - flush_s
            timeout_s = max(0.0, min(timeout_s, left_s))

    return Plan(delay_s, timeout_s, flush_s, reason)
