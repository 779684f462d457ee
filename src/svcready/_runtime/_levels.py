"""Levels at run time: changed by an operator, shared by the group, and falling back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from svcready.config._problems import nearest
from svcready.logging._levels import level_number
from svcready.logging._logger import names_in_use
from svcready.logging._thresholds import Temporary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready._core.clock import Clock
    from svcready._transport.group import Group, Reach
    from svcready.logging._pillar import LogPillar
    from svcready.logging._thresholds import Threshold

__all__ = ["LevelChange", "LevelRefusedError", "SharedLevels"]

_TOPIC = "log.levels"
_MOST = 64
_LONGEST_NAME = 256
_LONGEST_NS = 86_400 * 10**9
_WAIT_S = 2.0
_ALIKE = 0.8


class LevelRefusedError(Exception):
    """The change cannot be made as the service is configured; the text says why."""


class LevelChange(NamedTuple):
    """What came of a change."""

    before: Threshold
    after: Threshold
    workers: Reach
    is_one: bool
    """False where a level was to end that was not there."""
    notice: str = ""
    """A word on a logger that nobody has asked for and nearly is another's name."""


class SharedLevels:
    """
    The operators' levels, the same in every process of the group.

    Args:
        logs: The pillar whose levels they are.
        group: The processes that are told.
        clock: Wall time, by which a level falls back.
    """

    def __init__(self, logs: LogPillar, group: Group, clock: Clock) -> None:
        self._logs = logs
        self._thresholds = logs.thresholds
        self._group = group
        self._clock = clock
        self._ended: set[str] = set()
        group.follow(_TOPIC, self._take)

    def describe(self, prefix: str = "") -> tuple[Threshold, ...]:
        """Return what is known of the loggers whose name begins so."""
        return self._thresholds.describe(prefix)

    def change(self, logger: str, level: str | None, ttl_s: float) -> LevelChange:
        """
        Give *logger* another level for some time, in all processes of the group.

        Args:
            logger: Its name; `root` for the root logger.
            level: The level; None falls back now.
            ttl_s: After how many seconds it falls back.

        Raises:
            ValueError: No level is called so.
            LevelRefusedError: DEBUG is not allowed here, or too many are in force.
            OSError: The group cannot be told.
        """
        number = None if level is None else level_number(level)
        if number is not None and number < self._thresholds.floor:
            msg = "DEBUG in production needs SVCREADY_LOG_ALLOW_DEBUG=true"
            raise LevelRefusedError(msg)

        now_ns = self._clock.time_ns()
        until_ns = now_ns + round(ttl_s * 1e9)
        near = self._nearly(logger)  # asked now: the change makes a logger of it
        is_one = True

        def changed(value: object) -> object:
            nonlocal is_one
            said = {**_read(value, now_ns, self._thresholds.floor)}
            had = said.pop(logger, None)
            is_one = number is not None or had is not None
            if number is not None:
                said[logger] = Temporary(number, until_ns)

            if len(said) > _MOST:
                msg = f"{_MOST} loggers have a level for some time already"
                raise LevelRefusedError(msg)

            return {name: list(it) for name, it in said.items()}

        before = self._thresholds.of(logger)
        edition = self._group.update(_TOPIC, changed)
        workers = self._group.wait(_TOPIC, edition, _WAIT_S)
        after = self._thresholds.of(logger)
        notice = near and (
            f"nobody has asked for the logger {logger!r}; did you mean {near!r}?"
        )
        return LevelChange(before, after, workers, is_one, notice)

    def tick(self) -> None:
        """Let levels fall back whose time is over, and undo what others did."""
        now_ns = self._clock.time_ns()
        kept = {
            name: it
            for name, it in self._thresholds.temporary.items()
            if it.until_ns > now_ns
        }
        fallen = len(kept) < len(self._thresholds.temporary)
        if fallen:
            self._keep(kept, now_ns)

        if fallen or self._thresholds.watches:
            self._logs.apply_levels()

        if self._ended:
            self._tell_of_ends()

    def misspelt(self) -> tuple[str, ...]:
        """Return a word on every logger of the settings that nearly names another."""
        known = self._thresholds.names()
        found = (
            (name, nearest(name, known, _ALIKE))
            for name in self._thresholds.strangers()
        )
        return tuple(
            f"SVCREADY_LOG_LEVELS names the logger {name!r}, which nobody has asked "
            f"for; did you mean {near!r}?"
            for name, near in found
            if near
        )

    def _take(self, value: object) -> None:
        now_ns = self._clock.time_ns()
        self._keep(_read(value, now_ns, self._thresholds.floor), now_ns)
        self._logs.apply_levels()

    def _keep(self, temporary: Mapping[str, Temporary], now_ns: int) -> None:
        for name, it in self._thresholds.temporary.items():
            if name not in temporary and it.until_ns <= now_ns:
                self._ended.add(name)  # told of by `tick`, which holds no lock

        self._thresholds.keep(temporary)

    def _tell_of_ends(self) -> None:
        """Say which levels fell back, in one process of the group."""
        ended, self._ended = self._ended, set()
        members = self._group.members()
        if members[0] != min(members):  # the first is this process
            return

        for name in sorted(ended):
            now = self._thresholds.of(name)
            if now.until_ns is None:  # else somebody has set another meanwhile
                self._logs.event(
                    f"the time is over for the level of {name}: {now.effective} again",
                    "INFO",
                    event="svcready.log_level.expired",
                    logger=name,
                    level=now.effective,
                )

    def _nearly(self, logger: str) -> str:
        """Return the logger that was probably meant; empty if *logger* is used."""
        known = self._thresholds.names() | names_in_use() | {"root"}
        below = f"{logger}."
        used = logger in known or logger in sys.modules
        if used or any(each.startswith(below) for each in known):
            return ""

        # One that is above it is no other spelling of it.
        others = [each for each in known if not logger.startswith(f"{each}.")]
        return nearest(logger, others, _ALIKE)


def _read(value: object, now_ns: int, floor: int) -> Mapping[str, Temporary]:
    """Read what another process wrote, which may be of another version."""
    said: dict[str, Temporary] = {}
    for name, entry in (value if isinstance(value, dict) else {}).items():
        if not isinstance(entry, list) or len(entry) != 2 or len(said) >= _MOST:
            continue

        level, until_ns = entry
        if not isinstance(level, int) or not isinstance(until_ns, int):
            continue

        if now_ns < until_ns <= now_ns + _LONGEST_NS + 10**9 and level >= floor:
            said[name[:_LONGEST_NAME]] = Temporary(level, until_ns)

    return said
