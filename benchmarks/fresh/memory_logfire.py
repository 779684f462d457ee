"""A thousand requests through logfire, whose memory is read afterwards."""

from __future__ import annotations

from benchmarks.subjects import request_fastapi

workload = request_fastapi.logfire(0.05)
workload.run(1000)
workload.flush()
