"""An interpreter that does nothing."""

from __future__ import annotations

from benchmarks.fresh.commands import PYTHON, run

run(PYTHON, "-c", "pass")
