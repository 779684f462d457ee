"""The limit's arithmetic: how many requests at a time keep latency near its usual."""

from __future__ import annotations

import math
from typing import NamedTuple

from svcready.resilience._shed._trial import Trial

__all__ = ["GradientConfig", "GradientLimit", "Window"]

_WARM_UP = 10
_BASELINE_WINDOWS = 300
_LEARNING = 0.1
_LEARNING_SAMPLES = 100
_HIGH = 2.0
_DECAY = 0.95
_LEAST_GRADIENT = 0.5
_LEAST_ROOM = 4.0
_LEAST_S = 1e-9
_CALM_WINDOWS = 3


class GradientConfig(NamedTuple):
    """What a limit moves by."""

    initial_limit: int = 20
    """Requests at a time, before anything was measured."""
    min_limit: int = 5
    """It never falls below this."""
    max_limit: int = 200
    """It never rises above this."""
    tolerance: float = 1.5
    """How many times the usual latency is no sign of a queue yet."""
    smoothing: float = 0.2
    """How much of the way to the new limit one window goes, above 0, up to 1."""


class Window(NamedTuple):
    """What was measured in one window."""

    samples: int
    """How many requests ended in it."""
    mean_s: float
    """Their mean latency, in seconds."""
    error_s: float
    """The standard error of that mean, in seconds."""
    most: int
    """How many requests were in flight at most."""
    refused: int
    """How many the limit refused, or would have."""
    length_s: float
    """How long it was, in seconds."""


class GradientLimit:
    """
    A concurrency limit that follows latency, after Netflix's Gradient2.

    Every window, `limit' = limit * gradient + room`, smoothed, where the gradient is
    `tolerance * baseline / latency` within 0.5 and 1, and the room to queue in is the
    limit's square root, at least 4. The baseline is a slow mean of latencies. Nothing
    changes while less than half of the limit is used. Three things are otherwise than
    in Netflix's:

    - A window's latency counts as its mean less the mean's standard error, so that a
      few slow requests among few don't lower the limit.
    - While the limit refuses, latency is what the limit makes it, so the baseline does
      not rise with it: each would lift the other, and an overload of an hour would
      end with a limit at its maximum.
    - A dependency that became slower raises latency as well, and no lower limit helps.
      The two are told apart by trial (`Trial`): where throughput follows the limit,
      nothing queues here, and the baseline learns the new latency in seconds.

    It is pure arithmetic: no clock, no lock.

    Args:
        config: What it moves by.
    """

    def __init__(self, config: GradientConfig) -> None:
        self.config = config
        self._base = float(config.initial_limit)
        self._windows = 0
        self._calm = 0
        self._trial = Trial()
        self.baseline_s: float | None = None
        """The usual latency, in seconds; None before the first window."""
        self.limit = config.initial_limit
        """How many requests may be in flight now."""

    def use(self, config: GradientConfig) -> None:
        """Move by *config* from now on, from where it stands, within the new bounds."""
        if config.initial_limit != self.config.initial_limit and not self._windows:
            self._base = float(config.initial_limit)

        self.config = config
        self._set(self._base)

    def update(self, window: Window) -> int:
        """Take what a window measured, and return the limit from now on."""
        limited = self._is_limited(window)
        if limited:
            self._trial.add(self.limit, window.samples, window.length_s)
        else:
            self._trial.stop()

        baseline_s = self._learn(window, limited=limited)
        base = self._base
        if window.most >= base / 2.0:
            config = self.config
            latency_s = max(_LEAST_S, window.mean_s - window.error_s)
            gradient = config.tolerance * baseline_s / latency_s
            gradient = max(_LEAST_GRADIENT, min(1.0, gradient))
            room = max(_LEAST_ROOM, math.sqrt(base))
            base += config.smoothing * (base * gradient + room - base)

        self._set(base)
        return self.limit

    def _set(self, base: float) -> None:
        config = self.config
        base = max(config.min_limit, min(config.max_limit, base))
        self._base = base
        self.limit = min(config.max_limit, self._trial.limit(int(base)))

    def _is_limited(self, window: Window) -> bool:
        """Tell whether it is the limit that decides how much is in flight."""
        # Where requests are few, some windows refuse none by chance.
        self._calm = 0 if window.refused else self._calm + 1
        return bool(self._windows) and self._calm < _CALM_WINDOWS

    def _learn(self, window: Window, *, limited: bool) -> float:
        mean_s = window.mean_s
        self._windows += 1
        baseline_s = self.baseline_s
        if baseline_s is None:
            baseline_s = mean_s
        elif self._windows <= _WARM_UP:
            baseline_s += (mean_s - baseline_s) / self._windows
        elif mean_s < baseline_s or not limited:
            baseline_s += (mean_s - baseline_s) / _BASELINE_WINDOWS
            if baseline_s > _HIGH * mean_s:  # it comes from a worse time
                baseline_s *= _DECAY
        elif self._trial.follows:
            weight = _LEARNING * min(1.0, window.samples / _LEARNING_SAMPLES)
            baseline_s += weight * (mean_s - baseline_s)

        self.baseline_s = baseline_s
        return baseline_s
