"""
Time the import of the last module named, after importing the others.

Prints wall and CPU seconds (those of processes that it ran included), resident bytes
afterwards, how many modules came in, and which of those that must stay away from a
declaring module did. Imports nothing itself that a bare interpreter has not loaded
already, or that could hide what is measured.
"""

from __future__ import annotations

import os
import resource
import sys
import time

UNWANTED = ("asyncio", "wrapt", "opentelemetry.sdk", "boto3", "inspect")

out = os.dup(1)
null = os.open(os.devnull, os.O_WRONLY)
os.dup2(null, 1)
*first, last = sys.argv[1:]
for name in first:
    __import__(name)

before = len(sys.modules)
cpu = time.process_time()
wall = time.perf_counter()
__import__(last)
wall = time.perf_counter() - wall
cpu = time.process_time() - cpu
children = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu += children.ru_utime + children.ru_stime
modules = len(sys.modules) - before
with open("/proc/self/statm") as statm:  # noqa: PTH123 - pathlib would be an import
    rss = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

loaded = " ".join(name for name in UNWANTED if name in sys.modules)
os.write(out, f"{wall} {cpu} {rss} {modules} {loaded}\n".encode())
os._exit(0)
