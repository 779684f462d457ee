"""The source of the control group's limits and throttling (cgroup v2)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from svcready._core.surroundings import read_small_file
from svcready.metrics._model import Number
from svcready.metrics.sources._reading import family

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    groups = _groups(Path(root))
    if groups:
        yield from _cpu(groups)
        yield from _memory(groups)
        yield from _processes(groups)


def _groups(root: Path) -> list[Path]:
    """Return this process' group and those around it, as far as they can be seen."""
    mount = root / "sys/fs/cgroup"
    for line in read_small_file(str(root / "proc/self/cgroup")).splitlines():
        number, _, path = line.partition("::")
        if number == "0":
            inside = ".." not in path.split("/")  # else it is above what we can see
            own = mount / path.strip("/") if inside else mount
            # The group of the whole machine has no type, and a limit on none. A path
            # that does not exist here is the host's: the mount is then our group.
            groups = [g for g in (own, *own.parents) if g.is_relative_to(mount)]
            return [g for g in groups if (g / "cgroup.type").exists()]

    return []


def _cpu(groups: list[Path]) -> Iterator[Family]:
    limits: dict[Path, float] = {}
    for group in groups:
        quota, _, period = _text(group, "cpu.max").partition(" ")
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

    stat = _table(group, "cpu.stat")
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
    group, limit = _tightest(groups, "memory.max")
    if limit is not None:
        yield _family(
            "container.memory.limit",
            "cgroup_memory_limit_bytes",
            "gauge",
            "Memory that the control group may use.",
            limit,
            "By",
        )

    used = _number(group, "memory.current")
    if used is not None:
        yield _family(
            "container.memory.usage",
            "cgroup_memory_usage_bytes",
            "updowncounter",
            "Memory that the control group uses, file caches included.",
            used,
            "By",
        )
        idle = _table(group, "memory.stat").get("inactive_file")
        if idle is not None:
            yield _family(
                "container.memory.working_set",
                "cgroup_memory_working_set_bytes",
                "updowncounter",
                "Memory of the control group that cannot be freed at once.",
                max(0, used - idle),
                "By",
            )

    kills = _table(group, "memory.events").get("oom_kill")
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
    group, limit = _tightest(groups, "pids.max")
    if limit is not None:
        yield _family(
            "container.process.limit",
            "cgroup_pids_limit",
            "gauge",
            "Processes and threads that the control group may have.",
            limit,
            "{process}",
        )

    present = _number(group, "pids.current")
    if present is not None:
        yield _family(
            "container.process.count",
            "cgroup_pids",
            "updowncounter",
            "Processes and threads of the control group.",
            present,
            "{process}",
        )


def _tightest(groups: list[Path], file: str) -> tuple[Path, int | None]:
    limits = {group: _number(group, file) for group in groups}
    found = {group: limit for group, limit in limits.items() if limit is not None}
    group = min(found, key=found.__getitem__, default=groups[0])
    return group, found.get(group)


def _text(group: Path, file: str) -> str:
    return read_small_file(str(group / file))


def _number(group: Path, file: str) -> int | None:
    text = _text(group, file)
    return int(text) if text.isdigit() else None


def _table(group: Path, file: str) -> dict[str, int]:
    pairs = [line.split(" ") for line in _text(group, file).splitlines()]
    return {pair[0]: int(pair[1]) for pair in pairs if pair[1:] and pair[1].isdigit()}


def _family(
    name: str, exposition: str, kind: str, text: str, value: float, unit: str
) -> Family:
    # The same for all workers, only read at different moments.
    return family(name, exposition, kind, text, value, unit=unit, workers="max")
