"""Where lines go: to standard output, and to whatever else the settings name."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from svcready._transport import stdout
from svcready._transport.stdout import Channel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready._transport._output._drops import Recovered
    from svcready._transport.sinks._sink import Sink as QueuedSink
    from svcready.config._sections.log import LogSettings
    from svcready.logging._lines._line import Identity
    from svcready.logging._stages import Sink

__all__ = ["LARGEST_EVENT", "Destinations", "are_further", "longest_line"]

LARGEST_EVENT = 1024**2 - 26
"""The most bytes of one event that CloudWatch Logs takes."""
_WARNING = 30
_LAST_LINE_S = 0.1
# What rsyslog takes unless it is told otherwise (8 KiB), less a header.
_SYSLOG_BYTES = 8 * 1024 - 256
_NO_STDOUT = (
    "SVCREADY_LOG_STDOUT=false, and no other destination can be used; lines go to "
    "standard output"
)


def are_further(settings: LogSettings) -> bool:
    """Tell whether lines are to go anywhere else than to standard output."""
    return bool(settings.file or settings.syslog or settings.cloudwatch)


def longest_line(settings: LogSettings, stdout_bytes: int) -> int:
    """
    Return how long a line may be that every destination takes whole.

    Args:
        settings: The section LOG.
        stdout_bytes: What standard output takes.
    """
    limits = [LARGEST_EVENT]
    if settings.stdout or not are_further(settings):
        limits.append(stdout_bytes)

    if settings.syslog:
        limits.append(_SYSLOG_BYTES)

    return min(limits)


class Destinations:
    """
    The places that lines go to, as one.

    A line is made once, and each place has a queue of its own, so that none waits
    for another.

    Args:
        settings: The section LOG.
        identity: Returns who the service is by now.
        clock: Stamps the lines.
        quiet: Makes a context in which the delivery's own calls are not traced.
        on_recovered: Told when standard output takes lines again after some were lost.
    """

    write: Sink
    """Takes a line and its level everywhere."""

    def __init__(
        self,
        settings: LogSettings,
        identity: Callable[[], Identity],
        *,
        clock: Clock,
        quiet: Callable[[], AbstractContextManager[object]] = nullcontext,
        on_recovered: Callable[[Recovered], None] | None = None,
    ) -> None:
        self.problems: list[str] = []
        """What stands against a destination that was asked for."""
        self._settings = settings
        self._identity = identity
        self._clock = clock
        self._quiet = quiet
        self._sinks: dict[str, QueuedSink] = {}
        self.channel = Channel(
            "logging",
            delivery=settings.delivery,
            max_bytes=settings.queue_bytes,
            max_lines=settings.queue_lines,
            on_recovered=on_recovered,
        )
        """The way to standard output."""
        if settings.file:
            self._add_file()

        if settings.syslog:
            self._add_syslog()

        if settings.cloudwatch:
            self._add_cloudwatch()

        self.stdout = settings.stdout or not self._sinks
        """Whether standard output is one of them."""
        # That none is named at all is said of the configuration.
        if not settings.stdout and not self._sinks and are_further(settings):
            self.problems.append(_NO_STDOUT)

        sinks = list(self._sinks.values())
        if not self.stdout:
            for sink in sinks:  # who else would hear that they fail?
                sink.aside = self.channel.write

        self.write = _each([self.channel.write] if self.stdout else [], sinks)

    @property
    def names(self) -> list[str]:
        """Where lines go, for people."""
        names = ["stdout"] if self.stdout else []
        for key, sink in self._sinks.items():
            name = sink.destination.name
            names.append(f"{name} {self._group()}" if key == "cloudwatch" else name)

        return names

    def notices(self) -> list[str]:
        """Return what is worth knowing of them, and no problem."""
        return stdout.notices() if self.stdout else []

    @property
    def dropped(self) -> dict[str, int]:
        """How many lines this process dropped: by reason, elsewhere by place, too."""
        dropped = dict(self.channel.dropped)
        for key, sink in self._sinks.items():
            dropped |= {f"{key}.{why}": lines for why, lines in sink.dropped.items()}

        return dropped

    def flush(self, timeout_s: float) -> bool:
        """Have every place take what waits for it; they share *timeout_s* seconds."""
        ends_s = time.monotonic() + timeout_s
        for sink in self._sinks.values():
            sink.hurry(timeout_s)

        # Each is asked, however little time is left.
        steps = [self.channel.flush, *(it.flush for it in self._sinks.values())]
        done = [step(max(0.0, ends_s - time.monotonic())) for step in steps]
        return all(done)

    def close(self, timeout_s: float) -> bool:
        """Flush for the last time: what is left then is counted as dropped."""
        ends_s = time.monotonic() + timeout_s
        self.flush(timeout_s)  # of all, before one ends: they tell of each other
        done = [sink.close(_LAST_LINE_S) for sink in self._sinks.values()]
        done.append(self.channel.close(max(0.0, ends_s - time.monotonic())))
        return all(done)

    def _add_file(self) -> None:
        from svcready._transport.sinks._destination import Quota
        from svcready._transport.sinks.rotating_file import file_problem, file_sink

        settings = self._settings
        problem = file_problem(settings.file)
        if problem:  # which may pass: it is tried again, and lines wait
            self.problems.append(f"SVCREADY_LOG_FILE={settings.file}: {problem}")

        self._sinks["file"] = file_sink(
            "logging.file",
            settings.file,
            max_bytes=settings.file_max_bytes,
            backups=settings.file_backups,
            quota=Quota(settings.queue_bytes, settings.queue_lines),
            clock=self._clock,
        )

    def _add_syslog(self) -> None:
        from svcready._transport.sinks._destination import Quota
        from svcready._transport.sinks.syslog import syslog_sink

        settings = self._settings
        self._sinks["syslog"] = syslog_sink(
            "logging.syslog",
            settings.syslog,
            service=lambda: self._identity().service,
            quota=Quota(settings.queue_bytes, settings.queue_lines),
            clock=self._clock,
        )

    def _add_cloudwatch(self) -> None:
        from svcready._transport.sinks._destination import Quota
        from svcready._transport.sinks.cloudwatch_logs import available, cloudwatch_sink

        if not available():
            self.problems.append(
                "SVCREADY_LOG_CLOUDWATCH=true, but the package for it is not "
                'installed: pip install "svcready[aws]"'
            )
            return

        settings = self._settings
        self._sinks["cloudwatch"] = cloudwatch_sink(
            "logging.cloudwatch",
            lambda: (
                self._group(),
                settings.cloudwatch_stream or self._identity().instance,
            ),
            retention_days=settings.cloudwatch_retention_days,
            quota=Quota(settings.queue_bytes, settings.queue_lines),
            clock=self._clock,
            quiet=self._quiet,
        )

    def _group(self) -> str:
        group = self._settings.cloudwatch_group
        return group or f"/svcready/{self._identity().service}"


def _each(first: list[Sink], queued: Sequence[Sink]) -> Sink:
    sinks = [*first, *queued]
    if not queued:
        return sinks[0]

    from svcready._transport.sinks._delivering import delivers

    def write(line: bytes, level: int, /) -> None:
        if level < _WARNING and delivers():  # an AWS client's chatter about our calls
            return

        for sink in sinks:
            sink(line, level)

    return write
