"""No histogram at all: what the others' memory is over."""

from __future__ import annotations

import benchmarks.fresh.many_series  # noqa: F401
