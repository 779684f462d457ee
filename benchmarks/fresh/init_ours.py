"""`init()` with an application and everything on, svcready's import included."""

from __future__ import annotations

import svcready
from benchmarks.fresh.app import app

svcready.init(service="orders", version="1.4.2", app=app)
