"""What is wrong with the configuration, as settings and pillars tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._runtime._judged import judged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready._runtime._runtime import Runtime

__all__ = ["problems"]


def problems(runtime: Runtime, noted: Iterable[str], *, ready: bool) -> tuple[str, ...]:
    """
    Return what is wrong, one line each.

    Args:
        runtime: Whose settings are meant.
        noted: What pillars said by themselves.
        ready: Whether everything is declared that ever will be, as far as one knows.
    """
    settings = runtime.settings
    found = [str(problem) for problem in settings.problems]
    found += runtime.tracing.problems
    found += runtime.metrics.problems if runtime.metrics is not None else ()
    found += judged(settings)
    found += noted
    resilience = runtime.resilience
    found += resilience.untuned()
    if not ready:
        return tuple(found)

    found += map(str, settings.named.unmatched(comes=resilience.comes))
    found += map(str, settings.named.idle("POLICY", resilience.lacks))
    found += resilience.problems()
    if runtime.health is not None:
        found += runtime.health.problems()

    return tuple(found)
