"""Where the entries of the audit log go: standard output, a file, a log group."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from svcready._transport.sinks._destination import Quota
from svcready._transport.stdout import STDOUT, Channel
from svcready.logging._destinations import LARGEST_EVENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready._transport.sinks._sink import Sink
    from svcready.config._sections.audit import AuditSettings
    from svcready.logging._audit._log import Target
    from svcready.logging._lines._line import Identity

__all__ = ["Chosen", "KeptEntries", "choose_target"]

_COMPONENT = "audit"
_MOST_LINES = 1_000_000  # the bytes are what bounds them


class Chosen(NamedTuple):
    """The target that the settings ask for, or what stands in for it."""

    target: Target
    name: str
    """`stdout`, `file` or `cloudwatch`."""
    max_bytes: int
    """The longest line that it takes."""
    problem: str = ""
    """What stands against what was asked for."""


class _WaitsForDelivery:
    """Takes an entry to a file and waits until it is there."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.flush = sink.flush
        self.close = sink.close

    def put(self, line: bytes, level: int, timeout_s: float) -> bool:
        """Take *line*, and wait at most *timeout_s* seconds until it is written."""
        ends_s = time.monotonic() + timeout_s
        taken = self._sink.put(line, level, timeout_s)
        if taken and timeout_s > 0:
            self._sink.flush(max(0.0, ends_s - time.monotonic()))

        return taken

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many entries were dropped for which reason."""
        return self._sink.dropped


class KeptEntries:
    """Keeps entries in memory, for tests to read."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        """The entries, with their newlines."""
        self.dropped: dict[str, int] = {}

    def put(self, line: bytes, _level: int, _timeout_s: float, /) -> bool:
        """Keep *line*."""
        self.lines.append(line)
        return True

    def flush(self, _timeout_s: float, /) -> bool:
        """Do nothing, for nothing waits."""
        return True

    close = flush


def choose_target(
    settings: AuditSettings,
    *,
    identity: Callable[[], Identity],
    clock: Clock,
    stdout_bytes: int,
    quiet: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Chosen:
    """
    Make the target that *settings* ask for; standard output if that can't be had.

    Args:
        settings: The section AUDIT.
        identity: Returns who the service is by now.
        clock: Stamps what CloudWatch gets.
        stdout_bytes: The longest line that standard output takes.
        quiet: Makes a context in which the delivery's own calls are not traced.
    """
    if settings.destination == "file" and settings.file:
        return _file(settings, clock)

    problem = ""  # that a file has no name is said of the configuration
    if settings.destination == "cloudwatch":
        from svcready._transport.sinks.cloudwatch_logs import available

        if available():
            return _cloudwatch(settings, identity, clock, quiet)

        problem = (
            "SVCREADY_AUDIT_DESTINATION=cloudwatch, but the package for it is not "
            'installed: pip install "svcready[aws]"; entries go to standard output'
        )

    # Nothing that waits is given up for what is newer, and entries have a quota that
    # no flood of ordinary lines can use up.
    channel = Channel(
        _COMPONENT,
        STDOUT,
        max_bytes=settings.queue_bytes,
        max_lines=_MOST_LINES,
        keep=True,
    )
    return Chosen(channel, "stdout", stdout_bytes, problem)


def _quota(settings: AuditSettings) -> Quota:
    return Quota(settings.queue_bytes, _MOST_LINES)


def _file(settings: AuditSettings, clock: Clock) -> Chosen:
    from svcready._transport.sinks.rotating_file import file_problem, file_sink

    wrong = file_problem(settings.file)  # which may pass: it is tried again
    sink = file_sink(
        _COMPONENT,
        settings.file,
        max_bytes=sys.maxsize,  # whoever rotates it decides what is thrown away
        backups=1,
        quota=_quota(settings),
        keep=True,
        mode=0o640,
        clock=clock,
    )
    problem = f"SVCREADY_AUDIT_FILE={settings.file}: {wrong}" if wrong else ""
    return Chosen(_WaitsForDelivery(sink), "file", LARGEST_EVENT, problem)


def _cloudwatch(
    settings: AuditSettings,
    identity: Callable[[], Identity],
    clock: Clock,
    quiet: Callable[[], AbstractContextManager[object]],
) -> Chosen:
    from svcready._transport.sinks.cloudwatch_logs import cloudwatch_sink

    def names() -> tuple[str, str]:
        who = identity()
        return settings.group or f"/svcready/{who.service}/audit", who.instance

    sink = cloudwatch_sink(
        _COMPONENT,
        names,
        retention_days=settings.retention_days,
        quota=_quota(settings),
        keep=True,
        clock=clock,
        quiet=quiet,
    )
    return Chosen(sink, "cloudwatch", LARGEST_EVENT)
