"""What users' tests need: a fake clock, and a runtime whose output can be read."""

from __future__ import annotations

from svcready.testing._clock import FakeClock
from svcready.testing._emf_events import assert_emf_event
from svcready.testing._harness import Harness, running
from svcready.testing._log_lines import assert_log_line
from svcready.testing._policies import Policies, reset_policies

__all__ = [
    "FakeClock",
    "Harness",
    "Policies",
    "assert_emf_event",
    "assert_log_line",
    "reset_policies",
    "running",
]
