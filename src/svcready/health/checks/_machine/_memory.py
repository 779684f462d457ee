"""The ready-made check of the memory that is left to this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._core import cgroup
from svcready.health._result import CheckResult
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._bounds import shares

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Unpack

    from svcready.health.checks._adding import Options

__all__ = ["MemoryUse", "add_memory", "read_memory"]

_INTERVAL = "30s"
_MIB = 1024 * 1024


class MemoryUse(NamedTuple):
    """How much memory is taken, and of how much."""

    used_bytes: int
    limit_bytes: int
    whose: str
    """`container` or `host`."""


def add_memory(
    *,
    warn_above: float | str | None = "85%",
    fail_above: float | str | None = "95%",
    name: str | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a check of how much of its memory the container has used up.

    What counts is the working set, as the kubelet has it: the control group's use
    without the files that can be dropped from memory at once, against the tightest
    limit around this process. Without a limit it is the host's memory.

    Args:
        warn_above: `"85%"` or 0.85; None never warns.
        fail_above: The same; None never fails for it.
        name: By default `memory`.
        options: What every check takes; it runs every 30 s by default.

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    bounds = shares(warn_above, fail_above)

    def run() -> CheckResult:
        use = read_memory()
        share = use.used_bytes / use.limit_bytes
        status = bounds.judge(share)
        said = (
            f"{use.used_bytes / _MIB:.0f} MiB of the {use.whose}'s "
            f"{use.limit_bytes / _MIB:.0f} MiB are used"
        )
        said = "" if status == "pass" else said
        return CheckResult(status, said, round(share * 100, 1), "%")

    ready = ReadyMade(run, kind="system", target="memory", measurement="utilization")
    add(name or "memory", ready, {"interval": _INTERVAL, **options})


def read_memory(root: str = "/") -> MemoryUse:
    """
    Return the use of the control group's memory, or of the host's.

    Args:
        root: Where `proc` and `sys` are.
    """
    import psutil

    host = psutil.virtual_memory()
    own = _version_2(root) or _version_1(root)
    if own is not None and own.limit_bytes < host.total:  # else it limits nothing
        return own

    return MemoryUse(host.total - host.available, host.total, "host")


def _version_2(root: str) -> MemoryUse | None:
    files = ("memory.max", "memory.current", "inactive_file")
    return _use(cgroup.groups(root), *files)


def _version_1(root: str) -> MemoryUse | None:
    files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    return _use(cgroup.groups_v1("memory", root), *files)


def _use(
    groups: list[Path], limit_file: str, used_file: str, idle: str
) -> MemoryUse | None:
    if not groups:
        return None

    group, limit = cgroup.tightest(groups, limit_file)
    used = cgroup.number(group, used_file)
    if not limit or used is None:
        return None

    files = cgroup.table(group, "memory.stat").get(idle, 0)
    return MemoryUse(max(0, used - files), limit, "container")
