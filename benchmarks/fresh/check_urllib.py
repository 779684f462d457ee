"""What is written by hand today, against a service that is up."""

from __future__ import annotations

from benchmarks.fresh.commands import PYTHON, URL, run

run(
    PYTHON,
    "-c",
    "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=3)",
    URL,
)
