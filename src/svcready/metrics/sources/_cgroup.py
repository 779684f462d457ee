"""The source of the control group's limits and throttling (cgroup v2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core import cgroup
from svcready.metrics._model import Number
from svcready.metrics.sources._reading import family

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from svcready.metrics._model import Family

__all__ = ["cgroup_families"]

# Prometheus' names don't begin with `container_`: those are cAdvisor's, and whoever
# adds up `container_memory_usage_bytes` must not find the container there twice.


def cgroup_families(root: str = "/") -> Iterator[Family]:
    """
    Read the control group that limits this process.

    A limit may be set on the process' own group or on one around it: the tightest is
    taken, and what is used of it is read from the same group. What has no file has no
    series; cgroup v1 has none at all.

    Args:
        root: Where `proc` and `sys` are.
    """
    groups = cgroup.groups(root)
    if groups:
        yield from _cpu(groups)
        yield from _memory(groups)
        yield from _processes(groups)


def _cpu(groups: list[Path]) -> Iterator[Family]:
    limits: dict[Path, float] = {}
    for group in groups:
        quota, _, period = cgroup.text(group, "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            limits[group] = int(quota) / int(period)

    group = min(limits, key=limits.__getitem__, default=groups[0])
    if limits:
        yield _family(
            "container.cpu.limit",
            "cgroup_cpu_limit_cores",
            "gauge",
            "CPUs that the control group may use.",
            limits[group],
            "{cpu}",
        )

    stat = cgroup.table(group, "cpu.stat")
    modes = [
        Number((mode,), stat[key] / 1e6)
        for mode, key in (("user", "user_usec"), ("system", "system_usec"))
        if key in stat
    ]
    if modes:
        yield family(
            "container.cpu.time",
            "cgroup_cpu_seconds",
            "counter",
            "CPU time that the control group used.",
            modes,
            unit="s",
            attributes=("cpu.mode",),
            workers="max",
        )

    for key, name, exposition, scale, unit, text in _THROTTLING:
        if key in stat:
            yield _family(name, exposition, "counter", text, stat[key] / scale, unit)


_THROTTLING = (
    (
        "nr_periods",
        "container.cpu.periods",
        "cgroup_cpu_periods",
        1,
        "{period}",
        "Periods of the CPU limit in which the control group ran.",
    ),
    (
        "nr_throttled",
        "container.cpu.throttled_periods",
        "cgroup_cpu_throttled_periods",
        1,
        "{period}",
        "Periods in which the control group had to wait for its CPU limit.",
    ),
    (
        "throttled_usec",
        "container.cpu.throttled_time",
        "cgroup_cpu_throttled_seconds",
        1e6,
        "s",
        "Time that the control group waited for its CPU limit.",
    ),
)


def _memory(groups: list[Path]) -> Iterator[Family]:
    group, limit = cgroup.tightest(groups, "memory.max")
    if limit is not None:
        yield _family(
            "container.memory.limit",
            "cgroup_memory_limit_bytes",
            "gauge",
            "Memory that the control group may use.",
            limit,
            "By",
        )

    used = cgroup.number(group, "memory.current")
    if used is not None:
        yield _family(
            "container.memory.usage",
            "cgroup_memory_usage_bytes",
            "updowncounter",
            "Memory that the control group uses, file caches included.",
            used,
            "By",
        )
        idle = cgroup.table(group, "memory.stat").get("inactive_file")
        if idle is not None:
            yield _family(
                "container.memory.working_set",
                "cgroup_memory_working_set_bytes",
                "updowncounter",
                "Memory of the control group that cannot be freed at once.",
                max(0, used - idle),
                "By",
            )

    kills = cgroup.table(group, "memory.events").get("oom_kill")
    if kills is not None:
        yield _family(
            "container.memory.oom_kills",
            "cgroup_memory_oom_kills",
            "counter",
            "Processes of the control group that were killed for want of memory.",
            kills,
            "{process}",
        )


def _processes(groups: list[Path]) -> Iterator[Family]:
    group, limit = cgroup.tightest(groups, "pids.max")
    if limit is not None:
        yield _family(
            "container.process.limit",
            "cgroup_pids_limit",
            "gauge",
            "Processes and threads that the control group may have.",
            limit,
            "{process}",
        )

    present = cgroup.number(group, "pids.current")
    if present is not None:
        yield _family(
            "container.process.count",
            "cgroup_pids",
            "updowncounter",
            "Processes and threads of the control group.",
            present,
            "{process}",
        )


def _family(
    name: str, exposition: str, kind: str, text: str, value: float, unit: str
) -> Family:
    # The same for all workers, only read at different moments.
    return family(name, exposition, kind, text, value, unit=unit, workers="max")
