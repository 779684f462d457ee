"""The source of what the process and its interpreter tell about themselves."""

from __future__ import annotations

import os
import platform
from functools import partial
from typing import TYPE_CHECKING

from svcready._core.clock import SYSTEM_CLOCK
from svcready.metrics._model import Number
from svcready.metrics.sources._gc import CollectionCounts
from svcready.metrics.sources._reading import Reading, available, family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psutil

    from svcready._core.clock import Clock
    from svcready.metrics._model import Family

__all__ = ["ProcessSource"]


class ProcessSource:
    """
    Reads CPU, memory, descriptors, threads, disk traffic and collections of garbage.

    On Prometheus the families have prometheus_client's names, in base form
    OpenTelemetry's. One reading serves every scrape of the next second.

    Args:
        clock: Tells when a reading is old.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._process: psutil.Process | None = None
        self._collections = CollectionCounts()
        self._reading = Reading(clock, self._read)

    def __call__(self) -> tuple[Family, ...]:
        """Return the families, read now unless that was done a moment ago."""
        return self._reading()

    def _read(self) -> Iterator[Family]:
        import psutil

        process = self._process
        if process is None or process.pid != os.getpid():
            process = self._process = psutil.Process()

        with process.oneshot():
            for name, exposition, kind, unit, text, read in _READINGS:
                value = available("metrics.process", partial(read, process))
                if value is not None:
                    yield family(
                        *(name, exposition, kind, text, value),
                        unit=unit,
                        workers="pid",
                    )

            disk = available("metrics.process", partial(_disk, process))

        if disk is not None:
            yield disk

        yield from self._collections()
        yield _python()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _max_fds(_: psutil.Process) -> float:
    import resource  # not on Windows

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        raise OSError("there is no limit")

    return float(limit)


_READINGS: Sequence[
    tuple[str, str, str, str, str, Callable[[psutil.Process], float]]
] = (
    (
        "process.cpu.time",
        "process_cpu_seconds",
        "counter",
        "s",
        "Total user and system CPU time spent in seconds.",
        _cpu_s,
    ),
    (
        "process.memory.usage",
        "process_resident_memory_bytes",
        "updowncounter",
        "By",
        "Resident memory size in bytes.",
        lambda process: process.memory_info().rss,
    ),
    (
        "process.memory.virtual",
        "process_virtual_memory_bytes",
        "updowncounter",
        "By",
        "Virtual memory size in bytes.",
        lambda process: process.memory_info().vms,
    ),
    (
        "process.start_time",
        "process_start_time_seconds",
        "gauge",
        "s",
        "Start time of the process since unix epoch in seconds.",
        lambda process: process.create_time(),
    ),
    (
        "process.unix.file_descriptor.count",
        "process_open_fds",
        "updowncounter",
        "",
        "Number of open file descriptors.",
        lambda process: process.num_fds(),
    ),
    (
        "process.unix.file_descriptor.limit",
        "process_max_fds",
        "gauge",
        "",
        "Maximum number of open file descriptors.",
        _max_fds,
    ),
    (
        "process.thread.count",
        "process_threads",
        "updowncounter",
        "",
        "Number of threads, those that Python does not know included.",
        lambda process: process.num_threads(),
    ),
)


def _disk(process: psutil.Process) -> Family:
    counted = process.io_counters()
    return family(
        "process.disk.io",
        "process_disk_io_bytes",
        "counter",
        "Bytes that the process read from and wrote to storage, caches left out.",
        (
            Number(("read",), counted.read_bytes),
            Number(("write",), counted.write_bytes),
        ),
        unit="By",
        attributes=("disk.io.direction",),
        workers="pid",
    )


def _python() -> Family:
    values = (
        platform.python_version(),
        platform.python_implementation(),
        *platform.python_version_tuple(),
    )
    return family(
        "python_info",
        "python_info",
        "gauge",
        "Python platform information",
        (Number(values, 1),),
        labels=("version", "implementation", "major", "minor", "patchlevel"),
        workers="max",
    )
