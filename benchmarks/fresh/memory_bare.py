"""A thousand requests through the bare application, whose memory is read afterwards."""

from __future__ import annotations

from benchmarks.subjects import request_fastapi

workload = request_fastapi.bare()
workload.run(1000)
workload.flush()
