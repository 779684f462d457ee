"""The source of what the process and its interpreter tell about themselves."""

from __future__ import annotations

import gc
import os
import platform
from typing import TYPE_CHECKING

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.guard import report_fault
from svcready.metrics._model import Family, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psutil

    from svcready._core.clock import Clock

__all__ = ["ProcessSource"]

_FRESH_S = 1.0


class ProcessSource:
    """
    Reads CPU, memory, descriptors, threads and garbage collection of this process.

    On Prometheus the families have prometheus_client's names, in base form
    OpenTelemetry's. One reading serves every scrape of the next second.

    Args:
        clock: Tells when a reading is old.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._process: psutil.Process | None = None
        self._read_at_s = 0.0
        self._families: tuple[Family, ...] = ()

    def __call__(self) -> tuple[Family, ...]:
        """Return the families, read now unless that was done a moment ago."""
        now_s = self._clock.monotonic()
        process = self._process
        forked = process is None or process.pid != os.getpid()
        if forked or not self._families or now_s - self._read_at_s >= _FRESH_S:
            self._families = (*self._of_process(), *_of_collector(), _of_python())
            self._read_at_s = now_s

        return self._families

    def _of_process(self) -> tuple[Family, ...]:
        import psutil

        process = self._process
        if process is None or process.pid != os.getpid():
            process = self._process = psutil.Process()

        found: list[Family] = []
        with process.oneshot():
            for name, exposition, kind, unit, text, read in _READINGS:
                try:
                    value = read(process)
                except Exception as error:  # noqa: BLE001 - a sandbox forbids some
                    if not isinstance(error, (psutil.Error, OSError, AttributeError)):
                        report_fault("metrics.process", error)

                    continue

                if value is not None:
                    point = (Number((), value),)
                    found.append(_family(name, exposition, kind, text, point, unit))

        return tuple(found)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _max_fds(_: psutil.Process) -> float | None:
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return None

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else float(limit)


_READINGS: Sequence[
    tuple[str, str, str, str, str, Callable[[psutil.Process], float | None]]
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
        "gauge",
        "By",
        "Resident memory size in bytes.",
        lambda process: process.memory_info().rss,
    ),
    (
        "process.memory.virtual",
        "process_virtual_memory_bytes",
        "gauge",
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
        "gauge",
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
        "gauge",
        "",
        "Number of threads, those that Python does not know included.",
        lambda process: process.num_threads(),
    ),
)

_COLLECTOR = (
    (
        "cpython.gc.collections",
        "python_gc_collections",
        "Number of times this generation was collected",
        "collections",
    ),
    (
        "cpython.gc.collected_objects",
        "python_gc_objects_collected",
        "Objects collected during gc",
        "collected",
    ),
    (
        "cpython.gc.uncollectable_objects",
        "python_gc_objects_uncollectable",
        "Uncollectable objects found during GC",
        "uncollectable",
    ),
)


def _of_collector() -> tuple[Family, ...]:
    if not hasattr(gc, "get_stats"):  # pragma: no cover - not CPython
        return ()

    stats = gc.get_stats()
    return tuple(
        _family(
            name,
            exposition,
            "counter",
            text,
            tuple(
                Number((str(generation),), float(stat[key]))
                for generation, stat in enumerate(stats)
            ),
            labels=("generation",),
        )
        for name, exposition, text, key in _COLLECTOR
    )


def _of_python() -> Family:
    values = (
        platform.python_version(),
        platform.python_implementation(),
        *platform.python_version_tuple(),
    )
    return _family(
        "python_info",
        "python_info",
        "gauge",
        "Python platform information",
        (Number(values, 1),),
        labels=("version", "implementation", "major", "minor", "patchlevel"),
    )


def _family(
    name: str,
    exposition: str,
    kind: str,
    text: str,
    points: tuple[Number, ...],
    unit: str = "",
    labels: tuple[str, ...] = (),
) -> Family:
    return Family(name, exposition, kind, text, unit, labels, points, "process")
