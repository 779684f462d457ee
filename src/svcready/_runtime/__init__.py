"""The runtime: what `init()` builds, and how wrappers take their part of it."""

from __future__ import annotations

from svcready._runtime._applications import note_bare
from svcready._runtime._cells import PlanCell, current, put_in_force
from svcready._runtime._early import begin_in_loop, running_loop
from svcready._runtime._init import drain, init, resume, shutdown
from svcready._runtime._runtime import Runtime
from svcready._runtime._serving import Serving

__all__ = [
    "PlanCell",
    "Runtime",
    "Serving",
    "begin_in_loop",
    "current",
    "drain",
    "init",
    "note_bare",
    "put_in_force",
    "resume",
    "running_loop",
    "shutdown",
]
