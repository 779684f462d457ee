"""What forked children record that serve no requests: task queues' workers, helpers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BEGIN = """
import multiprocessing, os, sys, threading, time
import svcready

runtime = svcready.init(service="consumer")
jobs = svcready.counter("jobs", "Jobs done")
sizes = svcready.histogram("sizes", "Sizes")
jobs.inc()

def shown(name):
    page = runtime.metrics.prometheus.render(None, None, (name,)).body.decode()
    return float(page.split()[-1]) if page.split()[-1:] else 0.0

def eventually(name, total):
    ends_s = time.monotonic() + 10
    while shown(name) != total and time.monotonic() < ends_s:
        threading.Event().wait(0.05)

    print(name, shown(name), file=sys.stderr)
"""


def run(code: str, directory: Path) -> list[str]:
    """Run a service whose processes meet in *directory*; return what it prints."""
    directory.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "SVCREADY_CORE_RUN_DIR": str(directory)},
    )
    return done.stderr.splitlines()


def test_a_forked_worker_that_serves_nobody_is_counted(tmp_path: Path) -> None:
    """What it records is on the page while it works, and when it was killed."""
    printed = run(
        """
held_r, held_w = os.pipe()
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        os.close(held_w)
        jobs.inc(5)
        sizes.observe(2)
        os.read(held_r, 1)
        os._exit(0)

    children.append(child)

eventually("jobs_total", 11)
eventually("sizes_sum", 4)
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)

eventually("jobs_total", 11)
""",
        tmp_path,
    )

    assert printed == ["jobs_total 11.0", "sizes_sum 4.0", "jobs_total 11.0"]


def test_a_helper_tells_what_it_counted_when_it_ends(tmp_path: Path) -> None:
    """However short a child of multiprocessing lives, its counts are there then."""
    printed = run(
        """
helper = multiprocessing.get_context("fork").Process(target=jobs.inc, args=(7,))
helper.start()
helper.join()
eventually("jobs_total", 8)
""",
        tmp_path,
    )

    assert printed == ["jobs_total 8.0"]


def test_a_helper_that_records_nothing_starts_nothing(tmp_path: Path) -> None:
    """A child that only computes has no thread of ours, and nobody meets."""
    printed = run(
        """
def compute():
    print(threading.active_count(), file=sys.stderr, flush=True)

helper = multiprocessing.get_context("fork").Process(target=compute)
helper.start()
helper.join()
eventually("svcready_workers", 0)
""",
        tmp_path,
    )

    assert printed == ["1", "svcready_workers 0.0"]
