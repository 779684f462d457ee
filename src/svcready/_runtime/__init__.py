"""The runtime: what `init()` builds, and how wrappers take their part of it."""

from __future__ import annotations

from svcready._runtime._cells import PlanCell, current, put_in_force
from svcready._runtime._init import init, shutdown
from svcready._runtime._runtime import Runtime
from svcready._runtime._serving import Serving

__all__ = [
    "PlanCell",
    "Runtime",
    "Serving",
    "current",
    "init",
    "put_in_force",
    "shutdown",
]
