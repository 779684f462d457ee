"""Where audit entries go in this process: to the runtime in force, or kept for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

from svcready._core import fork
from svcready.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.logging._audit._entry import Entry

__all__ = ["Recorder", "leave", "record", "use"]

_MOST_KEPT = 1000
_MOST_BYTES = 8 * 1024**2


class Recorder(Protocol):
    """Takes entries to their destination."""

    @property
    def time_ns(self) -> Callable[[], int]:
        """What stamps the entries."""
        ...

    @property
    def span_ids(self) -> Callable[[], tuple[str, str] | None]:
        """Returns the current span's trace and span id in hex, or None."""
        ...

    @property
    def strict(self) -> bool:
        """Whether an entry that could not be taken raises where it was recorded."""
        ...

    def take(self, entry: Entry) -> bool:
        """Take *entry*; False if that failed, and it was said."""
        ...

    def lose(self, reason: str, entries: int) -> None:
        """Count entries that could not be kept until now."""
        ...


class _Kept:
    """Entries from before there was a runtime, as they were then."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.bytes = 0
        self.lost = 0


_running: Recorder | None = None
_kept = _Kept()
_lock = threading.RLock()
_watched = False


def _reset() -> None:
    global _lock, _kept  # noqa: PLW0603 - a thread that the child lacks may hold it
    _lock = threading.RLock()
    _kept = _Kept()  # the parent's to write


fork.reset_in_child(_reset)


def use(recorder: Recorder) -> None:
    """Send entries to *recorder*, those first that were kept for it."""
    global _running, _kept  # noqa: PLW0603 - the one recorder of the process
    with _lock:
        _running = recorder
        kept, _kept = _kept, _Kept()

    if kept.lost:
        recorder.lose("not_started", kept.lost)

    for entry in kept.entries:
        recorder.take(entry)


def leave(recorder: Recorder) -> None:
    """Keep entries from now on, if *recorder* had them so far."""
    global _running  # noqa: PLW0603 - the one recorder of the process
    with _lock:
        if _running is recorder:
            _running = None


def record(
    action: str,
    resource: str | Mapping[str, object],
    actor: str | Mapping[str, object],
    outcome: str,
    changes: Mapping[str, object] | None,
    details: Mapping[str, object],
) -> None:
    """
    Judge an entry, and take it to the runtime in force or keep it for one.

    Raises:
        DeclarationError: The code says it wrongly.
        AuditError: It could not be taken, and SVCREADY_AUDIT_STRICT is on.
    """
    from svcready.logging._audit._entry import make_entry

    recorder = _running
    said = (action, resource, actor, outcome, changes, details)
    if recorder is None:
        entry = make_entry(*said, time_ns=time.time_ns())
        recorder = _keep(entry)
    else:
        span_ids = recorder.span_ids
        entry = make_entry(*said, time_ns=recorder.time_ns(), span_ids=span_ids)

    if recorder is not None and not recorder.take(entry) and recorder.strict:
        msg = f"the audit entry of {action} could not be taken"
        raise AuditError(msg)


def _keep(entry: Entry) -> Recorder | None:
    """Keep *entry*, or return who takes it because one has started meanwhile."""
    global _watched  # noqa: PLW0603 - atexit keeps one entry for the process
    from svcready._core.redaction import Redactor
    from svcready.logging._audit._entry import EntryTexts
    from svcready.logging._lines._values import Values

    # Secrets stay in it, in memory only: what is one is known when a runtime starts.
    texts = EntryTexts(Values(Redactor(enabled=False)), _MOST_BYTES)
    size, snapshot = texts.snapshot(entry)
    with _lock:
        if _running is not None:
            return _running

        if len(_kept.entries) < _MOST_KEPT and _kept.bytes + size <= _MOST_BYTES:
            _kept.entries.append(snapshot)
            _kept.bytes += size
        else:
            _kept.lost += 1

        if not _watched:
            _watched = True
            import atexit

            atexit.register(_tell_at_exit)

    return None


def _tell_at_exit() -> None:
    lost = len(_kept.entries) + _kept.lost
    if lost:
        import logging

        logging.getLogger("svcready.audit").error(
            "%d audit entries were recorded and never written, because svcready.init() "
            "was not called, or not again after svcready.shutdown()",
            lost,
        )
