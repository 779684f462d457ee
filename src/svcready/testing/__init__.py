"""What users' tests need: a fake clock, captures, and a runtime per test."""

from __future__ import annotations

from svcready.testing._clock import FakeClock

__all__ = ["FakeClock"]
