"""A FastAPI application with its framework imported, ready to be instrumented."""

from __future__ import annotations

from benchmarks.subjects.request_fastapi import make_app

app = make_app()
