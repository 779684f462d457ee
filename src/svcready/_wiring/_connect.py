"""Connects the pillars of one runtime, and undoes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._wiring._clients import measure_traced
from svcready._wiring._counts import count, keep_exemplars
from svcready._wiring._lines import log_health, log_limits, log_metrics, log_resilience
from svcready._wiring._shared import log_stores
from svcready._wiring._spans import mark_spans
from svcready.health.checks._found import Finder
from svcready.logging._outages import log_destinations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready._wiring._pillars import Pillars

__all__ = ["connect"]

_WORSE = {"open", "forced_open"}


def connect(pillars: Pillars) -> Callable[[], None]:
    """
    Wire the pillars of one runtime together.

    Returns:
        A function that undoes it.
    """
    undo: list[Callable[[], None]] = []
    if pillars.metrics is not None:
        undo += count(pillars, pillars.metrics)
        undo += keep_exemplars(pillars.metrics)
        undo += measure_traced(pillars.metrics, pillars.tracing)

    if pillars.logging is not None:
        undo += log_resilience(pillars.logging, pillars.clock.monotonic)
        undo += log_limits(pillars.logging, pillars.clock.monotonic)
        shared = pillars.resilience.shared if pillars.resilience else None
        undo += log_stores(pillars.logging, shared.on_failure if shared else "local")
        undo += log_health(pillars.logging)
        undo += log_metrics(pillars.logging)
        undo += log_destinations(pillars.logging.event)

    if pillars.health is not None and pillars.health.settings.auto_checks:
        undo.append(Finder(pillars.health).start())

    undo += mark_spans(pillars.tracing)
    if pillars.resilience is not None:
        pillars.resilience.begin_telling()

    if pillars.health is not None and pillars.resilience is not None:
        pillars.health.add_info("breakers", lambda: _breaker_info(pillars))
        pillars.health.add_info("load_shedding", lambda: _shedding_info(pillars))

    def disconnect() -> None:
        for step in undo:
            step()

    return disconnect


def _breaker_info(pillars: Pillars) -> Mapping[str, object]:
    assert pillars.resilience is not None
    states = pillars.resilience.states()
    asked = {each.state for each in states if each.mode != "off"}
    told: dict[str, object] = {each.name: each.state for each in states}
    modes = {each.name: each.mode for each in states if each.mode != "enforce"}
    if modes:
        told["modes"] = modes

    return {**told, "status": "warn" if _WORSE & asked else "pass"}


def _shedding_info(pillars: Pillars) -> Mapping[str, object]:
    assert pillars.resilience is not None
    state = pillars.resilience.shedding()
    if state is None:
        return {"status": "pass", "mode": "off"}

    return {
        "status": "warn" if state.shedding else "pass",
        "mode": state.mode,
        "shedding": state.shedding,
        "limit": state.limit,
        "in_flight": state.in_flight,
    }
