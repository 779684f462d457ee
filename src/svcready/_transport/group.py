"""The group: the processes that one supervisor runs for a service, told by files."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.guard import report_fault
from svcready._transport import _mailbox
from svcready._transport.workers import find_run_dir, is_alive, parent_of, start_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from svcready._core.clock import Clock

__all__ = ["Group", "Reach"]

_REGISTER_AGAIN_S = 3600.0
_UNKNOWN = "0"
_RECENT_NS = 2_000_000_000
"""A directory's time is no finer than a tick, so a recent one proves nothing."""


class Reach(NamedTuple):
    """How many processes of the group have taken what was posted."""

    reached: int
    of: int


class Group:
    """
    The processes of one service under one supervisor, and what they tell each other.

    A group is what gunicorn's or uvicorn's workers are: whoever was forked after
    `init()` belongs to its parent's, whoever a supervisor started to that one's, and
    any other process is alone until it has children. They meet in a directory of the
    run directory, by atomic files that only this user may write: a file for each
    member, and one for each edition of a topic. There is no thread and no signal:
    `poll` is to be called about once a second, and costs one `stat`.

    A topic holds one small value of JSON's types. The last that was posted counts, also
    for processes that start later. A process that is alone writes no file.

    Args:
        service: The service's name; groups of others don't meet ours.
        run_dir: The setting `core.run_dir`.
        clock: Paces `wait`.
    """

    def __init__(
        self, service: str, run_dir: str = "", *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._service = service
        self._run_dir = run_dir
        self._clock = clock
        pid = os.getpid()
        self._made_by = self._identity = (pid, start_of(pid))
        self._forked = False
        self._path: Path | None = None
        self._me: tuple[int, str] | None = None
        self._editions: dict[str, int] = {}
        self._alone: dict[str, tuple[int, object]] = {}
        self._followers: dict[str, Callable[[object], None]] = {}
        self._seen_ns = -1
        self._register_at_s = 0.0
        self._taking = threading.RLock()
        self.has_place: bool | None = None
        """Whether there is a directory to meet in; None until it was looked for."""
        fork.reset_in_child(self._after_fork)

    @property
    def is_cut_off(self) -> bool:
        """Whether there may be others, and no directory to meet them in."""
        return self.has_place is False and not self._is_alone()

    def join(self) -> None:
        """
        Register this process with the others, and take what they were told before.

        To be called when the process begins to work, in a forked child again; cheap if
        it was called. One that has nobody to meet registers once somebody comes.
        """
        if self._me is not None:
            return

        if self.has_place is None:
            self._path = self._find_path()
            self.has_place = self._path is not None

        path = self._path
        if path is None or (self._is_alone() and not path.exists()):
            return

        if self._register(path):
            for topic, (_, value) in tuple(self._alone.items()):
                if _mailbox.newest(path, topic) is None:
                    _mailbox.post(path, topic, partial(_keep, value))

            self._alone.clear()
            self.poll()

    def room(self, *, for_children: bool = False) -> Path | None:
        """
        Return the directory for what members publish, which may not be there yet.

        Args:
            for_children: The one of those that this process is about to fork, even if
                it meets nobody itself.

        Returns:
            None while this process is alone, or has no directory to meet others in.
        """
        path = self._path
        if for_children and path is None and not self._forked:
            run_dir = find_run_dir(self._run_dir, os.environ)
            if run_dir is None:
                return None

            path = _mailbox.place(run_dir, self._made_by, self._service)

        if path is None or (self._me is None and not for_children):
            return None

        return _mailbox.room(path)

    def identify(self) -> tuple[int, str]:
        """Return process id and start of this process."""
        return self._identify()

    def leave(self) -> None:
        """Register no more; the others count this process out."""
        me, self._me = self._me, None
        if me is not None and self._path is not None:
            _mailbox.remove_member(self._path, me)

    def members(self) -> tuple[tuple[int, str], ...]:
        """Return process id and start of every member that lives, this one included."""
        me = self._me
        if me is None or self._path is None:
            return (self._identify(),)

        others = _mailbox.members(self._path)
        return (me, *(other for other in others if other != me and is_alive(*other)))

    def post(self, topic: str, value: object) -> int:
        """
        Tell the group *value*, this process at once.

        Args:
            topic: A name of `a-z 0-9 _ . -`.
            value: What JSON can hold, at most 64 KiB of it.

        Returns:
            The edition, a number that grows with each post.

        Raises:
            OSError: It cannot be written.
        """
        return self.update(topic, lambda _: value)

    def update(self, topic: str, change: Callable[[object], object]) -> int:
        """
        Tell the group what *change* makes of the value so far; nothing is lost.

        Args:
            topic: As in `post`.
            change: Gets the value in force, None at first; it may be called again if
                another process posts at the same moment.

        Returns:
            The edition.

        Raises:
            OSError: It cannot be written.
        """
        self.join()
        path = self._path
        if self._me is None or path is None:
            with self._taking:  # as an edition's number does it among processes
                edition, value = self._alone.get(topic, (0, None))
                value = change(value)
                self._alone[topic] = (edition + 1, value)
                self._take(topic, edition + 1, value)
                return edition + 1

        edition, value = _mailbox.post(path, topic, change)
        self._take(topic, edition, value)
        self._register(path)
        return edition

    def read(self, topic: str) -> object:
        """Return the value in force; None if nothing was posted."""
        if self._me is None or self._path is None:
            return self._alone.get(topic, (0, None))[1]

        found = _mailbox.newest(self._path, topic)
        return None if found is None else found[1]

    def follow(self, topic: str, take: Callable[[object], None]) -> None:
        """
        Have *take* called with each new value, here and in `poll`.

        When it has returned, this process counts as reached.
        """
        self._followers[topic] = take

    def poll(self) -> None:
        """Take what was posted since; to be called about once a second."""
        path = self._path
        if path is None:
            return

        if self._me is None:
            self.join()
            return

        changed_ns = _mailbox.changed_ns(path)
        due = changed_ns is None or self._clock.monotonic() >= self._register_at_s
        if due and not self._register(path):  # somebody tidied the directory up
            return

        if changed_ns is not None and changed_ns == self._seen_ns:
            return

        taken = [self._take_newest(path, topic) for topic in tuple(self._followers)]
        recent = time.time_ns() - (changed_ns or 0) < _RECENT_NS
        self._seen_ns = -1 if recent or changed_ns is None else changed_ns
        if any(taken):
            self._register(path)

    def wait(self, topic: str, edition: int, timeout_s: float) -> Reach:
        """
        Wait until every member has taken an edition of a topic, or a later one.

        Args:
            topic: The topic.
            edition: What `post` returned.
            timeout_s: How long at most.

        Returns:
            How many have, of how many that live.
        """
        ends_s = self._clock.monotonic() + timeout_s
        while True:
            reach = self._reach(topic, edition)
            if reach.reached >= reach.of or self._clock.monotonic() >= ends_s:
                return reach

            self._clock.sleep(0.05)

    def _reach(self, topic: str, edition: int) -> Reach:
        members = self.members()
        path = self._path
        if self._me is None or path is None:
            return Reach(1, 1)

        taken = (_mailbox.editions(path, member).get(topic, 0) for member in members)
        return Reach(sum(each >= edition for each in taken), len(members))

    def _take_newest(self, path: Path, topic: str) -> bool:
        found = _mailbox.newest(path, topic)
        if found is None or found[0] <= self._editions.get(topic, 0):
            return False

        self._take(topic, *found)
        return True

    def _take(self, topic: str, edition: int, value: object) -> None:
        take = self._followers.get(topic)
        # Held while it is taken, or an older edition could be put in force after a
        # newer one; those who follow are ours and ask for no group.
        with self._taking:
            if edition <= self._editions.get(topic, 0):
                return

            try:
                if take is not None:
                    take(value)
            except Exception as error:  # noqa: BLE001 - the others go on
                report_fault("group", error)
            else:
                self._editions[topic] = edition

    def _identify(self) -> tuple[int, str]:
        pid = os.getpid()
        if pid != self._identity[0] or self._identity[1] == _UNKNOWN:
            # Kept, because there may be too many files open to ask again.
            self._identity = (pid, start_of(pid))

        return self._identity

    def _register(self, path: Path) -> bool:
        me = self._identify()
        try:
            _mailbox.make(path)
            _mailbox.write_member(path, me, self._editions)
        except OSError:
            self._me = None
            return False

        if self._me is None:
            self._me = me
            _mailbox.sweep(path, is_alive)

        self._register_at_s = self._clock.monotonic() + _REGISTER_AGAIN_S
        return True

    def _is_alone(self) -> bool:
        return not self._forked and parent_of() is None

    def _find_path(self) -> Path | None:
        run_dir = find_run_dir(self._run_dir, os.environ)
        if run_dir is None:
            return None

        anchor = self._made_by
        if not self._forked:
            anchor = parent_of() or anchor

        return _mailbox.place(run_dir, anchor, self._service)

    def _after_fork(self) -> None:
        # A child of a member is a member of the same group, once it joins.
        self._taking = threading.RLock()
        self._forked = True
        self._me = None
        self._seen_ns = -1
        self._editions.clear()


def _keep(value: object, _: object) -> object:
    return value
