"""The ready-made check of the space on a disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from svcready.errors import DeclarationError
from svcready.health._result import CheckResult, fail
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._bounds import shares
from svcready.health.checks._named import name_for

if TYPE_CHECKING:
    from typing import Unpack

    from svcready.health.checks._adding import Options

__all__ = ["add_disk"]

_INTERVAL = "30s"


def add_disk(
    path: str | os.PathLike[str] = "/",
    *,
    warn_above: float | str | None = "85%",
    fail_above: float | str | None = "95%",
    name: str | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a check of how full the disk is on which *path* is.

    Both space and inodes count, whichever is nearer its end, as a process without
    privileges finds them: what is reserved for root is not free.

    Args:
        path: A file or directory on it.
        warn_above: `"85%"` or 0.85; None never warns.
        fail_above: The same; None never fails for it.
        name: By default `disk` and the path.
        options: What every check takes; it runs every 30 s by default.

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    bounds = shares(warn_above, fail_above)
    at = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
    if not isinstance(at, str) or not at or "\0" in at:
        msg = f"path={path!r} is not allowed: use the path of a file or directory"
        raise DeclarationError(msg)

    def run() -> CheckResult:
        try:
            what, share = _fullest(at)
        except OSError as error:
            return fail(f"{at}: {(error.strerror or 'cannot be read').lower()}")

        status = bounds.judge(share)
        said = "" if status == "pass" else f"{share:.1%} of the {what} of {at} is used"
        return CheckResult(status, said, round(share * 100, 1), "%")

    ready = ReadyMade(run, kind="system", target=at, measurement="utilization")
    parts = [part for part in at.split("/") if part]
    add(name or name_for("disk", *parts), ready, {"interval": _INTERVAL, **options})


def _fullest(path: str) -> tuple[str, float]:
    if not hasattr(os, "statvfs"):  # Windows, which has no inodes
        import shutil

        usage = shutil.disk_usage(path)
        return "space", usage.used / usage.total

    stat = os.statvfs(path)
    space = _share(stat.f_blocks, stat.f_bfree, stat.f_bavail)
    inodes = _share(stat.f_files, stat.f_ffree, stat.f_favail)
    return ("inodes", inodes) if inodes > space else ("space", space)


def _share(total: int, free: int, available: int) -> float:
    used = total - free
    # As `df` counts it; some file systems have no fixed number of inodes.
    return used / (used + available) if used + available > 0 else 0.0
