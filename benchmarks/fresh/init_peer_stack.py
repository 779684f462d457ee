"""The peer stack set up on an application, its imports included."""

from __future__ import annotations

from benchmarks.fresh.app import app
from benchmarks.subjects.access_line import AccessLine
from benchmarks.subjects.request_fastapi import instrument

app.add_middleware(AccessLine)
instrument(app, 0.05)
