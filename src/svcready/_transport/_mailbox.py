"""The files by which a group's processes tell each other something."""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING

from svcready._transport import _own_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = [
    "changed_ns",
    "editions",
    "make",
    "members",
    "newest",
    "place",
    "post",
    "remove_member",
    "room",
    "sweep",
    "write_member",
]

_OWNER_ONLY = 0o700
_MOST_TRIES = 100
_MOST_READS = 3
_KEPT = 16
_MEMBERS, _TOPICS, _ROOM = "members", "topics", "metrics"
_topic = re.compile(r"[a-z0-9_.-]{1,64}").fullmatch


def place(run_dir: Path, anchor: tuple[int, str], service: str) -> Path:
    """
    Return the directory of the group that belongs to the process *anchor*.

    Args:
        run_dir: Where all groups are.
        anchor: Process id and start of the supervisor, or of the first process.
        service: The service's name.
    """
    name = blake2b(service.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return run_dir / f"group-{_own_files.namespace()}-{anchor[0]}-{anchor[1]}-{name}"


def room(path: Path) -> Path:
    """Return where the members of a group publish."""
    return path / _ROOM


def make(path: Path) -> None:
    """
    Make the group's directories.

    Raises:
        OSError: They cannot be made, or somebody else owns them.
    """
    for each in (path, path / _MEMBERS, path / _TOPICS):
        with suppress(FileExistsError):
            each.mkdir(mode=_OWNER_ONLY)

        found = each.stat(follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode) or not _own_files.is_ours(found):
            raise PermissionError(errno.EPERM, "not this user's own", str(each))


def changed_ns(path: Path) -> int | None:
    """Return when something was last posted; None if the directory is gone."""
    try:
        return os.stat(path / _TOPICS).st_mtime_ns  # noqa: PTH116 - once a second
    except OSError:
        return None


def post(
    path: Path, topic: str, change: Callable[[object], object]
) -> tuple[int, object]:
    """
    Post what *change* makes of the newest value of *topic*.

    Editions are numbered, and a number is taken by whoever links its file first, so
    that of two who post at once neither overwrites the other. Some old ones are kept,
    or a slow poster could take a number that was taken and removed.

    Returns:
        The edition and its value.

    Raises:
        ValueError: The topic's name or the value's size is not allowed.
        OSError: It cannot be written.
    """
    if not _topic(topic):
        msg = f"{topic!r} cannot be a topic"
        raise ValueError(msg)

    for _ in range(_MOST_TRIES):
        before = newest(path, topic)
        edition = 1 if before is None else before[0] + 1
        value = change(None if before is None else before[1])
        target = path / _TOPICS / f"{topic}.{edition}"
        draft = _write_draft(path, value)
        try:
            os.link(draft, target)
        except FileExistsError:
            continue
        finally:
            draft.unlink(missing_ok=True)

        known = _editions_of(path, topic)
        if max(known, default=edition) >= edition + _KEPT:  # it was, long ago
            target.unlink(missing_ok=True)
            continue

        for old in known:
            if old <= edition - _KEPT:
                (path / _TOPICS / f"{topic}.{old}").unlink(missing_ok=True)

        return edition, value

    raise BlockingIOError(errno.EAGAIN, "too many post at once", str(path))


def newest(path: Path, topic: str) -> tuple[int, object] | None:
    """Return the newest edition of *topic* and its value; None if there is none."""
    for _ in range(_MOST_READS):  # one may be removed between listing and reading
        known = sorted(_editions_of(path, topic), reverse=True)
        if not known:
            return None

        for edition in known:
            found = _own_files.read(path / _TOPICS / f"{topic}.{edition}")
            if found is not None:
                return edition, found.get("value")

    return None  # unreadable: written by another version, or by nobody we trust


def write_member(path: Path, member: tuple[int, str], taken: Mapping[str, int]) -> None:
    """
    Register *member*, and which editions it has taken.

    Raises:
        OSError: It cannot be written.
    """
    draft = _write_draft(path, dict(taken))
    try:
        draft.replace(_file_of(path, member))
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def remove_member(path: Path, member: tuple[int, str]) -> None:
    """Register *member* no more."""
    with suppress(OSError):
        _file_of(path, member).unlink(missing_ok=True)


def members(path: Path) -> tuple[tuple[int, str], ...]:
    """Return all who are registered, whether they live or not."""
    return tuple(_members(path))


def editions(path: Path, member: tuple[int, str]) -> dict[str, int]:
    """Return which edition of each topic *member* has taken."""
    found = _own_files.read(_file_of(path, member)) or {}
    taken = found.get("value")
    if not isinstance(taken, dict):
        return {}

    return {topic: n for topic, n in taken.items() if isinstance(n, int)}


def sweep(path: Path, is_alive: Callable[[int, str], bool]) -> None:
    """
    Remove the groups beside *path* of whom nobody lives, and its own dead members.

    Those of another process namespace (a container that shares the directory) are
    left alone: from here one cannot tell.
    """
    for member in members(path):
        if not is_alive(*member):
            remove_member(path, member)

    kin = f"group-{_own_files.namespace()}-"
    for group in _listed(path.parent):
        if not group.startswith(kin) or group == path.name:
            continue

        other = path.parent / group
        pid, _, rest = group[len(kin) :].partition("-")
        anchor = (int(pid), rest.rpartition("-")[0]) if pid.isdecimal() else None
        if anchor is None or is_alive(*anchor):
            continue

        if not any(is_alive(*member) for member in _members(other)):
            _remove(other)


def _members(path: Path) -> Iterator[tuple[int, str]]:
    for name in _listed(path / _MEMBERS):
        pid, _, start = name.partition("-")
        if pid.isdecimal() and start:
            yield int(pid), start


def _remove(path: Path) -> None:
    with suppress(OSError):
        for part in (path / _MEMBERS, path / _TOPICS, path / _ROOM, path):
            for name in _listed(part):
                with suppress(OSError):
                    (part / name).unlink()

            with suppress(FileNotFoundError):  # not all of them have one
                part.rmdir()


def _file_of(path: Path, member: tuple[int, str]) -> Path:
    return path / _MEMBERS / f"{member[0]}-{member[1]}"


def _editions_of(path: Path, topic: str) -> list[int]:
    numbers = (
        name.removeprefix(f"{topic}.")
        for name in _listed(path / _TOPICS)
        if name.startswith(f"{topic}.")
    )
    return [int(number) for number in numbers if number.isdecimal()]


def _listed(path: Path) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return []


def _write_draft(path: Path, value: object) -> Path:
    # Beside the topics, whose directory's time is what tells of a post.
    text = _own_files.encode({"value": value})
    if len(text) > _own_files.MOST_BYTES:
        msg = f"{len(text)} bytes are too many for a topic"
        raise ValueError(msg)

    draft = path / f".{os.getpid()}-{threading.get_ident()}"
    _own_files.write(draft, text)
    return draft
