"""Logfire set up on an application, its import included."""

from __future__ import annotations

from benchmarks.fresh.app import app
from benchmarks.subjects.logfire_setup import start_logfire

start_logfire(app, 0.05)
