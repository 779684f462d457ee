"""The control group that limits this process, as its files say."""

from __future__ import annotations

from pathlib import Path

from svcready._core.surroundings import read_small_file

__all__ = ["groups", "groups_v1", "number", "table", "text", "tightest"]


def groups(root: str = "/") -> list[Path]:
    """
    Return this process' group (cgroup v2) and those around it that can be seen.

    A limit may be set on the process' own group or on one around it.

    Args:
        root: Where `proc` and `sys` are.

    Returns:
        The own one first; empty without version 2 or in the whole machine's group.
    """
    mount = Path(root, "sys/fs/cgroup")
    path = _path("0", 0, root)
    if path is None:
        return []

    # The group of the whole machine has no type, and a limit on none.
    return [g for g in _upwards(mount, path) if (g / "cgroup.type").exists()]


def groups_v1(controller: str, root: str = "/") -> list[Path]:
    """
    Return this process' group of *controller* (cgroup v1) and those around it.

    Args:
        controller: `memory`, `cpu`, `pids`, ...
        root: Where `proc` and `sys` are.

    Returns:
        The own one first, the controller's root last; empty without version 1.
    """
    mount = Path(root, "sys/fs/cgroup", controller)
    path = _path(controller, 1, root)
    if path is None:
        return []

    return [g for g in _upwards(mount, path) if g.is_dir()]


def tightest(groups: list[Path], file: str) -> tuple[Path, int | None]:
    """Return the group with the lowest number in *file*, or the own one and None."""
    limits = {group: number(group, file) for group in groups}
    found = {group: limit for group, limit in limits.items() if limit is not None}
    group = min(found, key=found.__getitem__, default=groups[0])
    return group, found.get(group)


def text(group: Path, file: str) -> str:
    """Return what *file* of *group* says; empty if there is none."""
    return read_small_file(str(group / file))


def number(group: Path, file: str) -> int | None:
    """Return the number in *file*; None if it holds another word or is not there."""
    said = text(group, file)
    return int(said) if said.isdigit() else None


def table(group: Path, file: str) -> dict[str, int]:
    """Return the numbers in *file* by the words that stand before them."""
    pairs = [line.split(" ") for line in text(group, file).splitlines()]
    return {pair[0]: int(pair[1]) for pair in pairs if pair[1:] and pair[1].isdigit()}


def _path(word: str, field: int, root: str) -> str | None:
    """Return the path of the hierarchy whose line has *word* among its *field*."""
    for line in read_small_file(str(Path(root, "proc/self/cgroup"))).splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and word in parts[field].split(","):
            return parts[2]

    return None


def _upwards(mount: Path, path: str) -> list[Path]:
    inside = ".." not in path.split("/")  # else it is above what we can see
    # A path that does not exist here is the host's: the mount is then our group.
    own = mount / path.strip("/") if inside else mount
    return [g for g in (own, *own.parents) if g.is_relative_to(mount)]
