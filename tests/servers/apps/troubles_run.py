"""A script that serves an application of which it imports nothing itself."""

from __future__ import annotations

import sys

import uvicorn

from svcready.logging import log_config

if __name__ == "__main__":
    uvicorn.run(
        "tests.servers.apps.troubles_fastapi:app",
        port=int(sys.argv[1]),
        workers=2,
        log_config=log_config(),
    )
