"""Where the pillars meet: events become counters, log lines, span events and info."""

from __future__ import annotations

from svcready._wiring._connect import connect

__all__ = ["connect"]
